"""Runs a worker as a process of its own: `worker_process.py MASTER DATA_DIR [ENGINE [OPTION …]]`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from titan.exec.config import WorkerConfig
from titan.exec.worker import run_until_signal

config = WorkerConfig(
    masters=(sys.argv[1],),
    data_dir=Path(sys.argv[2]),
    slots=3,
    kill_grace_ms=200,
    container_engine=sys.argv[3] if len(sys.argv) > 3 else "",
    container_options=tuple(sys.argv[4:]),
)
asyncio.run(run_until_signal(config))
