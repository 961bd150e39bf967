"""Helpers for the worker's tests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from titan.exec.core import WorkerCore
from titan.exec.events import (
    Event,
    Instruction,
    OutputTooLarge,
    ProcessEnded,
    ProcessStarted,
    StartFailed,
    TimePassed,
)
from titan.ids import AttemptId, RunId
from titan.spec.model import BlobRef, JobSpec
from titan.wire.messages import RunAttempt

RUN = RunId("r-00000000000000000000")


def order(
    attempt: int,
    *,
    epoch: int = 1,
    slots: int = 1,
    bundle: str = "",
    results: tuple[bytes, ...] = (),
    large_results: dict[int, BlobRef] | None = None,
    **fields: Any,
) -> RunAttempt:
    fields.setdefault("id", f"job{attempt}")
    if slots != 1:
        fields["resources"] = {"slots": slots}
    if not {"file", "argv", "shell", "call"} & fields.keys():
        fields["argv"] = (b"true",)
    return RunAttempt(
        attempt=attempt,
        fence=attempt * 10,
        epoch=epoch,
        run=RUN,
        number=1,
        spec=JobSpec(**fields),
        bundle=bundle,
        results=results,
        large_results=large_results or {},
    )


class CoreDriver:
    """A core with a clock; every step is validated."""

    def __init__(
        self, *, slots: int, grace_ms: int = 5000, outbox: Iterable[AttemptId] = ()
    ) -> None:
        self.core = WorkerCore(slots=slots, kill_grace_ms=grace_ms, outbox=outbox)
        self.now_ms = 1_000_000

    def __call__(self, event: Event) -> list[Instruction]:
        out = self.core.handle(event, now_ms=self.now_ms)
        self.core.validate_state()
        return out

    def started(self, attempt: int) -> list[Instruction]:
        return self(ProcessStarted(attempt=attempt))

    def start_failed(self, attempt: int, detail: str = "") -> list[Instruction]:
        return self(StartFailed(attempt=attempt, detail=detail))

    def ended(self, attempt: int, exit_code: int = 0) -> list[Instruction]:
        return self(ProcessEnded(attempt=attempt, exit_code=exit_code))

    def too_large(self, attempt: int) -> list[Instruction]:
        return self(OutputTooLarge(attempt=attempt))

    def pass_time(self, step_ms: int) -> list[Instruction]:
        self.now_ms += step_ms
        return self(TimePassed())


async def until(
    condition: Callable[[], Any], *, timeout_s: float = 20, last: Callable[[], Any] = lambda: ""
) -> Any:
    """Wait until `condition` is true; what it returned. Fails with `last()` at the deadline."""
    deadline = time.monotonic() + timeout_s
    while not (result := condition()):
        assert time.monotonic() < deadline, f"still not true; last seen: {last()!r}"
        await asyncio.sleep(0.005)
    return result


def is_alive(pid: int) -> bool:
    """Whether the process exists and is not a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text.rpartition(")")[2].split()[0] != "Z"
