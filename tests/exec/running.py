"""A whole worker in the test's own process, against a master over real sockets."""

from __future__ import annotations

import asyncio
import hashlib
import io
import tarfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.exec.fake_master import FakeMaster
from tests.exec.support import RUN, until
from titan.exec.worker import Worker

StartWorker = Callable[..., Awaitable["Running"]]


class Running:
    """A worker and the task it runs in."""

    def __init__(self, worker: Worker, data: Path) -> None:
        self.worker = worker
        self.data = data
        self.task = asyncio.create_task(worker.run(), name="worker under test")

    async def stop(self, *, drain: bool = False) -> None:
        await asyncio.wait_for(self.worker.stop(drain=drain), 20)
        await self.task

    async def cancel(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


def bundle(master: FakeMaster, **files: str) -> str:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name.replace("_", "."))
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    data = buffer.getvalue()
    digest = hashlib.sha256(data).hexdigest()
    master.blobs[digest] = data
    return digest


async def result(master: FakeMaster, attempt: int) -> Any:
    return await until(lambda: master.result(attempt), last=lambda: master.results)


def log_text(running: Running, attempt: int) -> str:
    path = running.data / "logs" / RUN / f"job{attempt}.{attempt}.log"
    return path.read_text() if path.exists() else ""
