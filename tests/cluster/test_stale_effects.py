"""What a paused worker's tasks do after their jobs ran elsewhere: nothing, whatever they try."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.cluster import Cluster, wait_until
from titan.fsm.queries import GetOutput, PeekSignal, SignalView
from titan.ids import JobId
from titan.sdk import AsyncClient, AsyncRunHandle, TitanJob

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]
WORKERS = 500


class Process:
    """A process full of simulated workers."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def ask(self, *order: str, timeout_s: float = 60) -> Any:
        self.say(*order)
        return await self.answer(timeout_s=timeout_s)

    def say(self, *order: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write((" ".join(order) + "\n").encode())

    async def answer(self, *, timeout_s: float = 60) -> Any:
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), timeout_s)
        assert line, "the simulated workers have ended"
        return json.loads(line)

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)
        stat = Path(f"/proc/{self.process.pid}/stat")
        deadline = time.monotonic() + 5
        while (state := stat.read_text().rsplit(")", 1)[1].split()[0]) != "T":
            assert time.monotonic() < deadline, f"it does not stop: {state}"

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)


@asynccontextmanager
async def simulated(cluster: Cluster, label: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.cluster.simulated_workers",
        ",".join(cluster.addresses),
        label,
        str(WORKERS),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**20,
        cwd=Path(__file__).parents[2],
    )
    try:
        yield Process(process)
    finally:
        process.kill()
        await process.wait()


@pytest.fixture
async def masters(tmp_path: Path) -> AsyncIterator[Cluster]:
    """Three masters; the test brings the workers."""
    made = Cluster(tmp_path / "cluster", masters=3, workers=0, slots=1)
    try:
        await made.start()
        yield made
    except BaseException:
        made.show_logs()
        raise
    finally:
        await made.stop()


async def picture(client: AsyncClient, run: AsyncRunHandle) -> dict[str, Any]:
    """Everything that an effect of a task could change."""
    jobs = await run.jobs()

    async def of_job(job: JobId) -> tuple[Any, Any]:
        output = await client._read(GetOutput(run=run.id, job=job), bytes | None)  # type: ignore[arg-type]
        peek = PeekSignal(run=run.id, job=job, name="go")
        return output, await client._read(peek, SignalView | None)  # type: ignore[arg-type]

    return {
        "keys": await client.store_list(),
        "locks": await client.list_locks(),
        "jobs": jobs,
        "runs": await client.list_runs(),
        "of jobs": await asyncio.gather(*[of_job(job.id) for job in jobs]),
    }


async def test_500_workers_that_were_paused_have_no_stale_effect(masters: Cluster) -> None:
    client = masters.client
    begun_s = time.monotonic()
    async with simulated(masters, "old") as old, simulated(masters, "fresh") as fresh:
        assert (await old.ask("register"))["registered"] == WORKERS
        names = [f"j{number}" for number in range(WORKERS)]
        run = await client.submit_dag("n", [TitanJob(name, command="true") for name in names])
        await old.ask("assigned", str(WORKERS))
        assert await old.ask("live") == {"lived": WORKERS}
        await asyncio.gather(
            *[client.store_put(f"kept/{name}", 1) for name in names],
            *[client.store_sadd(f"members/{name}", "m") for name in names],
        )
        seqs = await asyncio.gather(*[run.signal("go", name, job=name) for name in names])

        old.pause()
        paused_s = time.monotonic()

        async def online() -> int:
            return sum(worker.state == "online" for worker in await client.list_workers())

        await wait_until(online, lambda count: count == 0, timeout_s=60)
        expired_s = time.monotonic() - paused_s
        assert (await fresh.ask("register"))["registered"] == WORKERS
        await fresh.ask("assigned", str(WORKERS))
        assert await fresh.ask("live") == {"lived": WORKERS}  # the locks of the lost are free
        before = await picture(client, run)

        old.say("attack", json.dumps(dict(zip(names, seqs, strict=True))))
        old.resume()
        tried = (await old.answer(timeout_s=120))["tried"]
        back = await old.ask("register")
        assert back == {"registered": WORKERS, "live": 0}, "an old attempt counts as live"
        assert await old.ask("finish") == {"confirmed": WORKERS}  # heard, and refused for good
        after = await picture(client, run)

        answers: dict[str, int] = {}
        for kind in tried.values():
            for code, count in kind.items():
                answers[code] = answers.get(code, 0) + count
        sys.stdout.write(
            f"\n{WORKERS} workers paused and resumed (lost after {expired_s:.1f} s), {len(tried)} kinds "
            f"of effects and the result: {sum(answers.values()) + WORKERS} tries, answered {answers}, "
            f"{sum(before[part] != after[part] for part in before)} parts of the state changed, "
            f"{time.monotonic() - begun_s:.0f} s in all\n"
        )
        assert answers == {"attempt_not_live": len(tried) * WORKERS}
        for part, value in before.items():
            assert after[part] == value, f"a stale effect shows in {part}"

        assert await fresh.ask("finish") == {"confirmed": WORKERS}
        assert await run.wait(30) == "COMPLETED"
        assert {await client.get_output(name, run) for name in names[::50]} == {"fresh"}
        assert [item.value for item in await client.store_list("who/")] == ["fresh"] * WORKERS
        assert await client.list_locks() == []


