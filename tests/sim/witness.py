"""Reads the one log as it is committed, each entry once, and lets the models judge it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.sim.commit_model import CommitModel
from tests.sim.lock_model import LockModel
from titan.fsm.commands import Entry, OpenEpoch, Proposal, decode_entry
from titan.fsm.outcomes import Applied, Outcome, Rejected
from titan.fsm.state import State
from titan.ids import AttemptId


class Witness:
    """See the module."""

    def __init__(self, *, violate: Callable[[str], None], happened: Callable[[str], None]) -> None:
        self.locks = LockModel(violate=violate, happened=happened)
        self.commits = CommitModel(violate=violate, happened=happened)
        self._leaders: dict[int, str] = {}  # who opened each epoch
        self._answered: dict[tuple[str, int], None] = {}  # a repeat has no second effect
        self._violate = violate

    def saw(self, index: int, payload: bytes, outcomes: Sequence[Outcome], state: State) -> None:
        """The first master has applied the entry; `state` is what it led to."""
        entry: Entry = decode_entry(payload)
        for proposal, outcome in zip(entry.proposals, outcomes, strict=True):
            self._saw(proposal, outcome, index=index, state=state)

    def _saw(self, proposal: Proposal, outcome: Outcome, *, index: int, state: State) -> None:
        command, attempt = proposal.command, proposal.attempt
        request = proposal.client, proposal.request
        if proposal.client and request in self._answered:
            return
        if isinstance(outcome, Rejected):
            if outcome.code in ("stale_epoch", "settling"):
                return  # it is asked again
            self.locks.refused(command, outcome.code)
            self.commits.refused(command, outcome.code, attempt=attempt, index=index, state=state)
        elif isinstance(outcome, Applied):
            if isinstance(command, OpenEpoch):
                self._leaders[command.epoch] = command.leader.partition(":")[0]
            self.locks.applied(command, outcome.value, now_ms=state.now_ms, index=index)
            self.commits.applied(command, outcome.value, attempt=attempt, index=index, state=state)
        if proposal.client:
            self._answered[request] = None

    def dispatched(self, master: str, attempt: AttemptId, *, epoch: int, state: State) -> None:
        """I5: only the leader that opened an epoch sends out in its name, and only until it knows that
        another one is open."""
        if self._leaders.get(epoch) != master:
            leader = self._leaders.get(epoch)
            self._violate(f"I5 {master} sends out attempt {attempt} in epoch {epoch} of {leader}")
        elif state.epoch != epoch:
            self._violate(
                f"I5 {master} sends out attempt {attempt} in epoch {epoch}; {state.epoch} is open"
            )
