"""Notes of orders about the masters, for the audit: who added, removed or relieved one, and when.

Such an order is an entry of the consensus itself, which no state machine applies, so the leader commits a
note beside it. The order has been carried out by then: a note that fails is logged, and fails nobody.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from titan.errors import TitanError
from titan.fsm.commands import NoteOrder, encode_command
from titan.ids import AttemptId
from titan.limits import WHO_CHARS_MAX
from titan.master.proposer import Answer, Proposer
from titan.master.replica import Replica

NOTE_TIMEOUT_S: Final = 2.0
UNDECLARED: Final = "unknown"  # a client that says nothing of itself

log = logging.getLogger(__name__)


class OrderNotes:
    """Written on the leader."""

    def __init__(self, replica: Replica, proposer: Proposer) -> None:
        self._replica = replica
        self._proposer = proposer

    def keep(self, order: NoteOrder, *, who: str) -> Answer | None:
        """Propose the note that `who` gave the order; nobody need wait for the answer, if there is one."""
        if self._replica.state.version < NoteOrder.since:
            return None  # an older master could not read it
        try:
            answer = self._proposer.submit_encoded(
                encode_command(order),
                client="",
                request=0,
                floor=0,
                attempt=AttemptId(0),
                who=who[:WHO_CHARS_MAX] or UNDECLARED,
            )
        except TitanError as error:
            _is_lost(order, error)
            return None
        answer.add_done_callback(lambda done: _told(order, done))
        return answer

    async def keep_first(self, order: NoteOrder, *, who: str) -> None:
        """The same for an order after which this master writes no more: waits, for a while."""
        answer = self.keep(order, who=who)
        if answer is not None:
            await asyncio.wait([answer], timeout=NOTE_TIMEOUT_S)


def _told(order: NoteOrder, done: Answer) -> None:
    error = None if done.cancelled() else done.exception()
    if error is not None:
        _is_lost(order, error)


def _is_lost(order: NoteOrder, error: BaseException) -> None:
    log.warning("%s of %s is not in the audit: %s", order.action, order.master, error)
