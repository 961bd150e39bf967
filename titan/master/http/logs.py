"""A job's output over HTTP: raw bytes from an offset, or followed as server-sent events."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from aiohttp import web

from titan.errors import TitanError
from titan.ids import AttemptId, JobId, RunId, strip_v1_prefix
from titan.master.http.api import Api
from titan.master.http.sending import Sending
from titan.master.http.table import Call, Endpoint
from titan.wire.messages import LogEnd, ReadLog


class LogQuery(msgspec.Struct, frozen=True, kw_only=True):
    """`attempt` 0 is the newest; `offset` in bytes; with `follow` it goes on until the job has ended. With
    `tail_bytes` at most so much of the end of what an ended attempt has written. `grep`: lines with this
    text; `since_ms` and `until_ms`: what was written in between."""

    attempt: int = 0
    offset: int = 0
    follow: bool = False
    grep: str = ""
    since_ms: int = 0
    until_ms: int = 0
    tail_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0


async def read_log(api: Api, call: Call) -> web.StreamResponse:
    """The bytes as the job wrote them. Errors before the first byte are JSON; a break afterwards cuts
    the answer short, and the reader goes on from the offset that it has."""
    query: LogQuery = call.query
    message = ReadLog(
        run=RunId(call.path["run"]),
        job=JobId(strip_v1_prefix(call.path["job"])),
        attempt=AttemptId(query.attempt),
        offset=max(query.offset, _tail(api, call)),
        follow=query.follow,
        grep=query.grep,
        since_ms=query.since_ms,
        until_ms=query.until_ms,
    )
    response = Sending(api, call.request, {"Content-Type": "text/plain; charset=utf-8"})
    end = await api.gateway.channel(message, response, forwarded=False)
    if not isinstance(end, LogEnd):
        raise TitanError("the log did not end as it should")
    return await response.close()


def _tail(api: Api, call: Call) -> int:
    """Where the end begins: as far as the attempt has ended and told how much it has written."""
    query: LogQuery = call.query
    if not query.tail_bytes or query.follow or query.grep or query.since_ms or query.until_ms:
        return 0
    job = api.state.job(RunId(call.path["run"]), JobId(strip_v1_prefix(call.path["job"])))
    if job is None or not job.history or job.live:
        return 0
    wanted = query.attempt or job.history[-1].attempt
    written = next((one.log_bytes for one in job.history if one.attempt == wanted), 0)
    return max(0, written - query.tail_bytes)


ENDPOINTS: Final = (
    Endpoint(
        "GET",
        "/api/v1/runs/{run}/jobs/{job}/log",
        read_log,
        "What a job has written",
        query=LogQuery,
        content="text/plain",
    ),
)
