"""Live pages: server-sent events that carry views of what changed.

`GET /api/v1/stream?runs=true&run=ID&workers=true&keys=PREFIX&cluster=true`. Each batch of messages ends
with one that carries the applied index as its id; a page that reconnects, here or at another master,
sends it as `Last-Event-ID` and gets what changed since. `reset` says that everything follows anew.
Messages: `runs`, `jobs`, `workers`, `keys`, `schedules` (lists of views), `gone` (ids that no longer
exist), `cluster`, `facts` (what happened, newest first). Views replace each other
by id, so a repeat does no harm.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import msgspec
from aiohttp import web

from titan.errors import NotFound, UserError
from titan.fsm.queries import (
    GetJob,
    GetRun,
    GetSchedule,
    KvGet,
    KvList,
    ListJobs,
    ListRuns,
    ListSchedules,
    ListWorkers,
)
from titan.fsm.queries.base import Query
from titan.ids import JobId, RunId
from titan.limits import FACTS_PER_PUSH_MAX, LIST_PAGE_MAX
from titan.master.feed import EVERYTHING, FACT, Follower, Id, Interest
from titan.master.http.api import Api
from titan.master.http.cluster import masters_of
from titan.master.http.facts import newest
from titan.master.http.schedules import scheduled
from titan.master.http.table import Call, Endpoint
from titan.master.watchers import DEAF_MS

PUSH_INTERVAL_S: Final = 0.05  # between two batches: what changes faster than that is merged
CLUSTER_PERIOD_S: Final = 1.0
KEEP_ALIVE_S: Final = 15.0
RECENT_RUNS: Final = 200  # sent by a reset; older ones are paged
_encode = msgspec.json.Encoder().encode


class StreamQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What to follow. `since` is the same as the header `Last-Event-ID`, for a first request."""

    runs: bool = False
    run: str = ""
    workers: bool = False
    keys: str | None = None
    cluster: bool = False
    schedules: bool = False
    facts: bool = False
    since: int | None = None


class Message(NamedTuple):
    """One server-sent event."""

    kind: str
    data: Any
    at: int | None = None  # the index that the page has seen once it has this

    def encode(self) -> bytes:
        """As it travels. JSON has no raw newlines, so one data line is enough."""
        ident = f"id: {self.at}\n" if self.at is not None else ""
        return f"event: {self.kind}\n{ident}data: ".encode() + _encode(self.data) + b"\n\n"


async def stream(api: Api, call: Call) -> web.StreamResponse:
    """Serve until the page leaves or this master loses touch with the leader."""
    query: StreamQuery = call.query
    interest = Interest(
        runs=query.runs,
        run=query.run,
        workers=query.workers,
        keys=query.keys,
        schedules=query.schedules,
        facts=query.facts,
    )
    since = _since(call)
    follower = api.feed.follow(interest)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    response.headers.update(api.headers(call.request))
    try:
        await response.prepare(call.request)
        await _Stream(api, response, follower).run(since=since, with_cluster=query.cluster)
    except ConnectionResetError:
        pass  # the page has gone
    finally:
        api.feed.leave(follower)
    return response


def _since(call: Call) -> int | None:
    text = call.request.headers.get("Last-Event-ID", "")
    if not text:
        since: int | None = call.query.since
        return since
    if not text.isdecimal():
        raise UserError(f"Last-Event-ID is an index of the log, not {text[:50]!r}")
    return int(text)


