"""Programs that the worker runs for itself: package installers, container engines, probes.

They are the warden's children like jobs, so nothing of them outlives the worker, and their numbers are
negative, so that nobody takes one for an attempt. Every run has a deadline. Output goes to a file.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from titan.exec.isolation.limits import NotPrepared
from titan.ids import AttemptId
from titan.limits import TOOL_OUTPUT_BYTES_MAX

_GONE_PATIENCE_S: Final = 10.0  # a killed process is reaped well within it
_NOT_STARTED: Final = -1
_ROOT: Final = Path("/")


class Spawner(Protocol):
    """The part of the warden that is needed here."""

    def spawn(
        self,
        attempt: AttemptId,
        *,
        argv: Sequence[bytes],
        cwd: Path,
        env: Mapping[bytes, bytes],
        log: Path,
        how: Mapping[str, Any] | None = None,
    ) -> None:
        """Order a process."""

    def kill(self, attempt: AttemptId) -> None:
        """End it and what it started."""


class ToolFailed(NotPrepared):
    """A program that had to prepare the job ended badly."""


class Tools:
    """See the module. The runner passes on what the warden reports of negative numbers."""

    def __init__(self, spawner: Spawner, *, folder: Path) -> None:
        self._spawner = spawner
        self._folder = folder
        self._running: dict[AttemptId, asyncio.Future[int]] = {}
        self._problems: dict[AttemptId, str] = {}
        self._last = 0
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.iterdir():
            left.unlink()

    async def run(
        self,
        argv: Sequence[str | bytes],
        *,
        env: Mapping[str, str] | Mapping[bytes, bytes],
        log: Path,
        timeout_s: float,
        cwd: Path = _ROOT,
    ) -> int:
        """Run a program to its end; its exit code. Cancelling kills it. Raises `ToolFailed`."""
        self._last -= 1
        key = AttemptId(self._last)
        over = self._running[key] = asyncio.get_running_loop().create_future()
        self._spawner.spawn(
            key,
            argv=[os.fsencode(word) for word in argv],
            cwd=cwd,
            env={os.fsencode(name): os.fsencode(value) for name, value in env.items()},
            log=log,
        )
        try:
            async with asyncio.timeout(timeout_s):
                code: int = await asyncio.shield(over)
        except TimeoutError:
            raise ToolFailed(f"{_name(argv)} did not end within {timeout_s:g} s") from None
        finally:
            if not over.done():
                self._spawner.kill(key)
                await asyncio.wait({over}, timeout=_GONE_PATIENCE_S)
            del self._running[key]
            problem = self._problems.pop(key, "")
        if problem:
            raise ToolFailed(f"{_name(argv)} could not be started: {problem}")
        return code

    async def ask(
        self, argv: Sequence[str], *, env: Mapping[str, str], timeout_s: float
    ) -> tuple[int, str]:
        """Run a program; its exit code and what it printed."""
        fd, name = tempfile.mkstemp(dir=self._folder)
        os.close(fd)
        path = Path(name)
        try:
            code = await self.run(argv, env=env, log=path, timeout_s=timeout_s)
            return code, last_of(path)
        finally:
            path.unlink(missing_ok=True)

    def on_exited(self, key: AttemptId, *, exit_code: int) -> None:
        """The warden says that it has ended."""
        self._settle(key, exit_code)

    def on_start_failed(self, key: AttemptId, problem: str) -> None:
        """The warden says that it could not be started."""
        self._problems[key] = problem
        self._settle(key, _NOT_STARTED)

    def _settle(self, key: AttemptId, code: int) -> None:
        over = self._running.get(key)
        if over is not None and not over.done():
            over.set_result(code)


def last_of(path: Path) -> str:
    """The end of a file, as text."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TOOL_OUTPUT_BYTES_MAX))
            return file.read().decode(errors="replace").strip()
    except OSError:
        return ""


def reason_in(text: str) -> str:
    """The line that says what went wrong: the first error among the last lines, else the last one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines[-20:] if line.lower().startswith(("error", "docker:"))]
    return (errors or lines[-1:] or ["it said nothing"])[0]


def _name(argv: Sequence[str | bytes]) -> str:
    return " ".join(map(os.fsdecode, argv[:4]))
