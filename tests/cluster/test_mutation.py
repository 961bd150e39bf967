"""Real runs that are changed while they live: by their own tasks, by people, through dying leaders."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.cluster.cluster import Cluster, titan
from tests.cluster.pipelines import deploy, write_pipeline
from titan.errors import Conflict
from titan.sdk import TitanJob

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

TOTAL, STEP = 1000, 50
# Each planner adds jobs, the next planner among them, and lets the report wait for them: in one change.
PLANNER = """
import sys
from titan.errors import InvalidSpec
from titan.sdk import RunEdits, TitanClient, TitanJob, current

number, step, total = map(int, sys.argv[1:])
me = current()
first = 3 + number * step
names = [f"w{n}" for n in range(first, min(first + step, total))]
jobs = [TitanJob(name, command="true", parents=[me.job]) for name in names[:-1]]
if first + step < total:
    text = open(__file__).read()
    names[-1] = f"plan-{number + 1}"
    jobs.append(TitanJob(names[-1], script_content=text, args=[number + 1, step, total], parents=[me.job]))
else:
    jobs.append(TitanJob(names[-1], command="true", parents=[me.job]))
edits = RunEdits().add(jobs).set("report", parents=names)
try:
    TitanClient().mutate(me.run, edits, note=f"step {number}")
except InvalidSpec as error:
    if "duplicate_job" not in str(error):  # else an earlier attempt of this job has done it
        raise
