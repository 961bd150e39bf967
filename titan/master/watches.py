"""Who follows what on this master, told by the events of apply: runs here, the rest by its own noun.

Works on every master, from its own applied state. What changed in a run since a watcher's last update is
a set of ids, read when the watcher is ready.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from titan.errors import NotFound
from titan.fsm.events import (
    AnyEvent,
    JobChanged,
    JobsChanged,
    ProgressReported,
    RunChanged,
    RunSubmitted,
    StateReplaced,
)
from titan.fsm.queries import GetJob, GetResults, GetRun
from titan.fsm.views import read
from titan.ids import JobId, RunId
from titan.limits import LIST_PAGE_MAX, RESULTS_WATCHED_MAX
from titan.master.follows import Follows
from titan.master.key_watches import KeyWatches
from titan.master.replica import Replica
from titan.master.watchers import Admission, Watcher
from titan.wire.channel import Stream
from titan.wire.messages import Message, Ok, RunUpdate, WatchRun, encode

PUSH_INTERVAL_S = 0.05  # between two updates to one watcher, unless the run is over

_encode = msgspec.msgpack.Encoder().encode


class Watches:
    """The watchers of this master."""

    def __init__(self, replica: Replica, *, heard_ms_ago: Callable[[], int]) -> None:
        self._replica = replica
        self._admission = Admission(heard_ms_ago=heard_ms_ago)
        self._runs: dict[RunId, set[Watcher]] = {}
        self.keys = KeyWatches(replica, self._admission)
        self.follows = Follows(replica, self._admission)
        replica.listen(self._on_applied)

    def __len__(self) -> int:
        """How many watchers there are, of all kinds."""
        return self._admission.count

    def _on_applied(self, index: int, events: Sequence[AnyEvent]) -> None:
        self.keys.on_applied(index, events)
        self.follows.on_applied(events)
        for event in events:
            if isinstance(event, StateReplaced):
                self._touch_all()
            elif isinstance(event, JobChanged | ProgressReported):
                for watcher in self._runs.get(event.run, ()):
                    watcher.touch(event.job)
            elif isinstance(event, JobsChanged):
                for watcher in self._runs.get(event.run, ()):
                    watcher.touch_all(event.jobs)
            elif isinstance(event, RunChanged | RunSubmitted):
                over = isinstance(event, RunChanged) and event.over
                for watcher in self._runs.get(event.run, ()):
                    watcher.touch("", over=over)

    def _touch_all(self) -> None:
        for watchers in self._runs.values():
            for watcher in watchers:
                watcher.touch("")

    # --- runs ---------------------------------------------------------------------------------

    async def run(self, message: WatchRun, channel: Stream) -> Message:
        """Serve a `WatchRun` channel."""
        if message.run not in self._replica.state.runs:
            raise NotFound(f"there is no run {message.run}")
        with self._admission.enter() as watcher:
            self._runs.setdefault(message.run, set()).add(watcher)
            try:
                await self._follow_run(message, channel, watcher)
            finally:
                self._runs[message.run].discard(watcher)
                if not self._runs[message.run]:
                    del self._runs[message.run]
        return Ok()

    async def _follow_run(self, message: WatchRun, channel: Stream, watcher: Watcher) -> None:
        over = await self._send_all(message, channel)
        while not over:
            changed = await watcher.next_changes(is_deaf=self._admission.is_deaf)
            jobs = [JobId(one) for one in changed if one] if message.jobs else []
            over = await self._send_jobs(message, jobs, channel)
            if not over:
                await watcher.rest(PUSH_INTERVAL_S)

    async def _send_all(self, message: WatchRun, channel: Stream) -> bool:
        if not message.jobs:
            return await self._send_jobs(message, [], channel)
        jobs = list(self._replica.state.runs[message.run].jobs)
        return await self._send_jobs(message, jobs, channel)

    async def _send_jobs(self, message: WatchRun, jobs: list[JobId], channel: Stream) -> bool:
        """Send pages of jobs, the run with each; whether the run was over in the last one."""
        run, over = message.run, False
        for at in range(0, max(1, len(jobs)), LIST_PAGE_MAX):
            state = self._replica.state
            view = read(state, GetRun(run=run))
            page = [read(state, GetJob(run=run, job=job)) for job in jobs[at : at + LIST_PAGE_MAX]]
            update = RunUpdate(
                index=state.index,
                run=_encode(view),
                jobs=_encode(page),
                results=self._results(message),
            )
            over = view.over
            await channel.send(encode(update))
            await asyncio.sleep(0)  # a large run has many pages, and others are waiting too
        return over

    def _results(self, message: WatchRun) -> bytes:
        if not message.results:
            return b""
        few = message.results[:RESULTS_WATCHED_MAX]
        return _encode(read(self._replica.state, GetResults(run=message.run, jobs=few)))
