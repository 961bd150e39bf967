"""A job's output: everything so far, or followed while it grows."""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final, NamedTuple

from titan.errors import NotFound
from titan.fsm.queries import JobView
from titan.ids import AttemptId, is_run_id
from titan.sdk.views import ViewsApi
from titan.wire.messages import Message, ReadLog

Moment = float | datetime  # seconds since 1970, or a date and time
_SEARCHED_AT_ONCE: Final = 16


class LogLine(NamedTuple):
    """A line of a job's output."""

    job: str
    text: str


class _Wanted(NamedTuple):
    """What of a log is asked for."""

    text: str = ""
    since_ms: int = 0
    until_ms: int = 0


class LogsApi(ViewsApi):
    """Output of jobs. Bytes that are not UTF-8 are shown as U+FFFD."""

    async def fetch_logs(
        self,
        job_id: object,
        run: object | None = None,
        *,
        grep: str | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
    ) -> str:
        """All that the newest attempt of a job has written; "" when it has not started yet, or was
        cancelled before that.

        Without `run`: of the newest run that has the job. `grep`: only lines that hold this text.
        `since`, `until`: only what was written in between, as seconds since 1970 or `datetime`; short
        outputs have one time, that of their end. Raises `NotFound`, and `Unavailable` when only a worker
        has the output and does not come back in time.
        """
        job = await self.get_job(str(job_id), run)
        wanted = _Wanted(grep or "", _ms(since), _ms(until))
        return await self._whole_log(job, wanted)

    async def search_logs(
        self,
        target: object,
        text: str = "",
        *,
        since: Moment | None = None,
        until: Moment | None = None,
    ) -> list[LogLine]:
        """Lines with `text` in the newest output of every job of a run, or of one job, in order of jobs.

        Outputs that nobody has any more are passed over.
        """
        name = str(target)
        jobs = await self.list_jobs(name) if is_run_id(name) else [await self.get_job(name)]
        wanted = _Wanted(text, _ms(since), _ms(until))
        found: list[LogLine] = []
        for at in range(0, len(jobs), _SEARCHED_AT_ONCE):
            part = jobs[at : at + _SEARCHED_AT_ONCE]
            texts = await asyncio.gather(*(self._whole_log(job, wanted) for job in part),
                                         return_exceptions=True)  # fmt: skip
            for job, answer in zip(part, texts, strict=True):
                if isinstance(answer, str):
                    found += [LogLine(str(job.id), line) for line in answer.splitlines()]
                elif not isinstance(answer, NotFound):
                    raise answer
        return found

    async def _whole_log(self, job: JobView, wanted: _Wanted) -> str:
        attempt = _newest(job)
        if not attempt:
            return ""
        pieces = self._attempt_log(job, attempt, follow=False, wanted=wanted)
        return b"".join([piece async for piece in pieces]).decode("utf-8", "replace")

    async def follow_logs(self, job_id: object, run: object | None = None) -> AsyncIterator[str]:
        """What a job writes, from the beginning of its newest attempt until the job has ended.

        Waits for a job that has not started; goes on with the next attempt when there is a retry, and
        through failovers without a gap or a repeat.
        """
        job: JobView | None = await self.get_job(str(job_id), run)
        told = AttemptId(0)
        while job is not None:
            attempt = _newest(job)
            if attempt != told:
                told = attempt
                decoder = codecs.getincrementaldecoder("utf-8")("replace")
                async for piece in self._attempt_log(job, attempt, follow=True):
                    if text := decoder.decode(piece):
                        yield text
                if text := decoder.decode(b"", final=True):
                    yield text
            job = await self._next_attempt(job, told)

    async def _next_attempt(self, job: JobView, told: AttemptId) -> JobView | None:
        """The job once it has another attempt; None once it has ended without one."""
        async for change in self.watch_run(job.run):
            for seen in change.jobs:
                if seen.id != job.id:
                    continue
                if _newest(seen) != told:
                    return seen
                if seen.ended_ms and not seen.live:
                    return None
        return None

    async def _attempt_log(
        self, job: JobView, attempt: AttemptId, *, follow: bool, wanted: _Wanted | None = None
    ) -> AsyncIterator[bytes]:
        offset = 0
        only = wanted or _Wanted()

        def request() -> Message:
            return ReadLog(
                run=job.run,
                job=job.id,
                attempt=attempt,
                offset=offset,
                follow=follow,
                grep=only.text,
                since_ms=only.since_ms,
                until_ms=only.until_ms,
            )

        async for piece in self._transport.stream(request):
            if isinstance(piece, bytes):
                offset += len(piece)
                yield piece


def _newest(job: JobView) -> AttemptId:
    if job.live:
        return job.live
    return job.history[-1].attempt if job.history else AttemptId(0)


def _ms(moment: Moment | None) -> int:
    if moment is None:
        return 0
    seconds = moment.timestamp() if isinstance(moment, datetime) else moment
    return max(1, int(seconds * 1000))
