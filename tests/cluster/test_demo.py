"""The demo of the README: a leader is killed in the middle, and nothing is lost or done twice."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import psutil
import pytest

from tests.cluster.cluster import titan

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

EXAMPLE = Path(__file__).parents[2] / "examples/wordcount"


async def test_the_demo_passes_and_leaves_no_process(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(EXAMPLE / "demo.py"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path)},
    )
    out, _ = await asyncio.wait_for(process.communicate(), 150)
    text = out.decode()
    assert process.returncode == 0, text
    assert "demo passed" in text
    assert list(tmp_path.iterdir()) == []
    left = [one.pid for one in psutil.process_iter() if str(tmp_path) in " ".join(_command(one))]
    assert left == []


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return []


async def test_the_pipeline_counts_as_fast_as_it_can_without_a_cluster() -> None:
    # Nothing listens there, so the run brings its own cluster.
    nowhere = {"TITAN_HOST": "127.0.0.1", "TITAN_PORT": "1"}
    code, out, err = await titan(
        *("run", str(EXAMPLE / "pipeline.yaml"), "--param", "pace_s=0"), timeout_s=120, env=nowhere
    )
    assert code == 0, (out, err)
    assert "14 COMPLETED" in out
