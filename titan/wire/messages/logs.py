"""Reading the output of jobs."""

from __future__ import annotations

from titan.ids import AttemptId, JobId, RunId
from titan.wire.messages.base import Message


class ReadLog(Message, frozen=True, kw_only=True, tag="log.read"):
    """Channel → bytes of a job's output from `offset`; ends with `LogEnd`.

    Client → master, and master → the worker that has the file. `attempt` 0 means the newest.
    With `follow` it goes on until the attempt has ended.
    """

    run: RunId
    job: JobId
    attempt: AttemptId = AttemptId(0)
    offset: int = 0
    follow: bool = False


class LogEnd(Message, frozen=True, kw_only=True, tag="log.end"):
    """The log is complete up to `size`."""

    attempt: AttemptId
    size: int
