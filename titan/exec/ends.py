"""From the end of a process to the end of its attempt: what the end was, and what it has left.

Owns the attempts in between. Most take no time; a container has to be looked into, and files have to be
stored before anybody hears of the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from titan.exec.events import ProcessEnded
from titan.exec.files.attempts import NOT_STORED, AttemptFiles, Ending
from titan.exec.isolation.fences import Fences
from titan.exec.isolation.verdicts import Verdict
from titan.exec.workspace import Workspace
from titan.ids import AttemptId
from titan.wire.messages import RunAttempt


class Ends:
    """See the module. `is_signalled` says whether the worker has asked an attempt's process to end."""

    def __init__(
        self,
        *,
        fences: Fences,
        files: AttemptFiles,
        is_signalled: Callable[[AttemptId], bool],
        over: Callable[[ProcessEnded], None],
    ) -> None:
        self._fences = fences
        self._files = files
        self._is_signalled = is_signalled
        self._over = over
        self._looks: set[asyncio.Task[None]] = set()
        self._storing: dict[AttemptId, asyncio.Task[None]] = {}

    def take(
        self, end: ProcessEnded, *, order: RunAttempt, workspace: Workspace, log_file: Path
    ) -> None:
        """Its process has ended; `over` is called once everything is known and stored."""
        if not self._fences.needs_look(end.attempt):
            verdict = self._fences.verdict(end.attempt, exit_code=end.exit_code)
            self._judged(end, verdict, order, workspace)
            return
        look = self._look(end, order, workspace, log_file)
        task = asyncio.create_task(look, name=f"end of attempt {end.attempt}")
        self._looks.add(task)
        task.add_done_callback(self._looks.discard)

    def give_up(self, attempt: AttemptId) -> None:
        """Stop storing what it has left, if that is being done."""
        if (task := self._storing.get(attempt)) is not None:
            task.cancel()

    async def close(self) -> None:
        """Give all of them up."""
        tasks = [*self._looks, *self._storing.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- inside -------------------------------------------------------------------------------

    async def _look(
        self, end: ProcessEnded, order: RunAttempt, workspace: Workspace, log_file: Path
    ) -> None:
        verdict = await self._fences.look(
            end.attempt,
            exit_code=end.exit_code,
            was_killed=self._is_signalled(end.attempt),
            log_file=log_file,
        )
        self._judged(end, verdict, order, workspace)

    def _judged(
        self, end: ProcessEnded, verdict: Verdict, order: RunAttempt, workspace: Workspace
    ) -> None:
        """It is known how the process ended; what it has left may have to be stored first."""
        output, problem = workspace.read_output()
        detail = verdict.detail or problem
        if output or detail or verdict.cause:
            end = replace(end, output=output, detail=detail, cause=verdict.cause)
        went_well = not (self._is_signalled(end.attempt) or end.exit_code or end.cause)
        if self._files.needs_finishing(order, workspace, went_well=went_well):
            self._store(end, self._finish(order, workspace, end, went_well=went_well))
        else:
            self._over(end)

    def _store(self, end: ProcessEnded, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=f"store files of attempt {end.attempt}")
        self._storing[end.attempt] = task
        task.add_done_callback(lambda _: self._storing.pop(end.attempt, None))

    async def _finish(
        self, order: RunAttempt, workspace: Workspace, end: ProcessEnded, *, went_well: bool
    ) -> None:
        """The attempt has not ended before its files are stored: then nothing of it is lost."""
        ending = Ending(cause=NOT_STORED, detail="it was killed before its files were stored")
        try:
            ending = await self._files.finish(order, workspace, went_well=went_well)
        finally:
            if went_well:
                detail = ending.detail or end.detail
                end = replace(end, cause=ending.cause, detail=detail, artifacts=ending.artifacts)
            self._over(end)
