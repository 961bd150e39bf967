"""Changing runs and replaying dead letters by the client, through cuts and elections."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from tests.sdk.fake_cluster import FakeCluster
from tests.sdk.test_runs import chain
from titan.errors import Conflict, InvalidSpec, NotFound
from titan.ids import AttemptId, RunId
from titan.sdk import AsyncClient, AsyncRunHandle, RunEdits, TitanClient, TitanJob

Make = Callable[..., Awaitable[FakeCluster]]


def mortal(name: str) -> TitanJob:
    return TitanJob(name, command="true", retries=1, retry_backoff_ms=0)


def die(cluster: FakeCluster, run: str, name: str) -> None:
    for _ in range(2):
        cluster.finish(run, name, exit_code=3)


async def think_again(run: AsyncRunHandle) -> None:
    async with run.mutate() as edits:
        edits.skip("c")
        raise RuntimeError("never mind")


async def test_edits_collected_in_a_block_are_committed_together(make_cluster: Make) -> None:
    cluster = await make_cluster()
    async with AsyncClient(cluster.addresses) as client:
        run = await client.submit_dag("demo", chain("a", "b", "c"))
        before = await client.graph(run)
        async with run.mutate(if_revision=before.revision, note="why") as edits:
            edits.add(TitanJob("n", script_content="print(1)", parents=["a"]))
            edits.set("b", parents=["n"], priority=3, timeout=2.5, resources={"cpus": 0.5})
            edits.set("c", requirement="GPU", args="--x 'y z'", env={"K": 1})
        after = {job.id: job.fields for job in (await client.graph(run)).jobs}
        assert after["b"].depends_on == ("n",)
        assert (after["b"].priority, after["b"].timeout_ms) == (3, 2500)
        assert after["b"].resources == {"cpu_milli": 500}
        assert after["c"].requirement == ("GPU",)
        assert (after["c"].args, after["c"].env) == ((b"--x", b"y z"), {"K": "1"})
        [change] = await client.revisions(run)
        assert (change.revision, change.note) == (edits.revision, "why")
        assert {job.id for job in (await client.graph(run, before.revision)).jobs} == {
            "a",
            "b",
            "c",
        }
        assert cluster.blobs, "the script of the new job travelled"
        with pytest.raises(Conflict) as refused:
            await client.mutate(run, RunEdits().skip("c"), if_revision=before.revision)
        assert refused.value.reason == "revision_changed"
        with pytest.raises(RuntimeError, match="never mind"):
            await think_again(run)
        assert len(await client.revisions(run)) == 1


async def test_wrong_edits_are_told_before_anything_is_sent(make_cluster: Make) -> None:
    cluster = await make_cluster()
    async with AsyncClient(cluster.addresses) as client:
        run = await client.submit_dag("demo", chain("a", "b"))
        with pytest.raises(InvalidSpec) as wrong:
            await client.set_job(run, "b", prioritty=3, retries=-1)
        assert len(wrong.value.problems) == 2
        assert "priority" in str(wrong.value)
        with pytest.raises(InvalidSpec, match="nothing is to change"):
            await client.set_job(run, "b")
        with pytest.raises(InvalidSpec, match="a → b → a"):
            await client.set_parents(run, "a", ["b"])
        with pytest.raises(NotFound):
            await client.skip(run, "nowhere")
        with pytest.raises(NotFound):
            await client.undo(run)


@pytest.mark.parametrize("seed", range(4))
async def test_every_change_happens_once_through_cuts(make_cluster: Make, seed: int) -> None:
    cluster = await make_cluster(masters=2, fault_rate=0.3, seed=seed)
    async with AsyncClient(cluster.addresses) as client:
        run = await client.submit_dag("demo", chain("a", "b"))
        for number in range(10):
            async with run.mutate() as edits:
                edits.add(TitanJob(f"n{number}", command="true", parents=["b"]))
                edits.set("b", priority=10 + number)
        await client.undo(run)
        history = await client.revisions(run)
        assert len(history) == 11
        assert sorted({one.revision for one in history}, reverse=True) == [
            one.revision for one in history
        ]
        [b] = [job for job in (await client.graph(run)).jobs if job.id == "b"]
        assert b.fields.priority == 18
    assert sum(cluster.faults.values()) > 0


async def test_a_task_changes_its_run_until_its_attempt_has_ended(
    make_cluster: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = await make_cluster()
    async with AsyncClient(cluster.addresses) as outside:
        run = await outside.submit_dag("demo", chain("a", "b"))
    me = cluster.start_job(run.id, "a")
    monkeypatch.setenv("TITAN_ATTEMPT", str(me.attempt))
    async with AsyncClient(cluster.addresses) as inside:
        await inside.set_priority(run.id, "b", 7)
        assert (await inside.revisions(run.id))[0].by == "job 'a', attempt 1"
        cluster.finish_attempt(AttemptId(me.attempt))
        with pytest.raises(Conflict) as refused:
            await inside.set_priority(run.id, "b", 8)
        assert refused.value.reason == "attempt_not_live"


async def test_dead_letters_are_replayed_one_by_one_and_by_filter(make_cluster: Make) -> None:
    cluster = await make_cluster(masters=2, fault_rate=0.2, seed=2)
    async with AsyncClient(cluster.addresses) as client:
        runs = [await client.submit_dag(name, [mortal("a"), mortal("b")]) for name in "xy"]
        for run in runs:
            for name in "ab":
                die(cluster, run.id, name)
        letters = await client.dead_letters()
        assert [letter.job for letter in letters] == ["b", "a", "b", "a"]
        assert len(await client.dead_letters(3)) == 3
        await client.replay("a", runs[0])
        with pytest.raises(Conflict) as refused:
            await client.replay("a", runs[0])
        assert refused.value.reason == "not_dead"
        assert await client.replay_all(name="x", reason="exit code 3") == 1
        assert await client.replay_all() == 2
        assert await client.replay_all() == 0
        assert not cluster.machine.state.dead
        die(cluster, runs[1].id, "a")
        await client.rerun(runs[1])
        job = cluster.machine.state.runs[RunId(runs[1].id)].jobs["a"]  # type: ignore[index]
        assert (job.state, len(job.history)) == ("PENDING", 4)


def test_the_client_without_asyncio_does_the_same(addresses: tuple[str, FakeCluster]) -> None:
    with TitanClient(addresses[0]) as client:
        run = client.submit_dag("demo", chain("a", "b", "c"))
        with run.mutate(note="both") as edits:
            edits.skip("c").set("b", priority=4)
        assert client.undo(run) > edits.revision
        assert [len(one.edits) for one in client.revisions(run)] == [3, 2]
        client.reroute(run, "b", "GPU", affinity=True)
        client.set_resources(run, "b", {"gpus": 1})
        client.set_requirement(run, "b", ["GPU", "BIG"])
        fields = client.graph(run).jobs[1].fields
        assert (fields.requirement, fields.affinity) == (("BIG", "GPU"), True)
        client.cancel("a", run)
        client.rerun_from(run, "a")
        client.cancel(run)
        client.rerun(run)
        assert {job.state for job in client.list_jobs(run)} == {"PENDING"}
