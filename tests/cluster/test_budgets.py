"""Budgets on real clusters: fifty who submit at once, the leader killed, and exactly as much as allowed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.pipelines import write_pipeline
from tests.cluster.test_gates import call
from titan.errors import Conflict
from titan.sdk import AsyncClient, TitanJob

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]
LIMIT = 300
CLIENTS, TASKS = 42, 8
TASK = """
import json
from titan.errors import Conflict
from titan.sdk import TitanJob, current

me, accepted, said = current(), 0, ""
for number in range(1000):
    if number == 3:  # one of each kind before, whoever is quicker afterwards
        me.client.store_put(f"up/{me.job}", "yes")
        me.client.wait_for("go", "yes", timeout=60)
    name = f"{me.job}-{number}"
    try:
        if number % 3 == 0:
            me.client.submit_job(TitanJob(name, command="true"))  # a run of its own, below this one
        elif number % 3 == 1:
            me.submit(TitanJob(name, command="true"))
        else:
            with me.commit() as c:
                c.submit(TitanJob(name, command="true"))
                c.spend("steps", 1)
    except Conflict as error:
        said = f"{error.reason}: {error}"
        break
    accepted += 1
me.client.store_put(f"done/{me.job}", json.dumps([accepted, said]))
"""


async def submitter(addresses: tuple[str, ...], agent: str, go: asyncio.Event) -> tuple[int, str]:
    """Submits runs of one job until there is no more; how many were accepted, and what was said."""
    async with AsyncClient(addresses) as client:
        await go.wait()
        for accepted in range(LIMIT + 1):
            try:
                job = TitanJob("a", command="true")
                await client.submit_dag("n", [job], agent)
            except Conflict as error:
                return accepted, f"{error.reason}: {error}"
    raise AssertionError("nobody stopped it")


async def test_fifty_submitters_and_a_dead_leader_stop_at_exactly_the_limit(
    cluster: Cluster, tmp_path: Path
) -> None:
    client = cluster.client
    script = tmp_path / "task.py"
    script.write_text(TASK)
    made = await client.set_budget(agent_run_id="x", jobs=LIMIT)
    assert (made.id, made.jobs, made.jobs_max) == ("agent:x", 0, LIMIT)
    tasks = [TitanJob(f"t{n}", script, retries=0) for n in range(TASKS)]
    run = str(await client.submit_dag("tasks", tasks, "x"))
    go = asyncio.Event()
    working = [asyncio.create_task(submitter(cluster.addresses, "x", go)) for _ in range(CLIENTS)]

    async def spent() -> int:
        return (await client.get_budget("agent:x")).jobs

    async def up() -> int:
        return len(await client.store_list("up/"))

    await cluster.wait_until(up, lambda count: count == TASKS, timeout_s=20)
    await client.store_put("go", "yes")
    go.set()
    await cluster.wait_until(spent, lambda count: count > 4 * TASKS + 20, timeout_s=20)
    dead = await cluster.kill_leader()
    assert not dead.is_alive
    by_clients = await asyncio.gather(*working)
    assert await spent() == LIMIT
    dead.start()

    async def done() -> list[list[Any]]:
        return [json.loads(str(one.value)) for one in await client.store_list("done/")]

    by_tasks = await cluster.wait_until(done, lambda found: len(found) == TASKS, timeout_s=30)
    assert TASKS + sum(count for count, _ in [*by_clients, *by_tasks]) == LIMIT
    assert min(count for count, _ in by_tasks) >= 3
    for _, said in [*by_clients, *by_tasks]:
        assert said.startswith("budget_exhausted: ")
        assert f"budget agent:x: {LIMIT} of {LIMIT} jobs are spent, 1 more were asked for" in said
    view = await client.agent_run("x")
    assert sum(view.jobs.values()) == LIMIT
    assert view.budget is not None
    steps = sum(count // 3 for count, _ in by_tasks)
    assert view.units.get("steps", 0) == view.budget.units.get("steps", 0) == steps
    below = [stage for stage in view.stages if stage.parent_run]
    assert {stage.parent_run for stage in below} == {run}
    await same_everywhere(cluster)
    await client.set_budget("agent:x", jobs=LIMIT + 1)
    again = await client.submit_dag("n", [TitanJob("a", command="true")], "x")
    assert await again.wait(20) == "COMPLETED"
    assert await spent() == LIMIT + 1
    await queued_and_paid(cluster)


async def queued_and_paid(cluster: Cluster) -> None:
    """All are accepted through another failover, as many run as are paid, the others when they are."""
    clients = [AsyncClient(cluster.addresses) for _ in range(30)]
    await cluster.client.set_budget(agent_run_id="q", jobs=20, on_limit="queue")
    try:
        submitting = [
            asyncio.create_task(one.submit_dag("n", [TitanJob("a", command="true")], "q"))
            for one in clients
        ]
        await cluster.kill_leader()
        await asyncio.gather(*submitting)
    finally:
        await asyncio.gather(*[one.close() for one in clients])

    async def jobs() -> dict[str, int]:
        return (await cluster.client.agent_run("q")).jobs

    await cluster.wait_until(
        jobs, lambda counts: counts == {"COMPLETED": 20, "PENDING": 10}, timeout_s=30
    )
    view = await cluster.client.set_budget("agent:q", jobs=27)
    assert (view.jobs_max, view.on_limit) == (27, "queue")
    await cluster.wait_until(
        jobs, lambda counts: counts == {"COMPLETED": 27, "PENDING": 3}, timeout_s=30
    )
    assert (await cluster.client.get_budget("agent:q")).waiting == 3


async def same_everywhere(cluster: Cluster) -> None:
    """Every master, also the one that was dead, says the same of the budget."""
    urls = [f"http://{master.http}/api/v1/budgets/agent:x" for master in cluster.masters]

    async def ask() -> list[tuple[Any, Any, Any]]:
        async with aiohttp.ClientSession() as session:
            found = []
            for url in urls:
                async with session.get(url) as reply:
                    view = await reply.json()  # of one that has yet to catch up, an error
                    found.append((view.get("jobs"), view.get("runs"), view.get("units")))
        return found

    said = await cluster.wait_until(
        ask, lambda all_of: len(set(map(str, all_of))) == 1, timeout_s=20
    )
    assert len(said) == 3
    assert said[0][0] == LIMIT


async def test_a_budget_is_declared_met_asked_about_and_raised(
    single: Cluster, tmp_path: Path
) -> None:
    client = single.client
    jobs = [{"id": f"j{n}", "command": "true"} for n in range(4)]
    path = write_pipeline(
        tmp_path / "p.yaml", jobs, budget={"jobs": 2, "on_limit": "gate", "units": {"tokens": 9}}
    )
    run = (await call(single, "deploy", str(path))).split()[-1]
    gate = f"budget-gate-{run}"

    async def waiting() -> list[str]:
        return [one.id for one in await client.pending_gates(run)]

    await single.wait_until(waiting, lambda found: found == [gate], timeout_s=10)
    assert f"budget: 2 of 2 jobs ({run})" in await call(single, "jobs", run)
    said = await call(single, "why", "j3", "--run", run)
    assert "2 of 2 jobs" in said
    assert f"raise budget {run}" in said
    assert f"titan approve {gate}" in await call(single, "budgets", "show", run)
    await call(single, "approve", gate, "--run", run, "--answer", "jobs=1")

    async def second() -> list[str]:
        return [one for one in await waiting() if one == f"{gate}-2"]

    await single.wait_until(second, lambda found: found, timeout_s=10)
    shown = json.loads(await call(single, "budgets", "set", run, "--jobs", "4", "--json"))
    assert (shown["jobs_max"], shown["units_max"]) == (4, {"tokens": 9})

    async def paid() -> int:
        return (await client.get_budget(run)).waiting

    await single.wait_until(paid, lambda count: count == 0, timeout_s=10)
    await call(single, "approve", f"{gate}-2", "--run", run, "--answer", "jobs=0")
    assert (await single.wait_over(run, timeout_s=20)).state == "COMPLETED"
    assert (await client.get_budget(run)).cpu_us > 0


async def test_agent_runs_are_shown_as_stages(single: Cluster) -> None:
    client = single.client
    for name in ("plan", "write"):
        handle = await client.submit_dag(name, [TitanJob("a", command="true")], "book/1")
        assert await handle.wait(20) == "COMPLETED"
    shown = json.loads(await call(single, "agents", "show", "book/1", "--json"))
    assert [stage["name"] for stage in shown["stages"]] == ["plan", "write"]
    assert (shown["state"], shown["over"], shown["jobs"]) == ("COMPLETED", True, {"COMPLETED": 2})
    assert "write" in await call(single, "agents", "show", "book/1")
    (listed,) = json.loads(await call(single, "agents", "list", "--json"))
    assert listed["id"] == "book/1"
    assert "no budgets" in await call(single, "budgets", "list")
    assert "unknown_budget" in await call(
        single, "budgets", "set", handle.id, "--jobs", "1", code=4
    )
    base = f"http://{single.masters[0].http}/api/v1"
    async with aiohttp.ClientSession(headers={"X-Titan-Request": "1"}) as session:
        async with session.put(f"{base}/budgets/agent:book%2F1", json={"jobs": 2}) as reply:
            assert "made" in await reply.text()
        async with session.get(f"{base}/agents/book%2F1") as reply:
            assert (await reply.json())["budget"]["exhausted"] == "2 of 2 jobs"
        async with session.get(f"{base}/agents") as reply:
            assert [one["id"] for one in (await reply.json())["items"]] == ["book/1"]
        async with session.put(f"{base}/budgets/agent:x", json={"jobs": -5}) as reply:
            assert reply.status == 400, await reply.text()
    with pytest.raises(Conflict, match="2 of 2 jobs are spent"):
        await client.submit_dag("more", [TitanJob("a", command="true")], "book/1")
