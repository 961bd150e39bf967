"""A job's output: everything so far, or followed while it grows."""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator

from titan.fsm.queries import JobView
from titan.ids import AttemptId
from titan.sdk.views import ViewsApi
from titan.wire.messages import Message, ReadLog


class LogsApi(ViewsApi):
    """Output of jobs. Bytes that are not UTF-8 are shown as U+FFFD."""

    async def fetch_logs(self, job_id: object, run: object | None = None) -> str:
        """All that the newest attempt of a job has written; "" when it has not started yet.

        Without `run`: of the newest run that has the job. Raises `NotFound`, and `Unavailable` when
        the worker that has the output does not come back in time.
        """
        job = await self.get_job(str(job_id), run)
        attempt = _newest(job)
        if not attempt:
            return ""
        pieces = [piece async for piece in self._attempt_log(job, attempt, follow=False)]
        return b"".join(pieces).decode("utf-8", "replace")

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
        self, job: JobView, attempt: AttemptId, *, follow: bool
    ) -> AsyncIterator[bytes]:
        offset = 0

        def request() -> Message:
            return ReadLog(run=job.run, job=job.id, attempt=attempt, offset=offset, follow=follow)

        async for piece in self._transport.stream(request):
            if isinstance(piece, bytes):
                offset += len(piece)
                yield piece


def _newest(job: JobView) -> AttemptId:
    if job.live:
        return job.live
    return job.history[-1].attempt if job.history else AttemptId(0)
