"""Saved pipelines on real clusters: by name from anywhere, as sub-runs, through a failover."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.pipelines import append_job, starts, write_pipeline
from tests.cluster.test_gates import call
from titan.errors import InvalidSpec, NotFound
from titan.sdk import TitanJob

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]


async def test_a_sub_run_outlives_the_leader(cluster: Cluster, tmp_path: Path) -> None:
    inner = [
        append_job(tmp_path, "one", parents=[], sleep_s=0.5),
        append_job(tmp_path, "two", parents=["one"], sleep_s=0.5),
        append_job(tmp_path, "three", parents=["two"], sleep_s=0.1),
    ]
    saved = await cluster.client.save_dag("inner", write_pipeline(tmp_path / "p.yaml", inner))
    assert saved == 1
    jobs = [
        TitanJob("sub", job_type="pipeline", pipeline="inner"),
        TitanJob("after", command=f"echo after >> {tmp_path}/after", parents=["sub"]),
    ]
    run = str(await cluster.client.submit_dag("outer", jobs))
    await cluster.wait_until(
        lambda: cluster.jobs(run), lambda jobs: jobs["sub"].subrun, timeout_s=10
    )
    child = (await cluster.jobs(run))["sub"].subrun

    async def look() -> str:
        return (await cluster.jobs(child))["one"].state

    await cluster.wait_until(look, lambda state: state == "RUNNING", timeout_s=10)
    await cluster.kill_leader()
    assert (await cluster.wait_over(run, timeout_s=40)).state == "COMPLETED"
    view = await cluster.run_view(child)
    assert (view.state, view.parent_run, view.parent_job) == ("COMPLETED", run, "sub")
    assert starts(tmp_path, inner) == {"one": 1, "two": 1, "three": 1}
    assert (tmp_path / "after").read_text() == "after\n"


async def test_pipelines_are_saved_shown_run_and_deleted_by_name(
    single: Cluster, tmp_path: Path
) -> None:
    path = tmp_path / "nightly.yaml"
    hello = {"id": "hello", "command": "echo day=$TITAN_PARAM_day copies=$TITAN_PARAM_copies"}
    parameters = {
        "day": {"type": "string", "required": True, "choices": ["mon", "tue"]},
        "copies": 2,
    }
    write_pipeline(path, [hello], parameters=parameters)
    assert await call(single, "pipelines", "save", str(path)) == "nightly version 1\n"
    assert await call(single, "pipelines", "save", str(path)) == "nightly version 1\n"
    write_pipeline(path, [hello, {"id": "bye", "command": "true"}], parameters=parameters)
    said = json.loads(await call(single, "pipelines", "save", str(path), "--json"))
    assert said == {"name": "nightly", "version": 2}
    assert "day (string, required), copies=2" in await call(single, "pipelines", "list")
    shown = json.loads(
        await call(single, "pipelines", "show", "nightly", "--version", "1", "--json")
    )
    assert (shown["versions"], shown["jobs"], shown["list"][0]["id"]) == ([1, 2], 1, "hello")
    assert "echo day=" in await call(single, "pipelines", "show", "nightly")
    wrong = await call(
        single, "pipelines", "run", "nightly", "--param", "day=sun", "--param", "copies=x", code=2
    )
    assert "day must be one of mon, tue" in wrong
    assert "copies must be a whole number" in wrong
    await call(single, "pipelines", "run", "nightly", "--param", "day=mon", "--version", "1")
    assert "day=mon copies=2" in await call(single, "logs", "hello")
    run = await call(single, "pipelines", "run", "nightly", "--param", "day=tue", "--detach")
    assert (await single.wait_over(run.strip(), timeout_s=20)).pipeline_version == 2
    assert await call(single, "pipelines", "delete", "nightly") == "deleted 2 versions of nightly\n"
    await call(single, "pipelines", "run", "nightly", code=4)
    await call(single, "pipelines", "show", "nightly", code=4)


async def test_scripts_and_tasks_start_them_and_recursion_ends(
    single: Cluster, tmp_path: Path
) -> None:
    client = single.client
    (tmp_path / "leaf.py").write_text(
        "import os, pathlib\n"
        "pathlib.Path(os.environ['TITAN_OUTPUT']).write_text('{\"x\": %s}' % os.environ['TITAN_PARAM_x'])\n"
    )
    leaf = TitanJob("leaf", tmp_path / "leaf.py")
    assert await client.save_dag("p", [leaf], parameters={"x": 1}) == 1
    saved = await client.get_saved_dag("p")
    assert saved.digests == (saved.bundle,)  # the script is kept along with it
    handle = await client.submit_saved_dag("p", parameters={"x": "5"}, wait=True, timeout=30)
    assert await handle.get_output("leaf") == {"x": 5}
    with pytest.raises(InvalidSpec, match="x must be a whole number"):
        await client.submit_saved_dag("p", parameters={"x": "five"})
    with pytest.raises(NotFound, match="no saved pipeline 'q'"):
        await client.submit_saved_dag("q")

    task = "import titan.sdk as s; print('started', s.current().submit_saved_dag('p', wait=True))"
    jobs = [
        TitanJob("task", command=[sys.executable, "-c", task], retries=0),
        TitanJob("sub", job_type="pipeline", pipeline="p", parameters={"x": 7}),
    ]
    run = await client.submit_dag("outer", jobs)
    assert await run.wait(60) == "COMPLETED"
    assert await run.get_output("sub") == {"leaf": {"x": 7}}
    inner = (await client.fetch_logs("task", run.id)).split()[-1]
    assert (await client.get_run(inner)).state == "COMPLETED"

    await start_over_http(single)

    await client.save_dag("loop", [TitanJob("again", job_type="pipeline", pipeline="loop")])
    looped = await client.submit_saved_dag("loop", wait=True, timeout=60)
    assert await looped.status() == "FAILED"
    runs = await client.list_runs(name="loop")
    assert len(runs) == 17
    reason = (await client.get_job("again", runs[0].id)).reason
    assert reason.startswith("runs are nested at most 16 deep: … → loop → loop")


async def start_over_http(single: Cluster) -> None:
    base = f"http://{single.masters[0].http}/api/v1/pipelines"
    headers = {"X-Titan-Request": "1", "Idempotency-Key": "once"}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        async with session.get(f"{base}/p?consistent=1") as answer:
            assert (await answer.json())["inputs"] == {"x": {"type": "int", "default": 1}}
        runs = []
        for _ in range(2):
            body = {"parameters": {"x": 9}}
            async with session.post(f"{base}/p/runs", json=body, headers=headers) as answer:
                assert answer.status == 200, await answer.text()
                runs.append((await answer.json())["run"])
        assert runs[0] == runs[1]
        assert (await single.wait_over(runs[0], timeout_s=20)).state == "COMPLETED"
        assert await single.client.get_output("leaf", runs[0]) == {"x": 9}


async def test_a_sub_run_gets_what_its_parents_have_put_out(
    single: Cluster, tmp_path: Path
) -> None:
    client = single.client
    hello = {"id": "hello", "command": "echo $TITAN_PARAM_rows $TITAN_PARAM_day > $TITAN_OUTPUT"}
    inner = write_pipeline(
        tmp_path / "inner.yaml", [hello], parameters={"rows": {"type": "int"}, "day": ""}
    )
    await client.save_dag("inner", inner)
    given = {"rows": "${{ outputs.measure.rows + 1 }}", "day": "on ${{ params.day }}"}
    wrong = {"rows": "${{ outputs.measure.lines }}"}
    jobs = [
        {"id": "measure", "command": "echo '{\"rows\": 6}' > $TITAN_OUTPUT"},
        {"id": "load", "type": "pipeline", "pipeline": "inner", "with": given},
        {"id": "bad", "type": "pipeline", "pipeline": "inner", "with": wrong},
    ]
    for job in jobs[1:]:
        job["depends_on"] = "measure"
    outer = write_pipeline(tmp_path / "outer.yaml", jobs, parameters={"day": "monday"})
    run = str(await client.submit_yaml(outer))
    assert (await single.wait_over(run, timeout_s=30)).state == "FAILED"
    assert await client.get_output("load", run) == {"hello": "7 on monday\n"}
    bad = (await single.jobs(run))["bad"]
    assert bad.reason == "with: rows: ${{ outputs.measure.lines }}: there is no 'lines' in (rows)"
    sub = TitanJob(
        "sdk",
        job_type="pipeline",
        pipeline="inner",
        parents=["measure"],
        parameters={"rows": "${{ outputs.measure.rows }}"},
    )
    measure = TitanJob("measure", command="echo '{\"rows\": 6}' > $TITAN_OUTPUT")
    other = await client.submit_dag("sdk", [measure, sub])
    assert await other.wait(30) == "COMPLETED"
    assert await client.get_output("sdk", other.id) == {"hello": 6}
    with pytest.raises(InvalidSpec, match="does not depend on 'measure'"):
        await client.submit_dag(
            "sdk",
            [
                measure,
                TitanJob(
                    "x",
                    job_type="pipeline",
                    pipeline="p",
                    parameters={"rows": "${{ outputs.measure }}"},
                ),
            ],
        )
