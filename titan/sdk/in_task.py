"""What code inside a task does to the world, all of it fenced by its attempt. For code with asyncio.

Every write carries the attempt; the cluster refuses it with `attempt_not_live` once the attempt has ended
or was superseded, also when its worker was only paused and does not know yet.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from titan.errors import LimitExceeded, ProtocolError, TimedOut, TitanError
from titan.fsm.commands import AckSignal, ReportProgress, SetOutput, Spend
from titan.fsm.queries import PeekSignal, SignalView
from titan.ids import AttemptId, JobId, RunId
from titan.limits import (
    OUTPUT_BLOB_BYTES_MAX,
    OUTPUT_BYTES_MAX,
    PROGRESS_INTERVAL_S,
    PROGRESS_NOTE_BYTES_MAX,
)
from titan.sdk.commit import Commit, as_list
from titan.sdk.context import Identity, identity
from titan.sdk.fencing import Fence
from titan.sdk.payloads import json_bytes, plain_value
from titan.sdk.signals import Signal

if TYPE_CHECKING:
    from titan.sdk.aio import AsyncClient
    from titan.sdk.handles import AsyncRunHandle
    from titan.sdk.jobs import TitanJob


class AsyncTaskContext:
    """The attempt that this process is, with a client. Raises `UserError` outside of a task."""

    def __init__(self, client: AsyncClient, me: Identity | None = None) -> None:
        me = me or identity()
        self.run, self.job, self.number, self.fence = me.run, me.job, me.number, me.fence
        self.attempt = me.attempt
        self.client = client
        self._newest: ReportProgress | None = None  # waits for its turn
        self._reporting: asyncio.Task[None] | None = None
        self._trouble: TitanError | None = None  # with a report that nobody waited for

    @property
    def checkpoint_dir(self) -> Path:
        """The folder whose files the job's next attempt finds, as they were published last."""
        return Path(os.environ["TITAN_CHECKPOINT_DIR"])

    async def checkpoint(self) -> None:
        """Publish the files in the checkpoint folder now, all of them or nothing."""
        await self.client.publish_checkpoint(self.checkpoint_dir)

    async def publish_artifact(self, key: str, file: str | os.PathLike[str]) -> str:
        """Store a file under a key for everybody; answers its digest. Refused once superseded."""
        return await self.client.publish_artifact(key, file)

    async def set_output(self, value: Any) -> None:
        """What the job puts out once this attempt ends well: anything JSON knows, at most 1 GiB. The
        last one counts, and goes before what the task writes into the file `TITAN_OUTPUT`; one of more
        than 64 KiB is written into it, and stored when the task has ended."""
        data = json_bytes(value, what="an output")
        if len(data) <= OUTPUT_BYTES_MAX:
            await self._write(SetOutput(value=data))
            return
        if len(data) > OUTPUT_BLOB_BYTES_MAX:
            raise LimitExceeded(
                f"an output of {len(data)} bytes; at most {OUTPUT_BLOB_BYTES_MAX}",
                hint="publish it as an artifact",
            )
        await asyncio.to_thread(Path(os.environ["TITAN_OUTPUT"]).write_bytes, data)
        await self._write(SetOutput(value=b""))  # what was set before does not count any more

    async def progress(self, fraction: float, note: str = "") -> None:
        """Show how far the task is, from 0 to 1. Call it as often as you like: at most one report a
        second is sent, the newest, and the calls between cost nothing."""
        if not 0 <= fraction <= 1:
            raise ValueError(f"progress is 0 to 1, not {fraction}")
        if self._trouble is not None:
            trouble, self._trouble = self._trouble, None
            raise trouble
        report = ReportProgress(ppm=round(fraction * 1_000_000), note=_clipped(note))
        if self._reporting is not None and not self._reporting.done():
            self._newest = report
            return
        await self._write(report)
        self._reporting = self.client._beside(self._report(), name=f"progress of {self.attempt}")

    async def _report(self) -> None:
        """Send the newest report once a second, until there is none."""
        while True:
            await asyncio.sleep(PROGRESS_INTERVAL_S)
            report, self._newest = self._newest, None
            if report is None:
                return
            try:
                await self._write(report)
            except TitanError as error:
                self._trouble = error
                return

    async def spend(self, unit: str, amount: int) -> int | None:
        """Use some units of the budgets that this run is under; a negative amount gives them back.
        Answers what is left, None when nothing limits them. Raises `Conflict` with the reason
        `budget_exhausted`; then nothing was spent."""
        left = await self._write(Spend(unit=unit, amount=amount))
        return None if left is None else int(left)

    async def submit(self, jobs: TitanJob | Iterable[TitanJob]) -> None:
        """Add jobs to the task's own run, all or none. They may depend on jobs of the run, on this one
        too; without parents they start at once."""
        await self._write(await self.client._addition(self.run, as_list(jobs)))

    @contextlib.asynccontextmanager
    async def commit(self, *, if_lock: Fence | None = None) -> AsyncIterator[Commit]:
        """Effects that happen together, when the block ends, or not at all. When the block raises,
        nothing is sent."""
        collected = Commit(self.run)
        yield collected
        await self.send(collected, if_lock=if_lock)

    async def send(self, collected: Commit, *, if_lock: Fence | None = None) -> None:
        """Commit what was collected."""
        command = await collected.command(self.client, if_lock=if_lock)
        if command is not None:
            collected.settle(await self._write(command))

    async def submit_saved_dag(self, name: str, **how: Any) -> AsyncRunHandle:
        """Start a run of a saved pipeline; takes what `AsyncClient.submit_saved_dag` takes. It is a run
        of its own, which outlives this task."""
        return await self.client.submit_saved_dag(name, **how)

    async def wait_signal(
        self, name: str, timeout: float | None = None, *, ack: bool = True
    ) -> Signal:
        """The oldest signal of this name to the job or its run that nobody has taken; waits for one.

        It is taken with that. With `ack=False` it stays until `ack(signal)`, or `c.ack(signal)` in a
        commit, and a job that runs again gets it again. Raises `TimedOut` after `timeout` seconds.
        """
        try:
            async with asyncio.timeout(timeout):
                return await self._next_signal(name, ack=ack)
        except TimeoutError:
            raise TimedOut(f"no signal {name!r} came within {timeout} s") from None

    async def _next_signal(self, name: str, *, ack: bool) -> Signal:
        query = PeekSignal(run=RunId(self.run), job=JobId(self.job), name=name)
        views = self.client._follow(query, SignalView | None)  # type: ignore[arg-type]
        async with contextlib.aclosing(views):
            async for view in views:
                if view is None:
                    continue
                signal = _signal(view)
                if not ack or await self.ack(signal):
                    return signal
        raise ProtocolError("the master has stopped telling about signals")

    async def ack(self, signal: Signal) -> bool:
        """Take a signal; answers False when somebody else did before."""
        return bool(await self._write(AckSignal(seq=signal.seq)))

    async def _write(self, command: Any) -> Any:
        return await self.client._write(command, attempt=AttemptId(self.attempt))


def _signal(view: SignalView) -> Signal:
    payload = plain_value(view.payload) if view.payload else None
    return Signal(view.name, payload, view.seq, view.sent_ms, view.sender)


def _clipped(note: str) -> str:
    return note.encode()[:PROGRESS_NOTE_BYTES_MAX].decode(errors="ignore")
