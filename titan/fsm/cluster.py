"""The cluster itself: epochs, one leader's reign each, and the version that its masters share."""

from __future__ import annotations

from titan.errors import Fatal
from titan.fsm import commands, references
from titan.fsm.commands import NoteOrder, OpenEpoch, RaiseVersion
from titan.fsm.events import EpochOpened
from titan.fsm.handling import Stamp, Turn, handles
from titan.fsm.outcomes import Outcome, Rejected
from titan.fsm.state import State


@handles(OpenEpoch)
def open_epoch(state: State, cmd: OpenEpoch, at: Stamp) -> Outcome:
    """Begin a reign. Answers the cluster's id, which the first epoch of all has named."""
    if cmd.epoch <= state.epoch:
        return Rejected("stale_epoch", f"epoch {state.epoch} is open, {cmd.epoch} is not newer")
    turn = Turn(state, at)
    state.epoch = cmd.epoch
    state.cluster_id = state.cluster_id or cmd.cluster_id
    turn.events.append(EpochOpened(cmd.epoch))
    return turn.done(state.cluster_id)


@handles(NoteOrder)
def note_order(state: State, cmd: NoteOrder, at: Stamp) -> Outcome:  # noqa: ARG001
    """Changes nothing but the audit, which is kept of every order that applies."""
    return Turn(state, at).done()


@handles(RaiseVersion)
def raise_version(state: State, cmd: RaiseVersion, at: Stamp) -> Outcome:
    """Allow the commands of a newer version. A master that cannot read them stops here, by name."""
    if cmd.version > commands.VERSION:
        raise Fatal(
            f"the cluster has moved to version {cmd.version}, this master reads {commands.VERSION}",
            hint="start it with the version that the other masters run",
        )
    if cmd.version <= state.version:
        return Rejected("invalid", f"the cluster is at version {state.version} already")
    state.version = cmd.version
    references.lease_all(state)
    return Turn(state, at).done(cmd.version)