class _Stream:
    """One page's stream."""

    def __init__(self, api: Api, response: web.StreamResponse, follower: Follower) -> None:
        self._api = api
        self._response = response
        self._follower = follower
        self._cluster: bytes = b""
        self._told_at = -1  # facts up to this index
        self._in_touch_s = time.monotonic()

    def _is_deaf(self) -> bool:
        """Whether this master has heard no leader for so long that the page had better go elsewhere; an
        election is no reason."""
        now_s = time.monotonic()
        if self._api.age_ms <= DEAF_MS:
            self._in_touch_s = now_s
        return now_s - self._in_touch_s > DEAF_MS / 1000

    async def run(self, *, since: int | None, with_cluster: bool) -> None:
        """The beginning, then every change."""
        feed, interest = self._api.feed, self._follower.interest
        missed = None if since is None else feed.since(since, interest)
        self._told_at = since if missed is not None and since is not None else -1
        if missed is None:
            await self._send_everything()
        else:
            await self._send_changes(missed)
        last_sent_s = 0.0
        loop = asyncio.get_running_loop()
        while not self._is_deaf():
            if with_cluster:
                await self._send_cluster()
            changes = await self._follower.changes(timeout_s=CLUSTER_PERIOD_S)
            if changes:
                await (
                    self._send_everything()
                    if EVERYTHING in changes
                    else self._send_changes(changes)
                )
                last_sent_s = loop.time()
                await asyncio.sleep(PUSH_INTERVAL_S)
            elif loop.time() - last_sent_s > KEEP_ALIVE_S:
                await self._response.write(b": still here\n\n")
                last_sent_s = loop.time()

    async def _send(self, kind: str, data: Any, *, index: int | None = None) -> None:
        await self._response.write(Message(kind, data, index).encode())

    async def _send_cluster(self) -> None:
        masters = masters_of(await self._api.cluster())
        encoded = _encode(masters)
        if encoded != self._cluster:
            self._cluster = encoded
            await self._send("cluster", masters)

    async def _send_everything(self) -> None:
        index = self._api.state.index
        await self._send("reset", {"index": index})
        interest = self._follower.interest
        if interest.runs:
            await self._send("runs", self._api.read(ListRuns(limit=RECENT_RUNS)))
        if interest.run:
            await self._send_run(RunId(interest.run))
        if interest.workers:
            await self._send("workers", self._api.read(ListWorkers()))
        if interest.keys is not None:
            await self._send_pages("keys", interest.keys)
        if interest.schedules:
            await self._send_schedules()
        self._told_at = -1
        await self._send_facts(index)
        await self._send("now", {"index": index}, index=index)

    async def _send_run(self, run: RunId) -> None:
        view = _one(self._api, GetRun(run=run))
        if view is None:
            await self._send("gone", [["run", run]])
            return
        await self._send("runs", [view])
        after = ""
        while page := self._api.read(ListJobs(run=run, limit=LIST_PAGE_MAX, after=after)):
            await self._send("jobs", page)
            after = page[-1].id
            await asyncio.sleep(0)  # a large run has many pages, and others are waiting too

    async def _send_pages(self, kind: str, prefix: str) -> None:
        after = ""
        while page := self._api.read(KvList(prefix=prefix, limit=LIST_PAGE_MAX, after=after)):
            await self._send(kind, page)
            after = page[-1].key

    async def _send_schedules(self) -> None:
        after = ""
        while page := self._api.read(ListSchedules(after=after)):
            await self._send("schedules", [scheduled(one, count=1) for one in page])
            after = page[-1].name
            await asyncio.sleep(0)  # calendars take their time

    async def _send_changes(self, changes: Iterable[Id]) -> None:
        index = self._api.state.index
        for ids in _pages(what for what in changes if what != FACT):
            for kind, items in _views(self._api, ids).items():
                await self._send(kind, items)
            await asyncio.sleep(0)
        await self._send_facts(index)
        await self._send("now", {"index": index}, index=index)

    async def _send_facts(self, index: int) -> None:
        """Those that the page has not been told. More than a push holds are told by the newest of them."""
        if self._follower.interest.facts:
            found = newest(self._api.feed, limit=FACTS_PER_PUSH_MAX, after=self._told_at)
            self._told_at = max(index, found[0].index) if found else index
            if found:
                await self._send("facts", found)


def _pages(changes: Iterable[Id]) -> Iterator[list[Id]]:
    page: list[Id] = []
    for what in changes:
        page.append(what)
        if len(page) == LIST_PAGE_MAX:
            yield page
            page = []
    if page:
        yield page


def _views(api: Api, ids: Iterable[Id]) -> dict[str, list[Any]]:
    """The views of what changed, by kind of message; what is no longer there is `gone`."""
    found: dict[str, list[Any]] = {}
    workers = None
    for what in ids:
        kind, name = what[0], what[1]
        view: Any = None
        if kind == "run":
            view = _one(api, GetRun(run=RunId(name)))
        elif kind == "job":
            view = _one(api, GetJob(run=name, job=JobId(what[2])))
        elif kind == "key":
            view = api.read(KvGet(key=name))
        elif kind == "schedule":
            found_one = _one(api, GetSchedule(name=name))
            view = None if found_one is None else scheduled(found_one, count=1)
        else:
            if workers is None:
                workers = {each.id: each for each in api.read(ListWorkers())}
            view = workers.get(name)
        if view is None:
            found.setdefault("gone", []).append(what)
        else:
            found.setdefault(kind + "s", []).append(view)
    return found


def _one(api: Api, query: Query) -> Any:
    try:
        return api.read(query)
    except NotFound:
        return None


ENDPOINTS: Final = (
    Endpoint(
        "GET",
        "/api/v1/stream",
        stream,
        "Live views as server-sent events, resumed by Last-Event-ID at any master",
        query=StreamQuery,
        content="text/event-stream",
    ),
)
