"""What tests of whole workers share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.exec.fake_master import FakeMaster
from tests.exec.running import Running, StartWorker
from tests.exec.support import until
from titan.exec.config import WorkerConfig
from titan.exec.worker import Worker


@pytest.fixture
async def master() -> AsyncIterator[FakeMaster]:
    fake = FakeMaster()
    await fake.open()
    yield fake
    await fake.close()


@pytest.fixture
async def start(tmp_path: Path, master: FakeMaster) -> AsyncIterator[StartWorker]:
    started: list[Running] = []

    async def start_worker(*, masters: tuple[str, ...] = (), **config: Any) -> Running:
        config.setdefault("data_dir", tmp_path / "data")
        config.setdefault("slots", 2)
        config.setdefault("kill_grace_ms", 200)
        before = len(master.registers)
        worker = Worker(WorkerConfig(masters=masters or (master.address,), **config))
        running = Running(worker, config["data_dir"])
        started.append(running)
        await until(lambda: len(master.registers) > before or running.task.done())
        if not running.task.done():
            await until(lambda: master.beats or running.task.done())
        return running

    yield start_worker
    for running in started:
        if not running.task.done():
            await running.cancel()
