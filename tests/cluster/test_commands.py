"""The commands against a real cluster: what they print for programs, and how they exit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.cluster import Cluster, titan
from tests.cluster.pipelines import deploy, write_pipeline
from titan.fsm.records.retention import Retention

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]


async def as_json(cluster: Cluster, *arguments: str) -> Any:
    code, out, err = await titan(*arguments, "--json", "--masters", ",".join(cluster.addresses))
    assert code == 0, err
    return json.loads(out)


async def call(cluster: Cluster, *arguments: str, code: int = 0) -> str:
    got, out, err = await titan(*arguments, env={"TITAN_MASTERS": ",".join(cluster.addresses)})
    assert got == code, (got, out, err)
    assert "Traceback" not in err
    return out if code == 0 else err


async def finished_run(cluster: Cluster, folder: Path, jobs: list[dict[str, Any]]) -> str:
    run = await deploy(cluster, write_pipeline(folder / "pipe.yaml", jobs))
    await cluster.wait_over(run, timeout_s=30)
    return run


async def test_cluster_status_has_the_published_shape(cluster: Cluster) -> None:
    status = await as_json(cluster, "cluster", "status")
    assert set(status) == {"cluster_id", "masters", "workers"}
    assert sorted(m["role"] for m in status["masters"]) == ["follower", "follower", "leader"]
    assert {m["address"] for m in status["masters"]} == set(cluster.addresses)
    for master in status["masters"]:
        assert set(master) == {"id", "address", "http", "role", "member", "term", "applied_index"}
    for worker in status["workers"]:
        assert set(worker) == {"id", "state", "capabilities", "slots", "running"}
        assert (worker["state"], worker["slots"]) == ("online", 4)


async def test_what_is_kept_is_shown_and_changed_for_the_whole_cluster(cluster: Cluster) -> None:
    before = await as_json(cluster, "cluster", "retention")
    assert before["runs_max"] == 10_000
    changed = await as_json(cluster, "cluster", "retention", "--runs", "500", "--for", "3600")
    assert changed == before | {"runs_max": 500, "keep_ms": 3_600_000}
    assert await cluster.client.get_retention() == Retention(**changed)
    refused = await call(cluster, "cluster", "retention", "--files-for", "1", code=2)
    assert "--files-for" in refused
    await as_json(cluster, "cluster", "retention", "--runs", "10000", "--for", "2592000")


async def test_a_dead_master_is_shown_as_down(cluster: Cluster) -> None:
    dead = await cluster.kill_leader()
    await cluster.leader()
    status = await as_json(cluster, "cluster", "status")
    roles = {m["address"]: m["role"] for m in status["masters"]}
    assert roles[dead.address] == "down"
    assert sorted(roles.values()) == ["down", "follower", "leader"]


async def test_runs_and_jobs_have_the_published_shapes(single: Cluster, tmp_path: Path) -> None:
    jobs = [
        {"id": "good", "command": "true"},
        {"id": "bad", "command": "exit 3", "retries": 0, "depends_on": ["good"]},
    ]
    run = await finished_run(single, tmp_path, jobs)
    (listed,) = await as_json(single, "runs")
    assert set(listed) == {"id", "name", "state", "created_ms", "jobs"}
    assert (listed["id"], listed["name"], listed["state"]) == (run, "pipe", "FAILED")
    good, bad = await as_json(single, "jobs", run)
    assert set(good) == {"id", "state", "reason", "worker", "attempts", "exit_code"}
    assert (good["id"], good["state"], good["exit_code"]) == ("good", "COMPLETED", 0)
    assert (bad["id"], bad["exit_code"], bad["attempts"]) == ("bad", 3, 1)
    assert (await as_json(single, "status", run))["over"] is True
    assert (await as_json(single, "status", "bad"))["history"][0]["exit_code"] == 3
    for text in (await call(single, "runs"), await call(single, "status", run)):
        assert run in text


async def test_run_prints_progress_and_exits_as_the_run_ends(
    single: Cluster, tmp_path: Path
) -> None:
    good = write_pipeline(tmp_path / "good.yaml", [{"id": "a", "command": "true"}])
    bad = write_pipeline(tmp_path / "bad.yaml", [{"id": "a", "command": "exit 7", "retries": 0}])
    assert "COMPLETED" in await call(single, "run", str(good))
    code, out, _ = await titan("run", str(bad), "--masters", single.addresses[0])
    assert code == 1
    assert "exit code 7" in out or "7" in out


async def test_parameters_reach_the_jobs(single: Cluster, tmp_path: Path) -> None:
    jobs = [{"id": "a", "command": "echo got=$TITAN_PARAM_color"}]
    path = write_pipeline(tmp_path / "p.yaml", jobs, parameters={"color": "red"})
    await call(single, "run", str(path), "--param", "color=blue")
    assert "got=blue" in await call(single, "logs", "a")
    assert "colour" in await call(single, "run", str(path), "--param", "colour=x", code=2)


async def test_logs_are_complete_in_order_and_can_be_followed(
    single: Cluster, tmp_path: Path
) -> None:
    jobs = [{"id": "count", "command": "for i in $(seq 1 3000); do echo line $i; done"}]
    run = await finished_run(single, tmp_path, jobs)
    expected = "".join(f"line {number}\n" for number in range(1, 3001))
    assert await call(single, "logs", "count") == expected
    assert await call(single, "logs", "-f", "count", "--run", run) == expected
    assert "no" in await call(single, "logs", "absent", code=4)


async def test_cancel_kills_what_runs_and_what_waits(single: Cluster, tmp_path: Path) -> None:
    jobs = [
        {"id": "long", "command": "sleep 600"},
        {"id": "after", "command": "true", "depends_on": ["long"]},
    ]
    run = await deploy(single, write_pipeline(tmp_path / "long.yaml", jobs))

    async def state() -> object:
        return (await single.jobs(run))["long"].state

    await single.wait_until(state, lambda seen: seen == "RUNNING", timeout_s=15)
    await call(single, "cancel", run)
    view = await single.wait_over(run, timeout_s=20)
    assert (view.state, view.jobs) == ("CANCELLED", {"CANCELLED": 2})


async def test_a_failed_job_can_be_tried_again(single: Cluster, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    jobs = [
        {"id": "needs", "command": f"test -e {flag}", "retries": 0},
        {"id": "after", "command": "true", "depends_on": ["needs"]},
    ]
    run = await finished_run(single, tmp_path, jobs)
    assert (await single.run_view(run)).state == "FAILED"
    flag.touch()
    await call(single, "retry", run, "needs")
    view = await single.wait_over(run, timeout_s=30)
    assert (view.state, view.jobs) == ("COMPLETED", {"COMPLETED": 2})


async def test_the_store_keeps_what_it_is_given(single: Cluster, tmp_path: Path) -> None:
    await call(single, "store", "set", "color", "red, green\nblue")
    assert await call(single, "store", "get", "color") == "red, green\nblue\n"
    (tmp_path / "blob").write_bytes(b"\xff\x00")
    await call(single, "store", "set", "raw", "--file", str(tmp_path / "blob"))
    listed = await as_json(single, "store", "list")
    assert [item["key"] for item in listed] == ["color", "raw"]
    assert (listed[1]["value"], listed[1]["encoding"]) == ("/wA=", "base64")
    await call(single, "store", "delete", "color")
    assert "no key color" in await call(single, "store", "get", "color", code=4)
    assert "no key color" in await call(single, "store", "delete", "color", code=4)


async def test_a_cordoned_worker_takes_nothing_until_it_is_opened(
    single: Cluster, tmp_path: Path
) -> None:
    (worker,) = await as_json(single, "workers", "list")
    await call(single, "workers", "cordon", worker["name"])
    run = await deploy(
        single, write_pipeline(tmp_path / "a.yaml", [{"id": "a", "command": "true"}])
    )
    (seen,) = await as_json(single, "workers")
    assert seen["state"] == "cordoned"
    (job,) = await as_json(single, "jobs", run)
    assert job["state"] == "PENDING"
    assert job["reason"]
    await call(single, "workers", "open", worker["id"])
    assert (await single.wait_over(run, timeout_s=20)).state == "COMPLETED"


async def test_what_is_not_there_exits_with_4(single: Cluster) -> None:
    await call(single, "jobs", "r-00000000000000000000", code=4)
    await call(single, "status", "absent", code=4)
    await call(single, "cancel", "absent", code=4)
    await call(single, "workers", "drain", "absent", code=4)
