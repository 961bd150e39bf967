"""A master whose own log nobody reads any more: a held terminal, a stuck collector."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from titan.cli.local import quiet_ports
from titan.sdk import AsyncClient


def a_full_pipe() -> tuple[int, int]:
    """A pipe into which nothing more goes, though whoever tries will wait."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    try:
        while True:
            os.write(write, bytes(4096))
    except BlockingIOError:
        pass
    os.set_blocking(write, True)
    return read, write


async def test_a_master_serves_although_nobody_takes_its_log(tmp_path: Path) -> None:
    (port, http), *_ = quiet_ports(1)
    read, write = a_full_pipe()
    command = [sys.executable, "-m", "titan.cli.main", "node", "--data", str(tmp_path / "data")]
    command += ["--listen", f"127.0.0.1:{port}", "--http", f"127.0.0.1:{http}"]
    node = await asyncio.create_subprocess_exec(*command, "--log-level", "debug", stderr=write)
    try:
        async with AsyncClient(f"127.0.0.1:{port}", deadline_s=15) as client:
            await client.store_put("k", "v")
            assert await client.store_get("k") == "v"
        node.terminate()
        async with asyncio.timeout(15):
            assert await node.wait() == 0
    finally:
        if node.returncode is None:
            node.kill()
            await node.wait()
        os.close(read)
        os.close(write)
