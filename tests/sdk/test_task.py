"""What code inside a task does: fenced by its attempt, together or not at all, told to the right one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.fake_cluster import FakeCluster
from titan.errors import Conflict, InvalidSpec, LimitExceeded, TimedOut, UserError
from titan.fsm.commands import ExpireWorker, SetOutput
from titan.ids import RunId, WorkerId
from titan.limits import EFFECTS_PER_COMMIT_MAX
from titan.sdk import (
    AsyncClient,
    AsyncRunHandle,
    AsyncTaskContext,
    TaskContext,
    TitanClient,
    TitanJob,
    in_task,
)
from titan.sdk.context import Identity

Make = Callable[..., Awaitable[FakeCluster]]


async def begin(
    cluster: FakeCluster, client: AsyncClient, *, job: str = "a"
) -> tuple[AsyncRunHandle, AsyncTaskContext]:
    run = await client.submit_dag(
        "n", [TitanJob(job, command="true"), TitanJob("b", command="true")]
    )
    return run, AsyncTaskContext(client, cluster.start_job(run.id, job))


def lose(cluster: FakeCluster, me: AsyncTaskContext) -> AsyncTaskContext:
    """The task's worker is believed lost; the attempt that replaces it."""
    cluster.propose(ExpireWorker(worker=WorkerId("w-1"), incarnation=1))
    return AsyncTaskContext(me.client, cluster.start_job(me.run, me.job, worker="w-2"))


