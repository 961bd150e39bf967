"""Bad jobs and odd workers, seen from the masters: nothing they do is felt there."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.cluster.cluster import Cluster, titan
from tests.cluster.pipelines import deploy, write_pipeline
from titan.exec.config import WorkerConfig
from titan.exec.worker import Worker
from titan.limits import MIB

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

_HOURS_NS = 5 * 3600 * 1_000_000_000


async def test_a_gigabyte_of_output_is_kept_and_costs_the_masters_nothing(
    single: Cluster, tmp_path: Path
) -> None:
    master = psutil.Process(single.masters[0].pid)
    jobs = [
        {"id": "kept", "command": "head -c 1G /dev/zero", "retries": 0},
        {"id": "stopped", "command": "yes", "retries": 0, "limits": {"output_mb": 100}},
    ]
    before = master.memory_info().rss
    path = write_pipeline(tmp_path / "loud.yaml", jobs)
    run = str(await single.client.submit_yaml(path))
    most = before
    while not (await single.run_view(run)).over:
        most = max(most, master.memory_info().rss)
        await asyncio.sleep(0.05)
    found = await single.jobs(run)
    assert found["kept"].state == "COMPLETED", found
    (log,) = (single.data / "worker-1" / "logs" / run).glob("kept.*.log")
    assert log.stat().st_size == 1024 * MIB
    assert found["stopped"].state == "FAILED"
    assert "its limit of 100 MiB" in found["stopped"].reason
    assert most - before < 32 * MIB, f"{(most - before) // MIB} MiB more"


@contextlib.asynccontextmanager
async def worker_with_a_clock(
    cluster: Cluster, data: Path, clock_ns: Callable[[], int]
) -> AsyncIterator[Worker]:
    """A worker that believes another time, for jobs that want SKEWED."""
    worker = Worker(
        WorkerConfig(
            masters=cluster.addresses,
            data_dir=data,
            capabilities=("SKEWED",),
            slots=2,
            kill_grace_ms=200,
            wall_clock_ns=clock_ns,
        )
    )
    task = asyncio.create_task(worker.run(), name="worker with a wrong clock")
    try:
        yield worker
    finally:
        await worker.stop()
        await task


@pytest.mark.parametrize("offset_ns", [_HOURS_NS, -_HOURS_NS], ids=["ahead", "behind"])
async def test_a_worker_whose_clock_is_hours_off_changes_no_result_and_no_timer(
    single: Cluster, tmp_path: Path, offset_ns: int
) -> None:
    """Delays, back-offs and time-outs are of the masters and of clocks that only count."""
    jobs: list[dict[str, Any]] = [
        {"id": "plain", "command": "echo well"},
        {"id": "later", "command": "true", "delay": 0.3},
        {"id": "again", "command": "test $TITAN_ATTEMPT_NUMBER = 2", "retry_backoff_ms": 300},
        {"id": "long", "command": "sleep 60", "timeout": 0.5, "retries": 0},
    ]
    for job in jobs:
        job["requirement"] = "SKEWED"
    path = write_pipeline(tmp_path / "skewed.yaml", jobs)
    async with worker_with_a_clock(single, tmp_path / "w", lambda: time.time_ns() + offset_ns):
        started = time.monotonic()
        run = str(await single.client.submit_yaml(path))
        await single.wait_over(run, timeout_s=30)
        found = await single.jobs(run)
        log = await single.client.fetch_logs("plain", run)
    assert time.monotonic() - started < 60, "a timer took its worker's word for the time"
    states = {name: job.state for name, job in found.items()}
    assert states == {
        "plain": "COMPLETED", "later": "COMPLETED", "again": "COMPLETED", "long": "FAILED"
    }  # fmt: skip
    assert found["again"].attempts == 2
    assert "timed out" in found["long"].reason
    assert "well" in str(log)


async def test_a_job_that_was_cancelled_before_it_began_has_an_empty_log(
    single: Cluster, tmp_path: Path
) -> None:
    """It waited on its worker behind others, which had been short so far."""
    path = tmp_path / "alike.yaml"
    short = [{"id": f"j{n}", "command": "true"} for n in range(60)]
    await single.wait_over(await deploy(single, write_pipeline(path, short)), timeout_s=30)
    long = [{"id": f"j{n}", "command": f"echo {n}; sleep 30"} for n in range(6)]
    run = await deploy(single, write_pipeline(path, long))

    async def look() -> tuple[int, str]:
        live = sum(bool(job.live) for job in (await single.jobs(run)).values())
        return live, str(await single.client.fetch_logs("j0", run))

    await single.wait_until(
        look, lambda seen: seen[0] > 2 and seen[1], timeout_s=20
    )  # of two slots
    await single.client.cancel(run)
    await single.wait_over(run, timeout_s=20)
    logs = {name: await single.client.fetch_logs(name, run) for name in await single.jobs(run)}
    begun = {name: text for name, text in logs.items() if text}
    assert len(begun) <= 2, logs
    assert begun["j0"] == "0\n"
    assert set(logs) == {job["id"] for job in long}
    waited = next(name for name, text in logs.items() if not text)
    code, out, err = await titan(
        "logs", waited, "--run", run, "--masters", ",".join(single.addresses)
    )
    assert (code, out) == (0, ""), err
