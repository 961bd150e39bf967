"""Runs a worker as a process of its own: `worker_process.py MASTER DATA_DIR [ENGINE [OPTION …]]`."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from titan.exec.config import WorkerConfig
from titan.exec.worker import Worker


async def run_until_signal(config: WorkerConfig) -> None:
    """SIGTERM and SIGINT stop it, ending what runs; SIGUSR1 drains it."""
    worker = Worker(config)
    loop = asyncio.get_running_loop()
    stopping: list[asyncio.Task[None]] = []

    def stop(*, drain: bool) -> None:
        stopping.append(asyncio.create_task(worker.stop(drain=drain), name="worker stop"))

    loop.add_signal_handler(signal.SIGTERM, lambda: stop(drain=False))
    loop.add_signal_handler(signal.SIGINT, lambda: stop(drain=False))
    loop.add_signal_handler(signal.SIGUSR1, lambda: stop(drain=True))
    await worker.run()
    await asyncio.gather(*stopping)


config = WorkerConfig(
    masters=(sys.argv[1],),
    data_dir=Path(sys.argv[2]),
    slots=3,
    kill_grace_ms=200,
    container_engine=sys.argv[3] if len(sys.argv) > 3 else "",
    container_options=tuple(sys.argv[4:]),
)
asyncio.run(run_until_signal(config))
