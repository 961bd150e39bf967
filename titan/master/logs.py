"""Reading a job's output: from the masters once it is finished and kept, else from the worker that has it.

A reader asks any master; a follower passes the request on to the leader, which has the workers'
connections. Pieces go from the worker's channel to the reader's, at the reader's pace.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from titan.errors import NotFound, TitanError, Unavailable
from titan.fsm.events import AnyEvent, AttemptAssigned, JobChanged, JobsChanged
from titan.fsm.state import Job
from titan.ids import AttemptId, JobId, RunId, WorkerId
from titan.master.kept_logs import KeptLogs
from titan.master.reigns import Reigns
from titan.master.replica import Replica
from titan.wire.channel import Stream
from titan.wire.messages import LogEnd, ReadLog

_UNTOLD: Final = ("lost", "retracted", "cancelled")  # causes of ends that no worker has described


class LogReader:
    """Serves `ReadLog` on the leader."""

    def __init__(self, replica: Replica, reigns: Reigns, kept: KeptLogs) -> None:
        self._kept = kept
        self._replica = replica
        self._reigns = reigns
        self._waiting: dict[tuple[RunId, JobId], dict[asyncio.Event, None]] = {}
        replica.listen(self._on_applied)

    async def read(self, message: ReadLog, channel: Stream) -> LogEnd:
        """Relay one attempt's output; with `follow`, the newest attempt's and those that come after."""
        job = self._job(message)
        attempt = message.attempt or _newest(job)
        if not message.follow:
            if not attempt:
                return LogEnd(attempt=AttemptId(0), size=0)
            return await self._relay(message, attempt, channel, offset=message.offset)
        end, offset = LogEnd(attempt=AttemptId(0), size=0), message.offset
        while True:
            if attempt and attempt != end.attempt:
                end = await self._relay(message, attempt, channel, offset=offset)
                offset = 0
            job = self._job(message)
            if message.attempt or (job.state.is_over and _newest(job) == end.attempt):
                return end
            if _newest(job) in (0, end.attempt):
                await self._next_change(message)
            attempt = _newest(self._job(message))

    def _job(self, message: ReadLog) -> Job:
        job = self._replica.state.job(message.run, message.job)
        if job is None:
            raise NotFound(f"there is no job {message.job} in run {message.run}")
        return job

    async def _next_change(self, message: ReadLog) -> None:
        key = (message.run, message.job)
        changed = asyncio.Event()
        self._waiting.setdefault(key, {})[changed] = None
        try:
            await changed.wait()  # ends with the job, or with the reader's connection
        finally:
            waiting = self._waiting.get(key, {})
            waiting.pop(changed, None)
            if not waiting:
                self._waiting.pop(key, None)

    def _why_not(self, attempt: AttemptId, worker: WorkerId) -> TitanError:
        """A worker that is believed alive may be back in a moment; a lost one has taken its logs along."""
        where = f"the output of attempt {attempt} is on worker {worker}"
        record = self._replica.state.workers.get(worker)
        if record is not None and record.online:
            return Unavailable(f"{where}, which is connecting")
        return NotFound(
            f"{where}, which is lost", hint="start a worker on that data directory to read it"
        )

    def _on_applied(self, index: int, events: Sequence[AnyEvent]) -> None:
        if not self._waiting:
            return
        for event in events:
            if isinstance(event, JobChanged | AttemptAssigned):
                self._wake(event.run, event.job)
            elif isinstance(event, JobsChanged):
                for run, job in [key for key in self._waiting if key[0] == event.run]:
                    self._wake(run, job)

    def _wake(self, run: RunId, job: JobId) -> None:
        for waiting in self._waiting.get((run, job), ()):
            waiting.set()

    async def _relay(
        self, message: ReadLog, attempt: AttemptId, channel: Stream, *, offset: int
    ) -> LogEnd:
        job = self._job(message)
        worker = _worker_of(job, attempt)
        if attempt != job.live:
            if _has_printed_nothing(job, attempt):
                return LogEnd(attempt=attempt, size=0)
            end = await self._kept.send(message, attempt, channel, offset=offset)
            if end is not None:
                return end
        session = self._reigns.need().sessions.get(worker)
        if session is None or session.connection is None or not session.is_open:
            raise self._why_not(attempt, worker)
        asked = ReadLog(
            run=message.run,
            job=message.job,
            attempt=attempt,
            offset=offset,
            follow=message.follow,
            grep=message.grep,
            since_ms=message.since_ms,
            until_ms=message.until_ms,
        )
        source = session.connection.open(asked)
        try:
            async for piece in source:
                await channel.send(piece)
            last = await source.result(None)
        except NotFound:
            if _was_cancelled(self._job(message), attempt):
                return LogEnd(
                    attempt=attempt, size=0
                )  # before it began: no worker says how that ended
            raise
        except BaseException:
            source.cancel()
            raise
        if not isinstance(last, LogEnd):
            raise TitanError("the worker did not end the log")
        return last


def _newest(job: Job) -> AttemptId:
    if job.live:
        return job.live
    return job.history[-1].attempt if job.history else AttemptId(0)


def _has_printed_nothing(job: Job, attempt: AttemptId) -> bool:
    """Whether the attempt has told its end, and that it has written no output."""
    found = next((one for one in job.history if one.attempt == attempt), None)
    return found is not None and not found.log_bytes and found.cause not in _UNTOLD


def _was_cancelled(job: Job, attempt: AttemptId) -> bool:
    return any(one.attempt == attempt and one.cause == "cancelled" for one in job.history)


def _worker_of(job: Job, attempt: AttemptId) -> WorkerId:
    if attempt == job.live:
        return job.worker
    for record in job.history:
        if record.attempt == attempt:
            return record.worker
    raise NotFound(f"attempt {attempt} is not among the last ones of job {job.id}")