async def test_an_output_is_the_jobs_when_the_task_ends(
    make_cluster: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TITAN_OUTPUT", str(tmp_path / "output"))
    cluster = await make_cluster()
    async with AsyncClient(cluster.addresses) as client:
        run, me = await begin(cluster, client)
        assert await client.get_output("a", run) is None
        await me.set_output({"load": 80, "é": [1, None]})
        assert await client.get_output("a", run) == {"load": 80, "é": [1, None]}
        with pytest.raises(TypeError, match="what JSON knows"):
            await me.set_output(object())
        with pytest.raises(TypeError, match="what JSON knows"):
            await me.set_output(float("nan"))
        await me.set_output("x" * 70_000)  # the worker takes it when the task has ended
        assert (tmp_path / "output").read_text() == f'"{"x" * 70_000}"'
        assert await client.get_output("a", run) is None
        monkeypatch.setattr(in_task, "OUTPUT_BLOB_BYTES_MAX", 80_000)
        with pytest.raises(LimitExceeded):
            await me.set_output("x" * 80_000)


async def test_progress_is_told_at_most_once_in_an_interval_and_the_newest_wins(
    make_cluster: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_task, "PROGRESS_INTERVAL_S", 0.05)
    cluster = await make_cluster()
    async with AsyncClient(cluster.addresses) as client, asyncio.timeout(20):
        run, me = await begin(cluster, client)
        before = cluster.machine.state.index
        for step in range(1001):
            await me.progress(step / 1000, f"step {step}")
        assert cluster.machine.state.index == before + 1, "every call entered the log"
        while (view := await client.get_job("a", run)).progress != 1.0:
            await asyncio.sleep(0.005)
        assert view.note == "step 1000"
        assert cluster.machine.state.index <= before + 3
        with pytest.raises(ValueError, match="0 to 1"):
            await me.progress(1.5)
        while not me._reporting.done():  # type: ignore[union-attr]
            await asyncio.sleep(0.005)
        lose(cluster, me)
        with pytest.raises(Conflict, match="attempt_not_live"):
            await me.progress(1.0)


async def test_a_report_that_was_refused_later_is_raised_at_the_next_call(
    make_cluster: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_task, "PROGRESS_INTERVAL_S", 0.02)
    cluster = await make_cluster()
    async with AsyncClient(cluster.addresses) as client, asyncio.timeout(20):
        _, me = await begin(cluster, client)
        await me.progress(0.1)
        await me.progress(0.2)
        lose(cluster, me)
        while me._trouble is None:
            await asyncio.sleep(0.005)
        with pytest.raises(Conflict, match="attempt_not_live"):
            await me.progress(0.3)


async def test_children_join_the_tasks_own_run(make_cluster: Make) -> None:
    cluster = await make_cluster()
    async with AsyncClient(cluster.addresses) as client:
        run, me = await begin(cluster, client)
        await me.submit(TitanJob("c", command="true"))
        await me.submit([TitanJob("d", command="true", parents=["a", "c"])])
        assert [job.id for job in await run.jobs()] == ["a", "b", "c", "d"]
        with pytest.raises(InvalidSpec):
            await me.submit(TitanJob("c", command="true"))


async def test_a_commit_is_all_or_nothing_and_answers_each_effect(make_cluster: Make) -> None:
    cluster = await make_cluster(masters=3, fault_rate=0.2, seed=2)
    async with AsyncClient(cluster.addresses) as client, asyncio.timeout(40):
        run, me = await begin(cluster, client)
        before = cluster.machine.state.index
        async with me.commit() as c:
            version = c.store_put("k", "v")
            count = c.store_incr("n", 2)
            again = c.store_incr("n", 3)
            swapped = c.store_cas("n", 5, 6)
            added = c.store_sadd("s", "a,b")
            removed = c.store_srem("s", "a,b")
            gone = c.store_delete("missing")
            jobs = c.submit([TitanJob("c", command="true"), TitanJob("d", command="true")])
            c.set_output([1])
            with pytest.raises(UserError, match="once the commit"):
                _ = count.value
        assert (count.value, again.value, swapped.value) == (2, 5, True)
        assert (added.value, removed.value, gone.value, jobs.value) == (1, 1, False, 2)
        assert version.value > before
        assert await client.store_get("n") == "6"
        assert await client.get_output("a", run) == [1]
        written = {item.version for item in await client.store_list()}
        assert len(written) == 1, "one commit is one entry of the log"


async def test_a_commit_that_fails_anywhere_leaves_nothing(make_cluster: Make) -> None:
    cluster = await make_cluster()
    async with AsyncClient(cluster.addresses) as client:
        run, me = await begin(cluster, client)
        before = cluster.machine.state.index
        with pytest.raises(RuntimeError):  # noqa: PT012 - its end is what raises
            async with me.commit() as c:
                c.store_put("k", "v")
                raise RuntimeError
        async with me.commit():
            pass
        assert cluster.machine.state.index == before, "nothing is sent for nothing"
        with pytest.raises(Conflict, match=r"effect 3 of 3.*cas_failed") as refused:  # noqa: PT012 - its end is what raises
            async with me.commit() as c:
                c.store_put("k", "v")
                c.submit(TitanJob("c", command="true"))
                c.store_cas("k", "other", "x")
        assert refused.value.reason == "cas_failed"
        stale, me = me, lose(cluster, me)
        with pytest.raises(Conflict, match="attempt_not_live"):
            async with stale.commit() as c:
                c.store_put("k", "stale")
        assert await client.store_list() == []
        assert [job.id for job in await run.jobs()] == ["a", "b"]


async def test_a_commit_is_bounded_with_a_clear_error(make_cluster: Make) -> None:
    cluster = await make_cluster()
    async with AsyncClient(cluster.addresses) as client:
        _, me = await begin(cluster, client)
        with pytest.raises(LimitExceeded, match="effects in one commit"):  # noqa: PT012 - its end is what raises
            async with me.commit() as c:
                for _ in range(EFFECTS_PER_COMMIT_MAX + 1):
                    c.store_incr("n")
        with pytest.raises(LimitExceeded, match="the commit takes"):  # noqa: PT012 - its end is what raises
            async with me.commit() as c:
                for number in range(3):
                    c.store_put(f"k{number}", "x" * 100_000)
        assert await client.store_list() == []


async def test_other_effects_can_join_a_commit(make_cluster: Make) -> None:
    cluster = await make_cluster()
    async with AsyncClient(cluster.addresses) as client:
        run, me = await begin(cluster, client)

        async def after_preparing(client: Any) -> SetOutput:
            await client.store_put("prepared", "yes")
            return SetOutput(value=b'"late"')

        async with me.commit() as c:
            c.add(after_preparing)
        assert await client.get_output("a", run) == "late"
        assert await client.store_get("prepared") == "yes"


async def test_a_commit_under_a_lock_is_refused_once_the_lock_is_lost(make_cluster: Make) -> None:
    cluster = await make_cluster()
    async with AsyncClient(cluster.addresses) as client:
        _, me = await begin(cluster, client)
        lock = client.lock("l")
        await lock.acquire()
        async with me.commit(if_lock=lock) as c:
            c.store_put("k", "good")
        token = lock.token
        await lock.release()
        with pytest.raises(Conflict, match="lock_lost"):
            async with me.commit(if_lock=("l", token)) as c:
                c.store_put("k", "bad")
        assert await client.store_get("k") == "good"


# --- signals --------------------------------------------------------------------------------------


async def test_a_task_gets_signals_in_order_and_waits_for_those_to_come(make_cluster: Make) -> None:
    cluster = await make_cluster(masters=2)
    cluster.pieces_before_cut = 1
    async with AsyncClient(cluster.addresses) as client, asyncio.timeout(20):
        run, me = await begin(cluster, client)
        await run.signal("go", {"n": 1})
        await run.signal("go", 2, job="a")
        await run.signal("other")
        assert (await me.wait_signal("go")).payload == {"n": 1}
        assert (await me.wait_signal("go")).payload == 2
        later = asyncio.create_task(me.wait_signal("go"))
        await asyncio.sleep(0)
        await client.signal(run, "go", "three")
        assert (await later).payload == "three"
        assert (await me.wait_signal("other")).payload is None
        with pytest.raises(TimedOut, match="no signal 'go'"):
            await me.wait_signal("go", timeout=0.05)


async def test_each_signal_to_a_run_reaches_one_of_its_tasks(make_cluster: Make) -> None:
    cluster = await make_cluster()
    async with AsyncClient(cluster.addresses) as client, asyncio.timeout(20):
        run, a = await begin(cluster, client)
        b = AsyncTaskContext(client, cluster.start_job(run.id, "b"))
        got: list[int] = []

        async def take(me: AsyncTaskContext) -> None:
            while (signal := await me.wait_signal("go")).payload != "end":
                got.append(signal.payload)

        takers = [asyncio.create_task(take(me)) for me in (a, b)]
        for number in range(50):
            await run.signal("go", number)
        for _ in takers:
            await run.signal("go", "end")
        await asyncio.gather(*takers)
        assert sorted(got) == list(range(50))


async def test_a_signal_that_is_not_acked_comes_again_and_with_a_commit_it_counts_once(
    make_cluster: Make,
) -> None:
    cluster = await make_cluster()
    async with AsyncClient(cluster.addresses) as client, asyncio.timeout(20):
        run, me = await begin(cluster, client)
        await run.signal("go", 1, job="a")
        signal = await me.wait_signal("go", ack=False)
        assert await me.wait_signal("go", ack=False) == signal
        stale, me = me, lose(cluster, me)
        for late in (stale.ack(signal), stale.wait_signal("go")):
            with pytest.raises(Conflict, match="attempt_not_live"):
                await late
        again = await me.wait_signal("go", ack=False)
        async with me.commit() as c:
            c.ack(again)
            c.store_incr("done")
        with pytest.raises(Conflict, match="signal_gone"):  # noqa: PT012 - its end is what raises
            async with me.commit() as c:
                c.ack(again)
                c.store_incr("done")
        assert await me.ack(again) is False
        assert await client.store_get("done") == "1"


async def test_a_signal_nobody_can_get_is_refused(make_cluster: Make) -> None:
    cluster = await make_cluster()
    async with AsyncClient(cluster.addresses) as client:
        run, _ = await begin(cluster, client)
        cluster.finish(run.id, "b")
        with pytest.raises(Conflict, match="job_over"):
            await run.signal("go", job="b")
        with pytest.raises(LimitExceeded):
            await run.signal("go", "x" * 70_000)
        await run.cancel()
        with pytest.raises(Conflict, match="run_over"):
            await run.signal("go")


def test_code_without_asyncio_does_the_same(addresses: tuple[str, FakeCluster]) -> None:
    where, cluster = addresses
    with TitanClient(where) as client:
        run = client.submit_dag("n", [TitanJob("a", command="true")])
        me = TaskContext(cluster.start_job(run.id, "a"), client)
        me.set_output("text")
        me.progress(0.5, "half")
        assert client.get_job("a", run).progress == 0.5
        me.submit(TitanJob("child", command="true"))
        with me.commit() as c:
            count = c.store_incr("n")
        assert count.value == 1
        with pytest.raises(RuntimeError), me.commit() as c:  # noqa: PT012 - its end is what raises
            c.store_incr("n")
            raise RuntimeError
        run.signal("go", [1], job="a")
        signal = me.wait_signal("go", 5, ack=False)
        assert signal.payload == [1]
        assert me.ack(signal) is True
        assert client.get_output("a", run) == "text"
        assert client.store_get("n") == "1"
        assert cluster.machine.state.runs[RunId(run.id)].jobs


def test_writes_in_a_task_carry_its_attempt_whoever_makes_them(
    addresses: tuple[str, FakeCluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    where, cluster = addresses
    with TitanClient(where) as outside:
        run = outside.submit_dag("n", [TitanJob("a", command="true")])
        me: Identity = cluster.start_job(run.id, "a")
        monkeypatch.setenv("TITAN_ATTEMPT", str(me.attempt))
        with TitanClient(where) as client:
            client.store_put("k", "live")
            outside.cancel(run)
            for effect in (
                lambda: client.store_put("k", "late"),
                lambda: client.store_incr("n"),
                lambda: client.submit_job(TitanJob("late", command="true")),
                lambda: client.lock("l").acquire(),
                lambda: client.signal(run, "go"),
                lambda: client.cancel(run),
            ):
                with pytest.raises(Conflict, match="attempt_not_live"):
                    effect()
        assert outside.store_get("k") == "live"
        assert len(outside.list_runs()) == 1