TASK = """
import json, os, sys, time
from pathlib import Path
from titan.sdk import TitanClient, TitanJob, current
from titan.errors import Conflict

me, folder = current(), Path(os.environ["FOLDER"])
run, client = me.run, me.client
lock = client.lock(f"lock/{me.job}", ttl_s=600)
assert lock.acquire(timeout=60)
client.store_put(f"who/{me.job}", me.number, if_lock=lock)
me.set_output(me.number)
signal = me.wait_signal("go", 30, ack=False)
token = lock.token
(folder / f"{me.job}-{me.number}.started").write_text(str(os.getpid()))

def wait(name):
    deadline = time.monotonic() + 120
    while not (folder / name).exists():
        assert time.monotonic() < deadline, name
        time.sleep(0.01)

wait(f"go-{me.number}")
if me.number == 2:
    with me.commit() as c:
        c.ack(signal)
        c.store_incr(f"count/{me.job}")
        c.submit(TitanJob(f"child-{me.job}", command="true"))
    sys.exit()

def commit():
    with me.commit() as c:
        c.ack(signal)
        c.store_incr(f"count/{me.job}")
        c.submit(TitanJob(f"stale-{me.job}", command="true"))

def locked(name):
    if not client.lock(name).acquire(wait=False):
        raise AssertionError("answered instead of refused")

seen = {}
for effect in (
    lambda: client.store_put(f"who/{me.job}", "stale"),
    lambda: client.store_put(f"who/{me.job}", "stale", if_lock=("lock/" + me.job, token)),
    lambda: client.store_incr(f"count/{me.job}"),
    lambda: client.store_delete(f"who/{me.job}"),
    lambda: client.store_sadd(f"set/{me.job}", "stale"),
    lambda: client.submit_dag("stale", [TitanJob("stale", command="true")]),
    lambda: client.signal(run, "stale"),
    lambda: client.cancel(run),
    lambda: me.set_output("stale"),
    lambda: me.progress(0.5),
    lambda: me.submit(TitanJob(f"stale-{me.job}", command="true")),
    lambda: me.ack(signal),
    lambda: me.wait_signal("go", 5),
    lambda: locked(f"lock/{me.job}"),
    lambda: lock.renew(),
    commit,
):
    try:
        effect()
        answer = "accepted"
    except Conflict as error:
        answer = error.reason
    except Exception as error:
        answer = repr(error)
    seen[answer] = seen.get(answer, 0) + 1
part = folder / f"{me.job}.part"
part.write_text(json.dumps(seen))
part.rename(folder / f"{me.job}.seen")
"""


async def test_real_tasks_of_a_worker_that_was_paused_are_refused_everything(
    tmp_path: Path,
) -> None:
    cluster = Cluster(tmp_path / "cluster", masters=1, workers=2, slots=3)
    late = cluster.workers.pop()  # it comes when the other one is believed lost
    folder = tmp_path / "shared"
    folder.mkdir()
    script = tmp_path / "task.py"
    script.write_text(TASK)
    names = ["a", "b", "c"]
    try:
        await cluster.start()
        client = cluster.client
        jobs = [TitanJob(name, script, env={"FOLDER": str(folder)}) for name in names]
        run = await client.submit_dag("n", jobs)
        for name in names:
            await run.signal("go", name, job=name)

        async def files() -> set[str]:
            return {path.name for path in folder.iterdir()}

        await cluster.wait_until(
            files, lambda seen: all(f"{n}-1.started" in seen for n in names), timeout_s=60
        )
        pids = [int((folder / f"{name}-1.started").read_text()) for name in names]
        cluster.pause(cluster.workers[0])
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        (folder / "go-1").touch()
        late.start()
        cluster.workers.append(late)
        await cluster.wait_until(
            files, lambda seen: all(f"{n}-2.started" in seen for n in names), timeout_s=60
        )
        before = await picture(client, run)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        await cluster.wait_until(
            files, lambda seen: all(f"{n}.seen" in seen for n in names), timeout_s=60
        )
        answers = [json.loads((folder / f"{name}.seen").read_text()) for name in names]
        assert await picture(client, run) == before
        cluster.resume(cluster.workers[0])
        (folder / "go-2").touch()
        assert await run.wait(60) == "COMPLETED"
        sys.stdout.write(f"\n3 real tasks on a paused worker, paused themselves: {answers}\n")
        assert answers == [{"attempt_not_live": 16}] * 3
        assert [await client.store_get(f"count/{name}") for name in names] == ["1"] * 3
        assert [await client.get_output(name, run) for name in names] == [2] * 3
        assert sorted(job.id for job in await run.jobs()) == sorted(
            [*names, *[f"child-{name}" for name in names]]
        )
    except BaseException:
        cluster.show_logs()
        raise
    finally:
        await cluster.stop()
