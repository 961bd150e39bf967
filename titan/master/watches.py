"""Who follows which run or keys on this master, told by the events of apply.

Works on every master, from its own applied state. A watcher that is slow gets fewer, larger updates,
never an unbounded queue: what changed since its last update is a set of ids, read when it is ready.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

import msgspec

from titan.errors import NotFound, Unavailable
from titan.fsm.events import (
    AnyEvent,
    JobChanged,
    JobsChanged,
    KeyChanged,
    RunChanged,
    RunSubmitted,
    StateReplaced,
)
from titan.fsm.queries import GetJob, GetRun, KvGet, KvList
from titan.fsm.views import read
from titan.ids import JobId, RunId
from titan.limits import LIST_PAGE_MAX, WATCHERS_PER_MASTER_MAX
from titan.master.replica import Replica
from titan.wire.channel import Stream
from titan.wire.messages import KeyUpdate, Message, Ok, RunUpdate, WatchKeys, WatchRun, encode

PUSH_INTERVAL_S = 0.05  # between two updates to one watcher, unless the run is over
DEAF_CHECK_S = 1.0
DEAF_MS = (
    3000  # a master that has heard no leader for so long ends its watches: they resume elsewhere
)

_encode = msgspec.msgpack.Encoder().encode


class _Watcher:
    """What one watcher has not been told yet."""

    def __init__(self) -> None:
        self.changed: dict[str, None] = {}
        self.is_over = False
        self.wake = asyncio.Event()

    def touch(self, ident: str, *, over: bool = False) -> None:
        self.changed[ident] = None
        self.is_over = self.is_over or over
        self.wake.set()

    def touch_all(self, idents: Iterable[str]) -> None:
        self.changed.update(dict.fromkeys(idents))
        self.wake.set()

    async def next_changes(self, *, is_deaf: Callable[[], bool]) -> list[str]:
        while not self.wake.is_set():
            try:
                async with asyncio.timeout(DEAF_CHECK_S):
                    await self.wake.wait()
            except TimeoutError:
                if is_deaf():
                    raise Unavailable("this master has lost touch with the leader") from None
        self.wake.clear()
        changed, self.changed = list(self.changed), {}
        return changed


class Watches:
    """The watchers of this master."""

    def __init__(self, replica: Replica, *, heard_ms_ago: Callable[[], int]) -> None:
        self._replica = replica
        self._heard_ms_ago = heard_ms_ago
        self._runs: dict[RunId, set[_Watcher]] = {}
        self._keys: dict[_Watcher, str] = {}
        self._count = 0
        replica.listen(self._on_applied)

    def _on_applied(self, index: int, events: Sequence[AnyEvent]) -> None:
        for event in events:
            if isinstance(event, StateReplaced):
                self._touch_all()
            elif isinstance(event, JobChanged):
                for watcher in self._runs.get(event.run, ()):
                    watcher.touch(event.job)
            elif isinstance(event, JobsChanged):
                for watcher in self._runs.get(event.run, ()):
                    watcher.touch_all(event.jobs)
            elif isinstance(event, RunChanged | RunSubmitted):
                over = isinstance(event, RunChanged) and event.over
                for watcher in self._runs.get(event.run, ()):
                    watcher.touch("", over=over)
            elif isinstance(event, KeyChanged):
                for watcher, prefix in self._keys.items():
                    if event.key.startswith(prefix):
                        watcher.touch(event.key)

    def _touch_all(self) -> None:
        for watchers in self._runs.values():
            for watcher in watchers:
                watcher.touch("")

    def _enter(self) -> _Watcher:
        if self._count >= WATCHERS_PER_MASTER_MAX:
            raise Unavailable(f"this master has {WATCHERS_PER_MASTER_MAX} watchers already")
        self._count += 1
        return _Watcher()

    def _is_deaf(self) -> bool:
        return self._heard_ms_ago() > DEAF_MS

    # --- runs ---------------------------------------------------------------------------------

    async def run(self, message: WatchRun, channel: Stream) -> Message:
        """Serve a `WatchRun` channel."""
        if message.run not in self._replica.state.runs:
            raise NotFound(f"there is no run {message.run}")
        watcher = self._enter()
        self._runs.setdefault(message.run, set()).add(watcher)
        try:
            await self._follow_run(message, channel, watcher)
        finally:
            self._count -= 1
            self._runs[message.run].discard(watcher)
            if not self._runs[message.run]:
                del self._runs[message.run]
        return Ok()

    async def _follow_run(self, message: WatchRun, channel: Stream, watcher: _Watcher) -> None:
        over = await self._send_all(message, channel)
        while not over:
            changed = await watcher.next_changes(is_deaf=self._is_deaf)
            jobs = [JobId(one) for one in changed if one] if message.jobs else []
            over = await self._send_jobs(message.run, jobs, channel)
            if not over and not watcher.is_over:
                await asyncio.sleep(PUSH_INTERVAL_S)

    async def _send_all(self, message: WatchRun, channel: Stream) -> bool:
        if not message.jobs:
            return await self._send_jobs(message.run, [], channel)
        jobs = list(self._replica.state.runs[message.run].jobs)
        return await self._send_jobs(message.run, jobs, channel)

    async def _send_jobs(self, run: RunId, jobs: list[JobId], channel: Stream) -> bool:
        """Send pages of jobs, the run with each; whether the run was over in the last one."""
        over = False
        for at in range(0, max(1, len(jobs)), LIST_PAGE_MAX):
            state = self._replica.state
            view = read(state, GetRun(run=run))
            page = [read(state, GetJob(run=run, job=job)) for job in jobs[at : at + LIST_PAGE_MAX]]
            update = RunUpdate(index=state.index, run=_encode(view), jobs=_encode(page))
            over = view.over
            await channel.send(encode(update))
            await asyncio.sleep(0)  # a large run has many pages, and others are waiting too
        return over

    # --- keys ---------------------------------------------------------------------------------

    async def keys(self, message: WatchKeys, channel: Stream) -> Message:
        """Serve a `WatchKeys` channel; ends only with the connection."""
        watcher = self._enter()
        self._keys[watcher] = message.prefix
        try:
            await self._send_existing(message.prefix, channel)
            while True:
                for key in await watcher.next_changes(is_deaf=self._is_deaf):
                    await self._send_key(key, channel)
        finally:
            self._count -= 1
            del self._keys[watcher]

    async def _send_existing(self, prefix: str, channel: Stream) -> None:
        after = ""
        while True:
            query = KvList(prefix=prefix, limit=LIST_PAGE_MAX, after=after)
            page = read(self._replica.state, query)
            for view in page:
                await self._send_key(view.key, channel)
            if len(page) < LIST_PAGE_MAX:
                return
            after = page[-1].key

    async def _send_key(self, key: str, channel: Stream) -> None:
        state = self._replica.state
        item = _encode(read(state, KvGet(key=key)))
        await channel.send(encode(KeyUpdate(index=state.index, key=key, item=item)))
