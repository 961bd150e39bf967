"""Submitting, following and changing runs against the real state machine."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import io
import sys
import tarfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tests.sdk.fake_cluster import FakeCluster
from titan.errors import (
    Conflict,
    InvalidSpec,
    LimitExceeded,
    NotFound,
    TimedOut,
    Unavailable,
    UserError,
)
from titan.ids import RunId
from titan.limits import CHUNK_BYTES, ENTRY_BYTES_MAX
from titan.sdk import AsyncClient, TitanClient, TitanJob, pipeline
from titan.sdk.graphs import Pipeline

Make = Callable[..., Awaitable[FakeCluster]]


def chain(*names: str) -> list[TitanJob]:
    return [
        TitanJob(name, command="true", parents=[names[at - 1]] if at else [])
        for at, name in enumerate(names)
    ]


async def test_a_run_is_submitted_followed_and_ends(make_cluster: Make) -> None:
    cluster = await make_cluster()
    async with AsyncClient(cluster.addresses) as client:
        run = await client.submit_dag("demo", chain("a", "b"), "agents", parameters={"x": 1})
        assert str(run) == run.id
        view = await client.get_run(run)
        assert (view.name, view.agent_run_id, view.jobs) == ("demo", "agents", {"PENDING": 2})
        waiting = asyncio.create_task(run.wait(timeout=10))
        cluster.finish(run.id, "a")
        assert await client.get_job_status("DAG-a") == "COMPLETED"
        assert await client.get_job_status("b", run) == "PENDING"
        cluster.finish(run.id, "b")
        assert await waiting == "COMPLETED"
        assert await client.get_job_status(run) == await run.status() == "COMPLETED"
        assert [job.id for job in await run.jobs()] == ["a", "b"]
        assert [one.id for one in await client.list_runs(agent_run_id="agents")] == [run.id]


async def test_a_master_that_is_too_old_to_filter_by_labels_is_found_out(
    make_cluster: Make,
) -> None:
    cluster = await make_cluster()
    async with AsyncClient(cluster.addresses) as client:
        await client.submit_dag("other", chain("a"))
        run = await client.submit_dag("mine", chain("a"), labels={"team": "data"})
        assert [one.id for one in await client.list_runs(labels={"team": "data"})] == [run.id]
        cluster.unknown = "labels"
        assert len(await client.list_runs()) == 2
        with pytest.raises(Unavailable, match="does not know labels"):
            await client.list_runs(labels={"team": "data"})


@pytest.mark.parametrize("seed", range(3))
async def test_a_large_run_is_staged_and_appears_once_through_cuts(
    make_cluster: Make, seed: int
) -> None:
    cluster = await make_cluster(masters=2, fault_rate=0.3, seed=seed)
    jobs = [TitanJob(f"job-{at}", command=["echo", "x" * 200]) for at in range(3000)]
    async with AsyncClient(cluster.addresses) as client:
        run = await client.submit_dag("large", jobs)
    state = cluster.machine.state
    assert list(state.runs) == [run.id]
    assert list(state.runs[RunId(run.id)].jobs) == [job.id for job in jobs]
    assert not state.stages
    assert cluster.entries_bytes_max <= ENTRY_BYTES_MAX


async def test_a_watch_tells_each_change_once_and_ends_with_the_run(make_cluster: Make) -> None:
    cluster = await make_cluster()
    async with AsyncClient(cluster.addresses) as client:
        run = await client.submit_dag("demo", chain("a", "b"))
        told = []
        async for change in run.watch():
            told.append({job.id: job.state for job in change.jobs})
            state = cluster.machine.state.runs[RunId(run.id)]
            unfinished = [job.id for job in state.jobs.values() if not job.state.is_over]
            if unfinished:
                cluster.finish(run.id, unfinished[0])
    assert told == [
        {"a": "PENDING", "b": "PENDING"},
        {"a": "COMPLETED", **told[1]},
        {"b": "COMPLETED"},
    ]


async def test_waiting_ends_at_its_timeout_and_says_that_the_run_goes_on(
    make_cluster: Make,
) -> None:
    cluster = await make_cluster()
    async with AsyncClient(cluster.addresses) as client:
        run = await client.submit_job(TitanJob("a", command="true"))
        with pytest.raises(TimedOut, match="goes on"):
            await run.wait(timeout=0.05)


async def test_a_bad_graph_is_refused_whole_before_anything_is_sent(make_cluster: Make) -> None:
    cluster = await make_cluster()
    jobs = [
        TitanJob("a", command="x", parents=["b"]),
        TitanJob("b", command="x", parents=["a", "bb"]),
        TitanJob("b", command="x"),
    ]
    async with AsyncClient(cluster.addresses) as client:
        with pytest.raises(InvalidSpec) as refused:
            await client.submit_dag("bad", jobs)
        with pytest.raises(InvalidSpec, match="no jobs"):
            await client.submit_dag("empty", [])
    assert refused.value.problems == (
        "bad: job 'b'.id: 'b' is already the id of job 2",
        "bad: job 'b'.depends_on: unknown parent 'bb'; did you mean 'b'?",
        "bad: job 'a'.depends_on: cycle: a → b → a",
    )
    assert not cluster.machine.state.runs


async def test_jobs_are_added_to_a_live_run_with_files_of_their_own(
    make_cluster: Make, tmp_path: Path
) -> None:
    cluster = await make_cluster()
    script = tmp_path / "late.py"
    script.write_text("print(1)")
    async with AsyncClient(cluster.addresses) as client:
        run = await client.submit_job(TitanJob("a", command="true"))
        await run.add([TitanJob("b", script, parents=["a"])])
        with pytest.raises(InvalidSpec, match="nowhere"):
            await run.add([TitanJob("c", command="x", parents=["nowhere"])])
        with pytest.raises(LimitExceeded, match="too many to add at once"):
            await run.add([TitanJob(f"x{at}", command=["y" * 900]) for at in range(300)])
        assert [job.id for job in await run.jobs()] == ["a", "b"]
        await run.cancel()
        assert await run.wait(10) == "CANCELLED"
        with pytest.raises(NotFound):
            await client.get_run("r-00000000000000000000")
        with pytest.raises(NotFound):
            await client.cancel("nobody")


async def test_a_failed_job_is_retried_and_a_live_one_is_not(make_cluster: Make) -> None:
    cluster = await make_cluster()
    async with AsyncClient(cluster.addresses) as client:
        run = await client.submit_job(TitanJob("a", command="true", retries=0))
        with pytest.raises(Conflict) as refused:
            await client.retry("a", run)
        assert refused.value.reason == "not_over"
        cluster.finish(run.id, "a", exit_code=3)
        assert await run.wait(10) == "FAILED"
        await client.retry("a")
        assert await client.get_job_status("a") == "PENDING"


async def test_yaml_travels_as_one_bundle_and_its_end_is_awaited(
    make_cluster: Make, tmp_path: Path
) -> None:
    cluster = await make_cluster()
    (tmp_path / "a.py").write_text("print(1)")
    pipeline = tmp_path / "p.yaml"
    pipeline.write_text("parameters: {x: 1, y: 2}\njobs: [{id: a, file: a.py}]\n")
    async with AsyncClient(cluster.addresses) as client:
        with pytest.raises(TimedOut):
            await client.submit_yaml(pipeline, "agents", True, 2, 0.05, parameters={"y": 3})
        (view,) = await client.list_runs()
    run = cluster.machine.state.runs[view.id]
    assert (run.name, run.agent_run_id, run.parameters) == ("p", "agents", {"x": 1, "y": 3})
    with tarfile.open(fileobj=io.BytesIO(cluster.blobs[run.bundle])) as archive:
        assert archive.getnames() == ["a.py", "p.yaml"]


@pytest.mark.parametrize("seed", range(3))
async def test_uploads_arrive_whole_through_cuts_and_are_not_repeated(
    make_cluster: Make, tmp_path: Path, seed: int
) -> None:
    cluster = await make_cluster(masters=2, fault_rate=0.3, seed=seed)
    data = bytes(range(256)) * (CHUNK_BYTES // 64)
    file = tmp_path / "data"
    file.write_bytes(data)
    async with AsyncClient(cluster.addresses) as client:
        digest = await client.upload_file(file)
        assert cluster.blobs == {digest: data}
        assert digest == hashlib.sha256(data).hexdigest()
        cluster.fault_rate = 0.0
        sent = client.bytes_uploaded
        assert await client.upload_file(file) == digest
        assert client.bytes_uploaded == sent >= len(data)
        assert await client.get_artifact("uploads/data", tmp_path / "back") == tmp_path / "back"
        assert (tmp_path / "back").read_bytes() == data
        assert await client.fetch_artifact("data", tmp_path / "again") is not None
        assert await client.fetch_artifact("nonsense", tmp_path / "x") is None


@pytest.mark.parametrize("seed", range(3))
async def test_logs_are_whole_through_cuts(make_cluster: Make, seed: int) -> None:
    cluster = await make_cluster(fault_rate=0.2, seed=seed)
    text = "".join(f"line {at} é\n" for at in range(2000))
    async with AsyncClient(cluster.addresses) as client:
        run = await client.submit_job(TitanJob("a", command="true"))
        assert await run.logs("a") == ""
        cluster.finish(run.id, "a")
        cluster.logs[run.id, "a"] = text.encode()
        assert await client.fetch_logs("DAG-a") == text
        assert await run.logs() == {"a": text}
        assert "".join([piece async for piece in client.follow_logs("a", run)]) == text


async def test_a_script_is_deployed_as_a_run_of_one_job(make_cluster: Make, tmp_path: Path) -> None:
    cluster = await make_cluster()
    script = tmp_path / "my script.py"
    script.write_text("print(1)")
    async with AsyncClient(cluster.addresses) as client:
        run = await client.deploy_script(script, "x y")
        (job,) = await run.jobs()
    assert job.id == "my-script"


async def test_a_refused_part_of_a_large_run_is_one_plain_error(
    make_cluster: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("titan.fsm.stages.STAGED_BYTES_MAX", 300_000)
    cluster = await make_cluster()
    jobs = [TitanJob(f"job-{at}", command=["echo", "x" * 900]) for at in range(900)]
    async with AsyncClient(cluster.addresses) as client:
        with pytest.raises(LimitExceeded, match="unfinished submissions"):
            await client.submit_dag("large", jobs)


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    (tmp_path / "calls_with_labels.py").write_text(
        "from titan.sdk import task\n\n\n@task\ndef double(x: int) -> int:\n    return 2 * x\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("calls_with_labels")
    with pipeline("calls", project=tmp_path) as graph:
        module.double(1)
    yield graph
    del sys.modules["calls_with_labels"]


async def test_runs_have_labels_however_they_are_submitted_and_are_found_by_them(
    make_cluster: Make, tmp_path: Path, calls: Pipeline
) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("project: false\nlabels: {team: data, v: 1.0}\njobs: [{id: a, command: x}]\n")
    cluster = await make_cluster()

    def by_threads(client: TitanClient) -> None:
        job = TitanJob("a", command="x")
        runs = [
            client.submit_dag("dag", [job], labels={"by": "dag"}),
            client.submit_job(job, labels={"by": "job"}),
            client.submit_yaml(path, labels={"by": "yaml", "v": "2"}),
        ]
        assert client.save_dag("saved", path, labels={"by": "saved"}) == 1
        runs.append(client.submit_saved_dag("saved", labels={"team": "web"}))
        runs.append(calls.submit(client, labels={"by": "calls"}))
        assert [client.get_run(run).labels for run in runs] == [
            {"by": "dag"},
            {"by": "job"},
            {"team": "data", "v": "2", "by": "yaml"},
            {"team": "web", "v": "1.0", "by": "saved"},
            {"by": "calls"},
        ]
        found = client.list_runs(labels={"team": "data", "by": None})
        assert [run.id for run in found] == [runs[2].id]
        assert len(client.list_runs(labels=["by"])) == 5
        assert client.list_runs(labels=["by=dag", "team"]) == []
        with pytest.raises(UserError, match="'no key' is no key"):
            client.list_runs(labels={"no key": "x"})
        with pytest.raises(InvalidSpec, match="labels: by must be text, not a number"):
            client.submit_job(job, labels={"by": 1})  # type: ignore[dict-item]

    with TitanClient(cluster.addresses) as client:
        await asyncio.to_thread(by_threads, client)
    async with AsyncClient(cluster.addresses) as other:
        run = await other.submit_job(TitanJob("a", command="x"), labels={"by": "asyncio"})
        (view,) = await other.list_runs(labels={"by": "asyncio"})
        assert view.id == run.id


def test_inside_of_a_task_a_graph_takes_no_labels(
    monkeypatch: pytest.MonkeyPatch, calls: Pipeline
) -> None:
    monkeypatch.setenv("TITAN_ATTEMPT", "7")
    with TitanClient("127.0.0.1:1") as client, pytest.raises(UserError, match="own run"):
        client.submit_pipeline(calls, labels={"by": "task"})
