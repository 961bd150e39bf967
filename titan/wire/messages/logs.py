"""Reading the output of jobs."""

from __future__ import annotations

from titan.ids import AttemptId, JobId, RunId
from titan.wire.messages.base import Message


class ReadLog(Message, frozen=True, kw_only=True, tag="log.read"):
    """Channel → bytes of a job's output from `offset`; ends with `LogEnd`.

    Client → master, and master → the worker that has the file. `attempt` 0 means the newest.
    With `follow` it goes on until the attempt has ended. `grep` chooses the lines that hold a text;
    `since_ms` and `until_ms` (wall clock, 0: no bound) what was written in between, as far as is known.
    `offset` counts bytes of the answer: what the reader has already.
    """

    run: RunId
    job: JobId
    attempt: AttemptId = AttemptId(0)
    offset: int = 0
    follow: bool = False
    grep: str = ""
    since_ms: int = 0
    until_ms: int = 0


class LogEnd(Message, frozen=True, kw_only=True, tag="log.end"):
    """The log is complete up to `size`."""

    attempt: AttemptId
    size: int
