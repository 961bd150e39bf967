"""The replicated state machine: one committed entry in, outcomes and events out.

Owns the order of things: decode, stamp, fence by epoch, deduplicate, fence by attempt, hand over to the
command's handler, digest. It is total: whatever is in the log has an outcome. Only two things leave it as
exceptions: bytes that this version does not understand (`Fatal`: skipping them would make this master
differ from the others) and a fault in a handler (consensus then stops the process).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

import msgspec

from titan import limits
from titan.errors import Fatal
from titan.fsm import (
    artifacts,
    attempts,
    audit,
    blobs,
    cancels,
    checkpoints,
    clock,
    cluster,
    effects,
    firings,
    gates,
    kv,
    locks,
    logs,
    mutations,
    outputs,
    pipelines,
    pools,
    reruns,
    runs,
    schedules,
    services,
    settling,
    signals,
    snapshot,
    spending,
    stages,
    workers,
)
from titan.fsm.commands import (
    ENTRY_FORMAT,
    AddJobs,
    Entry,
    MutateRun,
    OpenEpoch,
    Proposal,
    RetryJob,
    decode_entry,
)
from titan.fsm.events import AnyEvent, TimerSet
from titan.fsm.frozen import Frozen
from titan.fsm.handling import HANDLERS, UNBOUNDED, Budget, Stamp
from titan.fsm.outcomes import Applied, Outcome, Rejected
from titan.fsm.sessions import encode_outcome, recall, remember
from titan.fsm.state import State

HANDLER_FILES: Final = (
    artifacts,
    attempts,
    blobs,
    cancels,
    checkpoints,
    clock,
    cluster,
    effects,
    firings,
    gates,
    kv,
    locks,
    logs,
    mutations,
    outputs,
    pipelines,
    pools,
    reruns,
    runs,
    schedules,
    services,
    signals,
    spending,
    stages,
    workers,
)  # imported for their handlers


class Result(msgspec.Struct, frozen=True):
    """What one entry led to."""

    outcomes: tuple[Outcome, ...]  # one per proposal, in order
    events: tuple[AnyEvent, ...]  # of all of them, in order
    steps: int = 0  # how many edges and jobs their effects reached; see `settling.py`


class Machine:
    """A state and the log's way into it. `state` is replaced by `restore`: do not keep it elsewhere."""

    def __init__(self) -> None:
        self.state = State()
        self._frozen: Frozen | None = None

    @property
    def digest(self) -> bytes:
        """32 bytes, equal on every master at the same index."""
        return self.state.digest

    def apply(self, index: int, payload: bytes) -> Result:
        """Apply the entry at `index` of the log. Raises `Fatal` when this version cannot read it."""
        state = self.state
        assert index > state.index, f"entry {index} after entry {state.index}"
        assert self._frozen is None or self._frozen.is_whole, "the state is being frozen"
        entry = _decode(index, payload)
        due_ms = state.next_due_ms
        if entry.epoch >= state.epoch:
            state.now_ms = max(state.now_ms, entry.now_ms, 1)  # 0 means "never" in many fields
        budget = limits.SETTLE_STEPS_PER_ENTRY if state.version >= settling.SINCE else UNBOUNDED
        at = Stamp(index, state.now_ms, entry.epoch, Budget(budget))
        outcomes: list[Outcome] = []
        answers: list[bytes] = []
        events: list[AnyEvent] = []
        for proposal in entry.proposals:
            if self._frozen is not None and isinstance(
                proposal.command, RetryJob | AddJobs | MutateRun
            ):
                self._frozen.let_go(state, proposal.command.run)  # nothing else revives a run
            outcome, answer = _take(state, proposal, at)
            outcomes.append(outcome)
            answers.append(answer)
            if isinstance(outcome, Applied):
                events.extend(outcome.events)  # type: ignore[arg-type]
        next_due_ms = state.next_due_ms
        if next_due_ms is not None and next_due_ms != due_ms:
            events.append(TimerSet(next_due_ms))
        state.index = index
        state.digest = _digest(state.digest, index, payload, answers)
        return Result(tuple(outcomes), tuple(events), budget - at.budget.left)

    def freeze(self) -> Frozen:
        """Begin to set the whole state of now aside; no entry may be applied before its last step. Then
        another thread may draw blocks that later entries do not touch; one freeze at a time."""
        self._frozen = Frozen(self.state)
        return self._frozen

    def restore(self, blocks: Iterable[bytes]) -> None:
        """Replace the whole state. Raises `Fatal` and keeps the old one when the blocks are not a state."""
        self.state = snapshot.decode(blocks)
        self._frozen = None


def _decode(index: int, payload: bytes) -> Entry:
    try:
        entry = decode_entry(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _too_old(index, str(error)) from error
    if entry.format != ENTRY_FORMAT:
        raise _too_old(index, f"format {entry.format}, {ENTRY_FORMAT} is known")
    return entry


def _too_old(index: int, why: str) -> Fatal:
    return Fatal(
        f"this master is too old for entry {index} of the log ({why})",
        hint="start it with the version that the other masters run",
    )


def _take(state: State, proposal: Proposal, at: Stamp) -> tuple[Outcome, bytes]:
    """One proposal: fences, memory, handler. Answers the outcome, also encoded."""
    command = proposal.command
    if at.epoch < state.epoch and not isinstance(command, OpenEpoch):
        # Not remembered: the client repeats it to the leader of today, and then it must take effect.
        why = f"entry of epoch {at.epoch}, epoch {state.epoch} is open"
        outcome: Outcome = Rejected("stale_epoch", why)
        return outcome, encode_outcome(outcome)
    if proposal.client:
        known = recall(state, proposal, now_ms=at.now_ms)
        if known is not None:
            return known, encode_outcome(known)
    if command.since > state.version:
        outcome = Rejected("not_yet", f"needs version {command.since} on every master")
    else:
        fence = settling.why_not_live(state, proposal.attempt) if proposal.attempt else None
        outcome = fence or HANDLERS[type(command)](state, command, _signed(at, proposal))
    answer = encode_outcome(outcome)
    if proposal.who and isinstance(outcome, Applied):
        audit.note(state, proposal, outcome, index=at.index, now_ms=at.now_ms)
    if proposal.client and not (isinstance(outcome, Rejected) and outcome.is_for_now):
        remember(state, proposal, answer)
    return outcome, answer


def _signed(at: Stamp, proposal: Proposal) -> Stamp:
    """The stamp with who proposes."""
    if not proposal.client and not proposal.attempt:
        return at
    return Stamp(at.index, at.now_ms, at.epoch, at.budget, proposal.client, proposal.attempt)


def _digest(before: bytes, index: int, payload: bytes, answers: list[bytes]) -> bytes:
    """Chain the entry to the digest before it. Lengths are hashed too, so that no two chains look alike."""
    digest = hashlib.blake2b(before, digest_size=32)
    digest.update(index.to_bytes(8, "big"))
    digest.update(len(payload).to_bytes(8, "big"))
    digest.update(payload)
    for answer in answers:
        digest.update(len(answer).to_bytes(4, "big"))
        digest.update(answer)
    return digest.digest()
