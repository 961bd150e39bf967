"""Deciding and saving against the real state machine, through faults."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.sdk.fake_cluster import FakeCluster
from titan.errors import AccessDenied, Conflict, InvalidSpec, LimitExceeded, NotFound
from titan.limits import PIPELINE_JOBS_MAX
from titan.sdk import AsyncClient, RunHandle, TitanClient, TitanJob
from titan.sdk.given import owner

Make = Callable[..., Awaitable[FakeCluster]]


def gated() -> list[TitanJob]:
    return [
        TitanJob("ok", job_type="gate", form={"n": {"type": "int", "required": True}}),
        TitanJob("after", command="true", parents=["ok"]),
    ]


@pytest.mark.parametrize("seed", range(3))
async def test_a_decision_counts_once_through_cuts(make_cluster: Make, seed: int) -> None:
    cluster = await make_cluster(masters=2, fault_rate=0.3, seed=seed)
    async with AsyncClient(cluster.addresses) as client:
        run = await client.submit_dag("demo", gated())
        cluster.pass_time()
        (gate,) = await run.pending_gates()
        with pytest.raises(InvalidSpec, match="n is required"):
            await run.approve("ok")
        done = await client.approve(gate, answers={"n": "4"}, comment="fine")
        assert (done.run, done.gate, done.state) == (run.id, "ok", "COMPLETED")
        assert (await client.approve("ok", run, answers={"n": 4})).state == "COMPLETED"
        with pytest.raises(Conflict, match=f"approved by {owner()}") as refused:
            await run.reject("ok", by="eve")
        assert refused.value.reason == "gate_decided"
        assert await run.get_output("ok") == {"n": 4}
        assert await client.get_output("after") is None
        view = await client.get_job("ok")
        assert [(one.by, one.comment) for one in view.decisions] == [(owner(), "fine")]


async def test_who_may_not_decide_and_what_is_not_there(make_cluster: Make) -> None:
    cluster = await make_cluster()
    jobs = [TitanJob("ok", job_type="gate", approvers={"users": ["ann"]}, hitl_message="Ok?")]

    def early(client: TitanClient) -> RunHandle:
        run = client.submit_dag("demo", jobs)
        with pytest.raises(Conflict, match="does not wait"):
            run.approve("ok")
        return run

    def late(client: TitanClient, run: RunHandle) -> None:
        assert [gate.message for gate in client.pending_gates()] == ["Ok?"]
        with pytest.raises(AccessDenied, match="users ann"):
            client.approve("ok", by="eve")
        with pytest.raises(NotFound):
            client.approve("nothing")
        with pytest.raises(InvalidSpec, match="answers: x: must be"):
            client.approve("ok", by="ann", answers={"x": [1]})  # type: ignore[dict-item]
        assert run.reject("ok", by="ann").state == "FAILED"
        assert client.get_gate("ok", run).decisions[0].decision == "reject"

    with TitanClient(cluster.addresses) as client:
        run = await asyncio.to_thread(early, client)
        cluster.pass_time()
        await asyncio.to_thread(late, client, run)


async def test_children_added_later_stand_behind_the_gate(make_cluster: Make) -> None:
    cluster = await make_cluster()
    async with AsyncClient(cluster.addresses) as client:
        run = await client.submit_dag("demo", [TitanJob("a", command="x", hitl_message="?")])
        await run.add([TitanJob("b", command="x", parents=["a"], hitl_message="!")])
        await run.add([TitanJob("c", command="x", parents=["b"])])
        parents = {job.id: job.parents for job in await run.jobs()}
    assert parents["b"] == ("hitl-gate-a",)
    assert parents["c"] == ("hitl-gate-b",)


@pytest.mark.parametrize("seed", range(3))
async def test_saving_and_starting_take_effect_once_through_cuts(
    make_cluster: Make, seed: int, tmp_path: Path
) -> None:
    script = tmp_path / "a.py"
    script.write_text("print(1)\n")
    cluster = await make_cluster(masters=2, fault_rate=0.3, seed=seed)
    async with AsyncClient(cluster.addresses) as client:
        parameters = {"day": {"required": True}, "n": 3}
        for _ in range(2):
            jobs = [TitanJob("a", script)]
            assert await client.save_dag("p", jobs, parameters=parameters) == 1
        assert await client.save_dag("p", [TitanJob("b", command="x")]) == 2
        (one,) = await client.list_saved_dags()
        assert (one.name, one.version, one.versions) == ("p", 2, (1, 2))
        old = await client.get_saved_dag("p", 1)
        assert set(old.digests) == set(cluster.blobs)
        run = await client.submit_saved_dag("p", 1, {"day": "monday"})
        state = cluster.machine.state
        assert list(state.runs) == [run.id]
        assert state.runs[run.id].parameters == {"day": "monday", "n": 3}  # type: ignore[index]
        with pytest.raises(InvalidSpec, match="day is required"):
            await client.submit_saved_dag("p", 1)
        assert await client.delete_saved_dag("p") == 2
        with pytest.raises(NotFound):
            await client.submit_saved_dag("p")


async def test_a_file_is_saved_with_its_parameters(make_cluster: Make, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        "project: false\nparameters: {day: mon, n: 1}\n"
        "jobs:\n  - {id: a, command: x, hitl_message: '?'}\n  - {id: b, command: x, depends_on: a}\n"
    )
    cluster = await make_cluster()

    def work(client: TitanClient) -> None:
        assert client.save_dag("p", path, parameters={"n": {"type": "int", "choices": [1, 2]}}) == 1
        saved = client.get_saved_dag("p")
        assert [job.id for job in saved.jobs] == ["a", "hitl-gate-a", "b"]
        assert saved.inputs["n"].choices == (1, 2)
        run = client.submit_saved_dag("p", parameters={"n": 2})
        assert client.get_run(run).pipeline == "p"
        with pytest.raises(InvalidSpec, match="n must be one of 1, 2"):
            client.submit_saved_dag("p", parameters={"n": 3})

    with TitanClient(cluster.addresses) as client:
        await asyncio.to_thread(work, client)


async def test_what_is_too_large_to_save_is_said_before_anything_is_sent(
    make_cluster: Make,
) -> None:
    cluster = await make_cluster()
    async with AsyncClient(cluster.addresses) as client:
        many = [TitanJob(f"j{n}", command="x") for n in range(PIPELINE_JOBS_MAX + 1)]
        with pytest.raises(LimitExceeded, match="2001 jobs"):
            await client.save_dag("p", many)
        long = [TitanJob(f"j{n}", command="x" * 60_000) for n in range(5)]
        with pytest.raises(LimitExceeded, match="takes 3"):
            await client.save_dag("p", long)
        with pytest.raises(InvalidSpec, match=r"parameters\.n: type 'opera'"):
            await client.save_dag("p", gated(), parameters={"n": {"type": "opera"}})
        assert await client.list_saved_dags() == []


async def test_parameters_of_a_file_are_judged_before_it_is_submitted(
    make_cluster: Make, tmp_path: Path
) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        "project: false\nparameters: {n: 1, day: {required: true}}\njobs: [{id: a, command: x}]\n"
    )
    cluster = await make_cluster()
    async with AsyncClient(cluster.addresses) as client:
        with pytest.raises(InvalidSpec) as refused:
            await client.submit_yaml(path, parameters={"n": "x", "m": 1})
        assert len(refused.value.problems) == 3
        run = await client.submit_yaml(path, parameters={"day": "mon"})
        assert cluster.machine.state.runs[run.id].parameters == {"n": 1, "day": "mon"}
