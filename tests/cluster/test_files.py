"""Files of real clusters: uploads through the death of a leader, artifacts between jobs, lost workers."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import time
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster, kill, wait_until
from titan.cli.local import Member
from titan.sdk import AsyncClient, TitanJob

pytestmark = pytest.mark.cluster

MIB = 1024 * 1024


def blob_path(cluster: Cluster, master: int, digest: str) -> Path:
    return cluster.data / cluster.masters[master].name / "blobs" / digest[:2] / digest


async def test_an_upload_goes_on_where_it_was_when_the_leader_dies_in_the_middle(
    cluster: Cluster, tmp_path: Path
) -> None:
    size = 200 * MIB
    file = tmp_path / "big"
    with file.open("wb") as out:
        for _ in range(size // MIB):
            out.write(os.urandom(MIB))
    leader = await cluster.leader()
    partial = cluster.data / leader.name / "blobs" / "partial"
    upload = asyncio.create_task(cluster.client.upload_file(file))

    async def arrived() -> int:
        return sum(path.stat().st_size for path in partial.iterdir())

    await wait_until(arrived, lambda bytes_: bytes_ > 60 * MIB, timeout_s=30)
    assert not upload.done()
    kill(leader)
    digest = await asyncio.wait_for(upload, 60)
    assert digest == hashlib.sha256(file.read_bytes()).hexdigest()
    assert 0 < cluster.client.bytes_uploaded < size, "the last try started over"
    back = await cluster.client.fetch_artifact(digest, tmp_path / "back")
    assert back is not None
    assert hashlib.sha256(back.read_bytes()).hexdigest() == digest


async def test_jobs_hand_files_on_and_a_flipped_byte_or_a_lost_worker_loses_none(
    cluster: Cluster, tmp_path: Path
) -> None:
    build = (
        "mkdir -p dist/deep && echo wheel > dist/a.whl && echo x > dist/deep/b.whl && "
        "chmod 750 dist/deep && chmod 755 dist/a.whl && echo built && seq 20000"
    )
    use = (
        "cat dist/a.whl dist/deep/b.whl && stat -c %a dist/deep dist/a.whl && test -f renamed/a.whl"
    )
    wheels = ["build:dist/**/*.whl", "build:dist/a.whl -> renamed/a.whl"]
    run = await cluster.client.submit_dag(
        "wheels",
        [
            TitanJob("build", command=build, artifacts={"out": ["dist/**/*.whl"]}),
            TitanJob("use", command=use, parents=["build"], artifacts={"in": wheels}),
            TitanJob("none", command="true", retries=0, artifacts={"out": ["nothing/*"]}),
            TitanJob("lacks", command="true", parents=["build"], artifacts={"in": ["build:*.deb"]}),
        ],
    )
    await run.wait(40)
    jobs = await cluster.jobs(run.id)
    states = {name: job.state for name, job in jobs.items()}
    assert states == {
        "build": "COMPLETED", "use": "COMPLETED", "none": "FAILED", "lacks": "FAILED",
    }, {name: job.reason for name, job in jobs.items()}  # fmt: skip
    assert "no file matches 'nothing/*'" in jobs["none"].reason
    assert "has left no file '*.deb'" in jobs["lacks"].reason
    assert await run.logs("use") == "wheel\nx\n750\n755\n"
    files = {file.path: file for file in await run.artifacts("build")}
    assert sorted(files) == ["dist/a.whl", "dist/deep/b.whl"]

    # A flipped byte on one master's disk is never served, by whichever master is asked.
    digest = files["dist/a.whl"].digest

    async def everywhere() -> list[bool]:
        return [blob_path(cluster, number, digest).exists() for number in range(3)]

    await wait_until(everywhere, all, timeout_s=20)
    for number in (0, 1):
        blob_path(cluster, number, digest).write_bytes(b"wheeL\n")
    for number, master in enumerate(cluster.masters):
        async with AsyncClient(master.address) as client:
            back = await client.fetch_artifact("build:dist/a.whl", tmp_path / f"{number}", run)
            assert back is not None
            assert back.read_bytes() == b"wheel\n"
    await wait_until(everywhere, all, timeout_s=20)

    async def build_log_is_kept() -> bool:
        workers = cluster.data.glob("worker-*/logs/*/*.unsent")
        return not list(workers)

    await wait_until(build_log_is_kept, bool, timeout_s=20)
    # The workers are lost; what they printed and made is not.
    for worker in range(2):
        await cluster.kill_worker(worker)
    assert await run.logs("use") == "wheel\nx\n750\n755\n"
    printed = "built\n" + "".join(f"{n}\n" for n in range(1, 20001))
    assert await run.logs("build") == printed
    assert await cluster.client.fetch_logs("build", run, grep="1999") == "".join(
        f"{n}\n" for n in (1999, 11999, *range(19990, 20000))
    )
    lines = await cluster.client.search_logs(run, "el")
    assert [tuple(line) for line in lines] == [("use", "wheel")]
    assert await cluster.client.fetch_logs("use", run, since=time.time() + 60) == ""
    back = await cluster.client.fetch_artifact("build:dist/deep/b.whl", tmp_path / "b", run)
    assert back is not None
    assert back.read_bytes() == b"x\n"


CHECKPOINTED = """
import signal, sys, time
from titan.sdk import current

task = current()
file = task.checkpoint_dir / "deep" / "n"
found = int(file.read_text()) if file.exists() else 0
print("attempt", task.number, "found", found, flush=True)
if found == 2:
    sys.exit(0)
file.parent.mkdir(exist_ok=True)


def end(*_):
    file.write_text("2")
    sys.exit(0)


if found == 0:
    file.write_text("1")
    task.checkpoint()
    task.publish_artifact("model", file)
else:
    signal.signal(signal.SIGTERM, end)
print("waits", flush=True)
time.sleep(600)
"""


async def test_a_checkpoint_outlives_a_killed_worker_and_a_stopped_one(
    cluster: Cluster, tmp_path: Path
) -> None:
    run = await cluster.client.submit_job(TitanJob("train", script_content=CHECKPOINTED))

    async def where(number: int) -> Member:
        async def look() -> tuple[str, int]:
            job = (await cluster.jobs(run.id))["train"]
            text = await cluster.client.fetch_logs("train", run) if job.live else ""
            return text, job.attempts

        await wait_until(
            look, lambda seen: seen[0].endswith("waits\n") and seen[1] >= number, timeout_s=40
        )
        workers = {worker.id: worker.name for worker in await cluster.list_workers()}
        job = (await cluster.jobs(run.id))["train"]
        return next(one for one in cluster.workers if one.name == workers[job.worker])

    first = await where(1)
    assert await cluster.client.get_artifact("model", tmp_path / "model") is not None
    assert (tmp_path / "model").read_text() == "1"
    kill(first)
    second = await where(2)
    assert second is not first
    first.start()
    second.send(signal.SIGTERM)
    view = await cluster.wait_over(run.id, timeout_s=60)
    assert view.state == "COMPLETED"
    deadline = time.monotonic() + 30
    assert await asyncio.to_thread(second.wait, deadline), "it leaves once its job has left"
    history = (await cluster.jobs(run.id))["train"].history
    assert await run.logs("train") == f"attempt {len(history)} found 2\n"
