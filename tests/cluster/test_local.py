"""`titan up` and `titan run` without a cluster: processes that start together and leave together."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.cluster.cluster import titan, wait_until
from tests.cluster.pipelines import write_pipeline
from titan.cli.local import quiet_ports

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]


@asynccontextmanager
async def up(data: Path, *arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, Any]]:
    """A running `titan up --json`, and what it announced."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "titan.cli.main", "up", "--json", "--data", str(data)),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(40):
            text = ""
            while not text.endswith("\n}\n"):
                line = await process.stdout.readline()
                assert line, f"titan up ended early: {text}"
                text += line.decode()
        yield process, json.loads(text)
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), 30)


def family(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


async def all_gone(members: list[psutil.Process]) -> None:
    async def alive() -> list[int]:
        return [one.pid for one in members if one.is_running() and one.status() != "zombie"]

    await wait_until(alive, lambda left: left == [], timeout_s=20)


async def test_up_starts_a_cluster_and_sigterm_leaves_nothing(tmp_path: Path) -> None:
    async with up(tmp_path / "data", "--masters", "1", "--workers", "1") as (process, said):
        members = family(process.pid)
        assert len(members) >= 2
        path = write_pipeline(tmp_path / "p.yaml", [{"id": "a", "command": "true"}])
        code, _, err = await titan("run", str(path), "--masters", said["masters"][0]["address"])
        assert code == 0, err
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 30) == 0
    await all_gone(members)


async def test_members_do_not_outlive_a_killed_supervisor(tmp_path: Path) -> None:
    async with up(tmp_path / "data", "--masters", "1", "--workers", "1") as (process, _):
        members = family(process.pid)
        process.kill()
        assert await process.wait() == -signal.SIGKILL
    await all_gone(members)


async def test_up_goes_on_with_the_data_it_left(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with up(data, "--masters", "1", "--workers", "0") as (_, first):
        masters = first["masters"][0]["address"]
        assert (await titan("store", "set", "k", "v", "--masters", masters))[0] == 0
    async with up(data, "--masters", "1", "--workers", "0") as (_, second):
        assert second["masters"] == first["masters"]
        assert (await titan("store", "get", "k", "--masters", masters))[1] == "v\n"
    code, _, err = await titan("up", "--masters", "3", "--data", str(data))
    assert code == 2
    assert "a cluster of 1 masters" in err


async def test_run_without_a_cluster_brings_its_own(tmp_path: Path) -> None:
    (port, _), *_ = quiet_ports(1)
    jobs = [
        {"id": "a", "command": "echo one"},
        {"id": "b", "command": "test $TITAN_JOB_ID = b", "depends_on": ["a"]},
    ]
    path = write_pipeline(tmp_path / "p.yaml", jobs)
    # Not given on the command line: masters that somebody names and that do not answer are an error.
    env = {"TITAN_HOST": "127.0.0.1", "TITAN_PORT": str(port)}
    code, out, err = await titan("run", str(path), env=env)
    assert code == 0, err
    assert "embedded" in err
    assert "COMPLETED" in out


async def test_run_with_named_masters_that_do_not_answer_is_an_error(tmp_path: Path) -> None:
    (port, _), *_ = quiet_ports(1)
    path = write_pipeline(tmp_path / "p.yaml", [{"id": "a", "command": "true"}])
    code, _, err = await titan("run", str(path), "--masters", f"127.0.0.1:{port}", timeout_s=60)
    assert code == 69
    assert err.startswith("error: ")
