"""Group commit: many commands, one entry. The only way into the log.

Commands gather while an entry is in flight and leave together when it is applied (flow 2), so a busy
master shares each round of the log among all who wait and an idle one adds no delay.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Container
from typing import Final, NamedTuple

import msgspec

from titan.consensus.api import Raft
from titan.errors import LimitExceeded, NotLeader, TitanError, Unavailable, UnknownOutcome
from titan.fsm.commands import ENTRY_FORMAT, Command, OpenEpoch
from titan.fsm.outcomes import Outcome, Rejected
from titan.ids import AttemptId, RunId
from titan.limits import (
    ENTRY_BYTES_MAX,
    ENTRY_COMMANDS_MAX,
    PROPOSALS_WAITING_BYTES_MAX,
    PROPOSALS_WAITING_MAX,
)
from titan.master.held_back import HeldBack
from titan.master.replica import AppliedEntry
from titan.wire.promise import Promise

PIPELINE_BYTES: Final = 64 * 1024  # so much waiting is worth a second entry in flight
IN_FLIGHT_MAX: Final = 8
_ENTRY_OVERHEAD_BYTES: Final = 64
_encode = msgspec.msgpack.Encoder().encode


class Settled(msgspec.Struct, frozen=True):
    """A command was applied at `index` with this outcome."""

    index: int
    outcome: Outcome


Answer = asyncio.Future[Settled]


class _Waiting(NamedTuple):
    proposal: bytes
    answer: Answer


class Proposer:
    """Gathers proposals of the reigning leader; refuses them while this master does not reign.

    A command that has to wait until its run is settled (`titan/fsm/settling.py`) is proposed again
    by then, in the order of the refusals: whoever asked only waits a little longer.
    """

    def __init__(
        self,
        raft: Raft,
        *,
        now_ms: Callable[[], int],
        unsettled: Callable[[], Container[RunId]] = tuple,
    ) -> None:
        self._raft = raft
        self._now_ms = now_ms
        self._unsettled = unsettled
        self._held_back = HeldBack[_Waiting]()
        self._loop = asyncio.get_running_loop()
        self._epoch = 0
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0
        self._in_flight = 0
        self._flush_scheduled = False
        self.commands_total = 0
        self.entries_total = 0

    @property
    def reigns(self) -> bool:
        """Whether proposals are accepted now."""
        return self._epoch != 0

    async def open_epoch(self, command: OpenEpoch) -> Settled:
        """Commit the first entry of a reign; from then on proposals are accepted."""
        answer: Answer = self._loop.create_future()
        self._send([_Waiting(_encode((command,)), answer)], epoch=command.epoch)
        settled = await answer
        self._epoch = command.epoch
        return settled

    def close_epoch(self) -> None:
        """The reign is over: refuse what waits and what comes."""
        self._epoch = 0
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        for one in (*waiting, *self._held_back.clear()):
            _fail(one.answer, NotLeader())

    def submit(self, command: Command) -> Answer:
        """Propose one of the leader's own commands."""
        return self._enqueue(_encode((command,)))

    def submit_encoded(
        self,
        command: bytes,
        *,
        client: str,
        request: int,
        floor: int,
        attempt: AttemptId,
        who: str = "",
    ) -> Answer:
        """Propose a client's command, which has been checked to decode, without encoding it again."""
        fields = (msgspec.Raw(command), client, request, floor, attempt)
        return self._enqueue(_encode((*fields, who) if who else fields))

    def _enqueue(self, proposal: bytes) -> Answer:
        if not self._epoch:
            raise NotLeader(leader=self._raft.status.leader or None)
        if len(proposal) > ENTRY_BYTES_MAX - _ENTRY_OVERHEAD_BYTES:
            raise LimitExceeded(
                f"the request takes {len(proposal)} bytes; one entry holds {ENTRY_BYTES_MAX}",
                hint="store large data as a file and pass its digest",
            )
        is_full = self._waiting_bytes + len(proposal) > PROPOSALS_WAITING_BYTES_MAX
        if is_full or len(self._waiting) + len(self._held_back) >= PROPOSALS_WAITING_MAX:
            raise Unavailable("this master has too many requests waiting")
        answer: Answer = Promise(loop=self._loop)
        self._wait(_Waiting(proposal, answer))
        return answer

    def _wait(self, one: _Waiting) -> None:
        self._waiting.append(one)
        self._waiting_bytes += len(one.proposal)
        if self._may_send() and not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)

    def _may_send(self) -> bool:
        if self._in_flight == 0:
            return True
        return self._waiting_bytes >= PIPELINE_BYTES and self._in_flight < IN_FLIGHT_MAX

    def _flush(self) -> None:
        self._flush_scheduled = False
        while self._waiting and self._epoch and self._may_send():
            self._send(self._take_batch(), epoch=self._epoch)
        self._raft.hurry()

    def _take_batch(self) -> list[_Waiting]:
        size, count = _ENTRY_OVERHEAD_BYTES, 0
        for one in self._waiting[:ENTRY_COMMANDS_MAX]:
            if size + len(one.proposal) > ENTRY_BYTES_MAX:
                break
            size += len(one.proposal)
            count += 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        self._waiting_bytes -= size - _ENTRY_OVERHEAD_BYTES
        return batch

    def _send(self, batch: list[_Waiting], *, epoch: int) -> None:
        proposals = [msgspec.Raw(one.proposal) for one in batch]
        entry = _encode((ENTRY_FORMAT, epoch, self._now_ms(), proposals))
        try:
            applied = self._raft.propose(entry)
        except TitanError as error:
            for one in batch:
                _fail(one.answer, error)
            return
        self._in_flight += 1
        self.entries_total += 1
        self.commands_total += len(batch)
        applied.add_done_callback(functools.partial(self._settle, batch))

    def _settle(self, batch: list[_Waiting], applied: asyncio.Future[AppliedEntry]) -> None:
        self._in_flight -= 1
        error = UnknownOutcome("cancelled") if applied.cancelled() else applied.exception()
        if error is not None:
            for one in batch:
                _fail(one.answer, error)
        else:
            entry = applied.result()
            for one, outcome in zip(batch, entry.result.outcomes, strict=True):
                if isinstance(outcome, Rejected) and outcome.is_for_now:
                    self._hold_back(one, outcome.run)
                elif not one.answer.done():
                    one.answer.set_result(Settled(entry.index, outcome))
        self._take_back()
        self._flush()

    def _take_back(self) -> None:
        """Propose again what waited for runs that are settled now, and was not given up meanwhile."""
        asked = False
        while not asked and (free := self._held_back.take_free(self._unsettled())):
            for one in free:
                if not one.answer.done():
                    self._wait(one)
                    asked = True

    def _hold_back(self, one: _Waiting, run: RunId) -> None:
        if self._epoch:
            self._held_back.add(one, run=run)
        else:
            _fail(one.answer, NotLeader())


def _fail(answer: Answer, error: BaseException) -> None:
    if not answer.done():
        answer.set_exception(error)
        answer.exception()  # one who stopped waiting need not hear of it