"""


async def test_a_run_grows_from_3_to_1000_jobs_by_its_own_tasks_while_leaders_are_killed(
    cluster: Cluster, record_property: Callable[[str, object], None]
) -> None:
    began = time.monotonic()
    run = await cluster.client.submit_dag(
        "grows",
        [
            TitanJob("seed", command="true"),
            TitanJob("plan-0", script_content=PLANNER, args=[0, STEP, TOTAL], parents=["seed"]),
            TitanJob("report", command="true", parents=["plan-0"]),
        ],
    )

    async def size() -> int:
        return sum((await cluster.run_view(run.id)).jobs.values())

    for at_least in (150, 400, 650):
        await cluster.wait_until(size, lambda now, n=at_least: now >= n, timeout_s=60)  # type: ignore[misc]
        dead = await cluster.kill_leader()
        await cluster.leader(unlike=dead.address)
        assert await size() < TOTAL, "the kill came too late to prove anything"
        dead.start()
    view = await cluster.wait_over(run.id, timeout_s=60)
    took_s = time.monotonic() - began
    jobs = await cluster.jobs(run.id)
    assert view.jobs == {"COMPLETED": TOTAL}
    planners = [name for name in jobs if name.startswith("plan-")]
    history = await cluster.client.revisions(run.id)
    assert [one.note for one in history[::-1]] == [f"step {n}" for n in range(len(planners))]
    assert {one.by.partition(",")[0] for one in history} == {f"job '{name}'" for name in planners}
    last = jobs["report"]
    assert len(last.parents) == (TOTAL - 3) % STEP
    assert last.started_ms >= max(job.ended_ms for name, job in jobs.items() if name != last.id)
    again = Counter(each.cause for job in jobs.values() for each in job.history[:-1])
    record_property("seconds", round(took_s, 1))
    sys.stdout.write(
        f"3 jobs grew to {len(jobs)} by {len(history)} changes in {took_s:.1f} s while 3 leaders "
        f"were killed; jobs that ran again: {dict(again)}\n"
    )


async def test_people_change_a_run_by_the_command_line_and_look_at_its_history(
    single: Cluster, tmp_path: Path
) -> None:
    async def call(*words: str, code: int = 0) -> Any:
        env = {"TITAN_MASTERS": ",".join(single.addresses)}
        got, out, err = await titan(*words, env=env)
        assert got == code, (words, got, out, err)
        assert "Traceback" not in err
        return err if code else (json.loads(out) if "--json" in words else out)

    gate = tmp_path / "go"
    jobs = [
        {"id": "first", "command": f"until test -e {gate}; do sleep 0.05; done"},
        {"id": "second", "command": "echo $WHO $1", "depends_on": ["first"]},
        {"id": "third", "command": "true", "depends_on": ["second"]},
        {"id": "gpu", "command": "true", "requirement": "GPU"},
    ]
    run = await deploy(single, write_pipeline(tmp_path / "pipe.yaml", jobs))
    await single.wait_until(
        lambda: single.client.get_job("first", run), lambda job: job.live, timeout_s=20
    )
    submitted = (await call("graph", run, "--json"))["revision"]
    changed = await call("set", run, "second", "--priority", "5", "--args", "hello", "--env",
                         "WHO=ann", "--resources", "slots=2", "--note", "why", "--json")  # fmt: skip
    await call("set", run, "third", "--parents", "", "--if-revision", str(submitted), code=5)
    assert "started" in await call("set", run, "first", "--priority", "3", code=5)
    assert "cycle" in await call("set", run, "second", "--parents", "third", code=2)
    assert "between 0 and 1000" in await call("set", run, "second", "--retries", "-1", code=2)
    more = write_pipeline(
        tmp_path / "more.yaml", [{"id": "fourth", "command": "true", "depends_on": ["third"]}]
    )
    added = await call("add", run, str(more), "--json")
    await call("skip", run, "third", "--note", "not today")
    graph = await call("graph", run, "--json")
    assert {job["id"]: job["state"] for job in graph["jobs"]} == {
        "first": "RUNNING",
        "second": "PENDING",
        "third": "SKIPPED",
        "fourth": "SKIPPED",
        "gpu": "PENDING",
    }
    assert len((await call("graph", run, "--at", str(submitted), "--json"))["jobs"]) == 4
    diff = await call("graph", run, "--diff", str(submitted), str(added["revision"]))
    assert "+ fourth" in diff
    assert "~ second: priority 1 → 5" in diff
    history = await call("graph", run, "--history", "--json")
    assert [one["revision"] for one in history][1:] == [added["revision"], changed["revision"]]
    assert history[0]["note"] == "not today"
    assert "level" in (await call("graph", run)).lower()
    await call("graph", run, "--undo")
    await call("reroute", run, "gpu", "--requirement", "GENERAL")
    attempts = (await single.client.get_job("first", run)).attempts
    await call("reroute", run, "first", code=2)
    await call("reroute", run, "first", "--restart")
    await single.wait_until(
        lambda: single.client.get_job("first", run),
        lambda job: job.attempts > attempts and job.live,
        timeout_s=20,
    )
    gate.touch()
    view = await single.wait_over(run, timeout_s=30)
    assert view.jobs == {"COMPLETED": 5}
    assert await single.client.fetch_logs("second", run) == "ann hello\n"
    first = await single.client.get_job("first", run)
    assert [attempt.cause for attempt in first.history] == ["rerouted", ""]


async def test_dead_letters_are_listed_and_replayed_in_their_runs(
    single: Cluster, tmp_path: Path
) -> None:
    healed = tmp_path / "healed"
    mortal = {"retries": 1, "retry_backoff_ms": 0}
    jobs = [
        {"id": "a", "command": f"test -e {healed}", **mortal},
        {"id": "b", "command": f"test -e {healed}", **mortal},
        {"id": "after", "command": "true", "depends_on": ["a", "b"]},
    ]
    one = await deploy(single, write_pipeline(tmp_path / "one.yaml", jobs))
    two = await deploy(single, write_pipeline(tmp_path / "two.yaml", jobs))
    for run in (one, two):
        await single.wait_over(run, timeout_s=30)
    client = single.client
    assert {(letter.run, letter.job) for letter in await client.dead_letters()} == {
        (run, job) for run in (one, two) for job in "ab"
    }
    env = {"TITAN_MASTERS": ",".join(single.addresses)}
    code, out, _ = await titan("dlq", "list", "--name", "two", "--since", "10m", "--json", env=env)
    assert code == 0
    assert {letter["run"] for letter in json.loads(out)} == {two}
    code, out, _ = await titan("dlq", "show", "a", "--run", one, env=env)
    assert code == 0
    assert "exit code 1" in out
    assert (await titan("dlq", "replay", env=env))[0] == 2
    with pytest.raises(Conflict):
        await client.replay("after", one)
    healed.touch()
    code, out, _ = await titan("dlq", "replay", "--name", "one", "--json", env=env)
    assert (code, json.loads(out)) == (0, {"replayed": 2})
    assert (await single.wait_over(one, timeout_s=30)).jobs == {"COMPLETED": 3}
    assert len((await client.get_job("a", one)).history) == 3, "the run keeps its history"
    host = single.masters[0].http
    async with aiohttp.ClientSession(headers={"X-Titan-Request": "1"}) as session:
        async with session.get(f"http://{host}/api/v1/dead?run={two}") as answer:
            assert len((await answer.json())["items"]) == 2
        async with session.get(f"http://{host}/api/v1/runs/{two}/graph") as answer:
            revision = (await answer.json())["revision"]
        change = {"edits": [{"edit": "rerun_failed"}], "if_revision": revision, "by": "page"}
        url = f"http://{host}/api/v1/runs/{two}/changes"
        answers = await asyncio.gather(*(session.post(url, json=change) for _ in range(2)))
        assert sorted(answer.status for answer in answers) == [200, 409]
        async with session.get(url) as answer:
            assert [one["by"] for one in await answer.json()] == ["page"]
    assert (await single.wait_over(two, timeout_s=30)).jobs == {"COMPLETED": 3}
    assert not await client.dead_letters()
