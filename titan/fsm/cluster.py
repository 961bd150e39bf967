"""Epochs: one leader's reign each. Opening one shuts out whatever an older leader still proposes."""

from __future__ import annotations

from titan.fsm.commands import OpenEpoch
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
