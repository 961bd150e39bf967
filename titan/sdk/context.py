"""What code inside a task knows of itself, from the environment that the worker gives it."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from titan.errors import UserError

if TYPE_CHECKING:
    from titan.sdk.client import RunHandle, TitanClient


class TaskContext(NamedTuple):
    """The attempt that this process is."""

    run: str
    job: str
    attempt: int  # unique in the cluster
    number: int  # 1 for the job's first attempt
    fence: int  # the log index of its assignment: grows with every attempt of the job

    def submit_saved_dag(self, name: str, **how: Any) -> RunHandle:
        """Start a run of a saved pipeline; takes what `TitanClient.submit_saved_dag` takes. It is a run of
        its own, which outlives this task; a job of type `pipeline` runs one as a part of its run."""
        return _client().submit_saved_dag(name, **how)


def current() -> TaskContext:
    """The task that this code runs in. Raises `UserError` outside of one."""
    if not attempt_id(os.environ):
        raise UserError(
            "this code does not run inside a Titan task",
            hint="titan.sdk.current() works in jobs that a worker started",
        )
    return TaskContext(
        run=os.environ.get("TITAN_RUN_ID", ""),
        job=os.environ.get("TITAN_JOB_ID", ""),
        attempt=attempt_id(os.environ),
        number=_number(os.environ, "TITAN_ATTEMPT_NUMBER"),
        fence=_number(os.environ, "TITAN_FENCE"),
    )


@functools.cache
def _client() -> TitanClient:
    """The client of this task, made when it is first needed."""
    from titan.sdk.client import TitanClient

    return TitanClient()


def attempt_id(environment: Mapping[str, str]) -> int:
    """The attempt that writes from this process belong to; 0 outside a task."""
    return _number(environment, "TITAN_ATTEMPT")


def _number(environment: Mapping[str, str], name: str) -> int:
    text = environment.get(name, "")
    return int(text) if text.isdecimal() else 0
