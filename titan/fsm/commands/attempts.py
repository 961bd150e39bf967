"""Orders about attempts, all of them the leader's. Handlers: `attempts.py`."""

from __future__ import annotations

from typing import ClassVar

from titan.fsm.commands.base import Command
from titan.ids import AttemptId, JobId, RunId, WorkerId
from titan.spec.manifest import Manifest


class AssignAttempt(Command, frozen=True, kw_only=True, tag="attempt.assign"):
    """The planner gives a ready job to a worker. The state machine checks it again and draws the id."""

    run: RunId
    job: JobId
    worker: WorkerId


class FinishAttempt(Command, frozen=True, kw_only=True, tag="attempt.finish"):
    """A worker reports how an attempt ended. Accepted once, only while the attempt is live."""

    attempt: AttemptId
    exit_code: int  # as a shell reports it: 128 + n for signal n; -1 when it never started
    cause: str = ""  # "", timeout, start_failed, not_prepared, output_limit or out_of_memory
    detail: str = ""  # one line for people
    duration_us: int = 0  # process start to exit; 0 when it never started
    log_bytes: int = 0
    output: bytes = b""
    log: bytes = b""  # all that it has written, when that is little; since version 2
    artifacts: Manifest | None = None  # what it hands to its children; since version 2
    cpu_us: int = 0  # of the process and what it waited for; 0 when the worker cannot tell

    cpu_since: ClassVar[int] = 2  # the version of the cluster from which it counts

    def needs_version(self) -> int:
        """2 with what version 1 would have ignored."""
        return 2 if self.log or self.artifacts is not None else 1


class ReleaseAttempt(Command, frozen=True, kw_only=True, tag="attempt.release"):
    """The attempt will not run where it is; its job is ready again without spending a retry.

    `cause`: retracted (never started, pulled back) or lost (its worker no longer has it).
    """

    attempt: AttemptId
    cause: str
