"""One member on an asyncio loop: the shell around `Replica`.

Owns when rounds run, the thread that writes snapshots, and the end of the process when the member
must not go on. Decides nothing about Raft; read `replica.py` for the order of a round.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Protocol

from titan.consensus.api import RaftStatus, ReplicatedMachine
from titan.consensus.config import RaftConfig
from titan.consensus.disk import Disk, OsDisk
from titan.consensus.membership import Roster, removed
from titan.consensus.proposals import Waiter
from titan.consensus.replica import Link, Replica
from titan.consensus.transport import Receiver
from titan.errors import Fatal, ProtocolError, TimedOut, Unavailable
from titan.wire.promise import Promise

_log = logging.getLogger(__name__)
_SNAPSHOT_POLL_S: Final = 0.02
_TIMER_SLACK_S: Final = 0.001  # timers of the loop have this resolution
_StatusKey = tuple[int, int, str, bool, Roster]


class Transport(Link, Protocol):
    """What a node needs of the wire; `transport.PeerTransport` is the real one."""

    def start(self, receiver: Receiver) -> None:
        """Begin to dial and deliver."""

    def check_tasks(self) -> None:
        """Raise what ended a part of the wire that should never end."""

    def members_changed(self, roster: Roster, *, gone: frozenset[str]) -> None:
        """Keep ways to exactly these; turn away whoever has one of the ids in `gone`."""

    def member_id(self, address: str) -> str:
        """The id of the member that was met at an address, "" when none was."""

    async def close(self) -> None:
        """Hang up."""


def leave_process(reason: Fatal) -> None:
    """The default end: say why, and let the supervisor start the process again."""
    _log.critical("this master stops: %s (%s)", reason, reason.hint)
    logging.shutdown()
    os._exit(reason.exit_code)


class RaftNode:
    """`api.Raft`. `on_fatal` is called once and must not return control to clients."""

    def __init__(
        self,
        *,
        config: RaftConfig,
        machine: ReplicatedMachine,
        transport: Transport,
        disk: Disk | None = None,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
        on_fatal: Callable[[Fatal], None] = leave_process,
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._on_fatal = on_fatal
        self._listeners: list[Callable[[RaftStatus], None]] = []
        self._last_status: _StatusKey | None = None
        self._loop: asyncio.AbstractEventLoop
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0
        self._is_scheduled = False  # a round is due this turn or the next
        self._has_turn = False  # the loop will call
        self._is_in_round = False
        self._is_running = False
        self._told: tuple[Roster, tuple[str, ...]] | None = None  # of the members, to the wire
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="titan-snapshot")
        self._replica = Replica(
            config,
            machine=machine,
            link=transport,
            disk=disk or OsDisk(),
            background=self._in_thread,
            clock=clock,
            rng=rng or random.Random(),
        )

    # --- life ------------------------------------------------------------------------------

    async def open(self) -> None:
        """Load snapshot and journal, then start dialling and ticking. Raises `Fatal`."""
        self._loop = asyncio.get_running_loop()
        self._replica.open()
        self._is_running = True
        self._tell_members()
        self._transport.start(self)
        self._wake()

    async def close(self) -> None:
        """Stop ticking, refuse who waits, sync and close the files."""
        was_running, self._is_running = self._is_running, False
        if self._timer is not None:
            self._timer.cancel()
        await self._transport.close()
        await self._loop.run_in_executor(None, self._threads.shutdown)
        if was_running:
            self._replica.close()

    # --- the interface ---------------------------------------------------------------------

    @property
    def status(self) -> RaftStatus:
        """The current view."""
        return self._replica.status

    @property
    def counters(self) -> Counter[str]:
        """How often each protection was needed."""
        return self._replica.counters

    @property
    def syncs(self) -> int:
        """How often the log was made durable."""
        return self._replica.syncs

    def propose(self, payload: bytes) -> asyncio.Future[Any]:
        """See `api.Raft.propose`."""
        waiter: Promise[Any] = Promise(loop=self._loop)
        self._replica.propose(payload, waiter)
        self._wake()
        return waiter

    def hurry(self) -> None:
        """See `api.Raft.hurry`."""
        if self._is_scheduled and not self._is_in_round:
            self._round_early()

    async def read_index(self, *, timeout_s: float) -> int:
        """See `api.Raft.read_index`."""
        waiter: asyncio.Future[int] = self._loop.create_future()
        self._replica.read_index(waiter)
        self._wake()
        try:
            async with asyncio.timeout(timeout_s):
                return await waiter
        except TimeoutError:
            raise TimedOut(f"leadership was not confirmed in {timeout_s} s") from None

    async def add_member(self, address: str, *, member_id: str, timeout_s: float) -> int:
        """See `api.Raft.add_member`."""
        return await self._change(
            lambda waiter: self._replica.add_member(address, member_id=member_id, waiter=waiter),
            timeout_s=timeout_s,
        )

    def member_id(self, address: str) -> str:
        """See `api.Raft.member_id`."""
        member = self._replica.members.roster.find(address)
        return (member.id if member is not None else "") or self._transport.member_id(address)

    async def remove_member(self, address: str, *, timeout_s: float) -> int:
        """See `api.Raft.remove_member`."""
        member_id = self._transport.member_id(address)
        return await self._change(
            lambda waiter: self._replica.remove_member(address, member_id=member_id, waiter=waiter),
            timeout_s=timeout_s,
        )

    async def _change(self, begin: Callable[[Waiter], None], *, timeout_s: float) -> int:
        waiter: asyncio.Future[int] = self._loop.create_future()
        begin(waiter)
        self._tell_members()
        self._wake()
        try:
            async with asyncio.timeout(timeout_s):
                return await waiter
        except TimeoutError:
            raise TimedOut(
                f"the change of the members was not committed in {timeout_s} s"
            ) from None

    async def backup(self, *, timeout_s: float) -> Path:
        """See `api.Raft.backup`."""
        known = self._replica.installer.newest()
        self._replica.core.request_compaction()
        self._wake()
        try:
            async with asyncio.timeout(timeout_s):
                while (newest := self._replica.installer.newest()) == known:
                    if known is not None and self._replica.installer.covers(
                        known, applied_index=self._replica.core.applied_index
                    ):
                        break  # nothing has happened since the last one
                    await asyncio.sleep(_SNAPSHOT_POLL_S)
        except TimeoutError:
            raise TimedOut(f"no snapshot was finished in {timeout_s} s") from None
        if newest is None:
            raise Unavailable("there is nothing to take a snapshot of yet")
        return newest

    async def transfer(self, address: str | None, *, timeout_s: float) -> str:
        """See `api.Raft.transfer`. Proposals are refused until it has worked or timed out."""
        waiter: asyncio.Future[str] = self._loop.create_future()
        self._replica.begin_transfer(address, waiter)
        self._wake()
        try:
            async with asyncio.timeout(timeout_s):
                return await waiter
        except TimeoutError:
            raise TimedOut(f"nobody took over in {timeout_s} s") from None
        finally:
            self._replica.abort_transfer()

    def on_status(self, listener: Callable[[RaftStatus], None]) -> None:
        """See `api.Raft.on_status`."""
        self._listeners.append(listener)

    # --- from the wire ---------------------------------------------------------------------

    def on_message(self, peer: str, payload: bytes) -> None:
        """A peer spoke. Raises `ProtocolError` to have its connection closed."""
        if not self._is_running:
            return
        try:
            self._replica.receive(peer, payload)
        except ProtocolError:
            raise
        except Exception as error:
            self._fail(error)

    def on_read(self) -> None:
        """The round that the messages call for, without waiting for the next turn of the loop."""
        if self._replica.is_asked_for_round or self._is_scheduled:
            self._round_early()

    def on_removed(self) -> None:
        """A master of this cluster says that this member was removed."""
        self._fail(removed(self._replica.config.address))

    def on_up(self, peer: str) -> None:
        """There is a way to a peer."""
        self._replica.peer_up(peer)
        self._wake()

    def on_down(self, peer: str) -> None:
        """There is no way to a peer."""
        self._replica.peer_down(peer)
        self._wake()

    def on_lost(self, peer: str) -> None:
        """A peer's own connection ended."""
        self._replica.peer_lost(peer)
        self._wake()

    # --- rounds ----------------------------------------------------------------------------

    def _wake(self) -> None:
        """Run one round soon, however often this is called before."""
        if not self._is_running:
            return
        self._is_scheduled = True
        if not self._has_turn:
            self._has_turn = True
            self._loop.call_soon(self._scheduled_round)

    def _scheduled_round(self) -> None:
        self._has_turn = False
        if not self._is_scheduled:
            return  # it was done early
        try:
            self._replica.freeze_more()
        except Exception as error:
            self._fail(error)
        self._round()

    def _round_early(self) -> None:
        """In this turn; but with work left over from the last round, one round a turn is enough."""
        if self._replica.is_busy:
            self._wake()
        else:
            self._round()

    def _round(self) -> None:
        if not self._is_running or self._is_in_round:
            return
        self._is_scheduled, self._is_in_round = False, True
        try:
            self._replica.begin_round()  # the sockets have it before our own disk does
            self._replica.finish_round()
            self._transport.check_tasks()
        except Exception as error:
            self._fail(error)
            return
        finally:
            self._is_in_round = False
        if self._replica.wants_round:
            self._wake()
        self._arm_timer()
        self._tell_members()
        self._tell_status()

    def _arm_timer(self) -> None:
        """Deadlines mostly move away, so a timer that comes too early is only armed again."""
        due = self._replica.next_due()
        if self._timer is not None:
            if self._timer_due <= due:
                return
            self._timer.cancel()
        self._timer_due = due
        delay_s = max(0.0, due - self._clock()) + _TIMER_SLACK_S
        self._timer = self._loop.call_later(delay_s, self._timer_fired)

    def _timer_fired(self) -> None:
        self._timer = None
        if self._clock() >= self._replica.next_due():
            self._wake()
        else:
            self._arm_timer()

    def _tell_members(self) -> None:
        """Ways follow the newest roster; ids are turned away once their removal is committed."""
        members = self._replica.members
        gone = members.at(self._replica.core.applied_index).gone
        if self._told is None or self._told[0] is not members.roster or self._told[1] != gone:
            self._told = (members.roster, gone)
            self._transport.members_changed(members.roster, gone=frozenset(gone))

    def _tell_status(self) -> None:
        core = self._replica.core
        roster = self._replica.members.roster
        key = (core.role, core.term, core.leader, self._replica.is_ready, roster)
        if key == self._last_status:
            return
        self._last_status = key
        status = self._replica.status
        for listener in self._listeners:
            listener(status)

    # --- threads and the end ---------------------------------------------------------------

    def _in_thread(self, job: Callable[[], None], done: Callable[[Exception | None], None]) -> None:
        def run() -> None:
            error: Exception | None = None
            try:
                job()
            except Exception as failure:  # told to the loop, which decides
                error = failure
            self._loop.call_soon_threadsafe(finished, error)

        def finished(error: Exception | None) -> None:
            if error is not None and not isinstance(error, OSError):
                self._fail(error)
                return
            done(error)
            self._wake()

        self._threads.submit(run)

    def _fail(self, error: Exception) -> None:
        """Stop at once: half a state must not answer anybody."""
        if not self._is_running:
            return
        self._is_running = False
        self._replica.abandon()
        if isinstance(error, Fatal):
            self._on_fatal(error)
            return
        _log.critical("unexpected error in consensus", exc_info=error)
        reason = Fatal(f"unexpected {type(error).__name__} in consensus: {error}")
        reason.__cause__ = error
        self._on_fatal(reason)
