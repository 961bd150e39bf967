"""What clients do: keys whose history is checked, runs whose fate is checked, and repeats of both.

Every client is the real `AsyncClient` in a life of its own. A call that fails is unknown, whatever the
error says; a client that is killed leaves its last call unknown.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from chaos.history import History, Op
from tests.sim.locking import Locking
from titan.errors import Conflict, NotFound, TitanError
from titan.fsm.commands import AddJobs, CancelJob, CancelRun, RetryJob, SubmitRun
from titan.fsm.queries import GetRun, RunView
from titan.ids import Digest, JobId, RunId, new_run_id
from titan.sdk.aio import AsyncClient
from titan.sdk.handles import AsyncRunHandle
from titan.spec.model import JobSpec

if TYPE_CHECKING:
    from tests.sim.hosts import Host
    from tests.sim.loop import Life
    from tests.sim.world import World

VALUES: Final = ("a", "b", "c")
COUNTERS: Final = ("n", "m")
SETS: Final = ("s",)
TTL_S: Final = 1.0  # of a borrowed key
RUNS_MAX: Final = 40  # of one seed: the end must come within the patience of the check


@dataclass(slots=True)
class Submission:
    """A run that somebody tried to start."""

    run: RunId
    jobs: dict[str, JobSpec]
    is_acked: bool = False
    added: dict[str, JobSpec] = field(default_factory=dict)
    is_disturbed: bool = False  # a job was retried by hand: parents may succeed twice


class Workload:
    """All clients' doings in one history."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self.world, self.rng = world, rng
        self.history = History()
        self.submissions: dict[RunId, Submission] = {}
        self.bundles: list[Digest] = []  # projects that are in the cluster for sure
        self.is_stopping = False
        self.at_work: dict[Life | None, None] = {}
        self.finished_ok = self.finished_unknown = 0
        self._seen: dict[str, str | None] = {}
        self.locking = Locking(self, rng)

    @property
    def busy(self) -> list[str]:
        """Clients in the middle of something; the dead are in the middle of nothing."""
        return [repr(life) for life in self.at_work if life is not None and life.is_alive]

    # --- lives -----------------------------------------------------------------------------

    async def live(self, host: Host, client: AsyncClient) -> None:
        """One client until the end of the workload."""
        loop, rng = self.world.loop, self.rng
        while not self.is_stopping:
            pause = loop.create_future()
            loop.call_later(rng.expovariate(1 / self.world.settings.think_s), _wake, pause)
            await pause
            if self.is_stopping:
                break
            self.at_work[host.life] = None
            await self._do_something(host.name, client)
            self.at_work.pop(host.life, None)
        await client.close()

    async def look_at_everything(self, name: str, client: AsyncClient) -> None:
        """After the heal: every key is read once more, so that losses show in the history."""
        for key in VALUES + COUNTERS:
            await self.record(name, "get", key, (), lambda key=key: client.store_get(key))
        for key in SETS:
            await self.record(name, "smembers", key, (), lambda key=key: client.store_smembers(key))

    async def _do_something(self, name: str, client: AsyncClient) -> None:
        draw = self.rng.random()
        if draw < 0.56:
            await self._touch_key(name, client)
        elif draw < 0.62:
            await self.locking.use_one(name, client)
        elif draw < 0.80:
            await self._submit(name, client)
        elif draw < 0.81:
            await self._borrow(name, client)
        elif draw < 0.83:
            await self._upload(client)
        elif draw < 0.85:
            await self._upload_project(client)
        else:
            await self._meddle(name, client)

    # --- keys ------------------------------------------------------------------------------

    async def _touch_key(self, name: str, client: AsyncClient) -> None:
        rng = self.rng
        key = rng.choice(VALUES)
        fresh = f"{name}-{len(self.history.ops)}"
        verb = rng.choice(
            ("put", "put", "get", "get", "get", "cas", "cas", "delete", "incr", "incr", "sadd",
             "srem", "smembers")
        )  # fmt: skip
        match verb:
            case "put":
                await self.record(name, verb, key, (fresh,), lambda: client.store_put(key, fresh))
            case "get":
                key = rng.choice(VALUES + COUNTERS)
                value = await self.record(name, verb, key, (), lambda: client.store_get(key))
                self._seen[key] = value
            case "cas":
                expected = self._seen.get(key)
                await self.record(
                    name, verb, key, (expected, fresh),
                    lambda: client.store_cas(key, expected, fresh),
                )  # fmt: skip
            case "delete":
                await self.record(name, verb, key, (), lambda: client.store_delete(key))
            case "incr":
                key = rng.choice(COUNTERS)
                await self.record(name, verb, key, (1,), lambda: client.store_incr(key))
            case "sadd":
                member = rng.choice("xyz")
                key = rng.choice(SETS)
                await self.record(
                    name, verb, key, (member,), lambda: client.store_sadd(key, member)
                )
            case "srem":
                member = rng.choice("xyz")
                key = rng.choice(SETS)
                await self.record(
                    name, verb, key, (member,), lambda: client.store_srem(key, member)
                )
            case "smembers":
                key = rng.choice(SETS)
                await self.record(name, verb, key, (), lambda: client.store_smembers(key))

    async def record(
        self,
        name: str,
        verb: str,
        key: str,
        args: tuple[Any, ...],
        call: Callable[[], Awaitable[Any]],
    ) -> Any:
        """Do one operation and write down what came of it; None when that is not known."""
        op = Op(len(self.history.ops), name, verb, key, list(args), self.world.loop.now)
        self.history.ops.append(op)
        self.world.note(f"{name} {op.number} {verb} {key} {args}")
        try:
            op.value = await call()
        except TitanError as error:
            op.why, op.gave_up_s = f"{type(error).__name__}: {error}", self.world.loop.now
            self._ended(f"{name} {op.number} unknown: {op.why}", ok=False)
            return None
        op.known, op.ended_s = True, self.world.loop.now
        self._ended(f"{name} {op.number} ok: {op.value!r}", ok=True)
        return op.value

    def _ended(self, text: str, *, ok: bool) -> None:
        self.finished_ok += ok
        self.finished_unknown += not ok
        self.world.note(text)

    async def _borrow(self, name: str, client: AsyncClient) -> None:
        """A lock made of a key with a time to live: take it, and give it back or forget to."""
        key, token = "lock", f"{name}-{len(self.history.ops)}"
        taken = await self.record(
            name, "lock", key, (token, TTL_S),
            lambda: client.store_cas(key, None, token, ttl_s=TTL_S),
        )  # fmt: skip
        if not taken:
            return
        self.world.happened("key borrowed")
        await asyncio.sleep(self.rng.uniform(0, 0.1))
        if self.rng.random() < 0.8:
            await self.record(
                name, "unlock", key, (token,),
                lambda: client.store_cas(key, token, "free", ttl_s=0.001),
            )  # fmt: skip

    # --- runs ------------------------------------------------------------------------------

    async def _submit(self, name: str, client: AsyncClient) -> None:
        if len(self.submissions) >= RUNS_MAX:
            return
        run = new_run_id()
        jobs = self._draw_jobs("j", count=self.rng.choice((1, 1, 2, 3, 5, 8)))
        submission = self.submissions[run] = Submission(run, {job.id: job for job in jobs})
        command = SubmitRun(run=run, name="sim", jobs=jobs)
        self.world.note(f"{name} submits {run} of {len(jobs)} jobs")
        for again in range(2 if self.rng.random() < 0.2 else 1):
            try:
                await client._write(command)
            except Conflict as error:
                if error.reason != "run_exists":
                    self.world.violate(f"I2 {run} was refused: {error.reason} {error}")
                submission.is_acked = True
            except TitanError as error:
                self._ended(f"{name} submit {run} unknown: {error}", ok=False)
                continue
            else:
                submission.is_acked = True
            if again:
                self.world.happened("submission repeated")
            self._ended(f"{name} submit {run} ok, time {again + 1}", ok=True)

    def _draw_jobs(self, prefix: str, *, count: int, parents: tuple[str, ...] = ()) -> Any:
        rng = self.rng
        known, jobs = list(parents), []
        for number in range(count):
            above = rng.sample(known, min(len(known), rng.choice((0, 1, 1, 2, 3))))
            job = JobSpec(
                id=JobId(f"{prefix}{number}"),
                argv=(b"/bin/true",),
                depends_on=tuple(JobId(one) for one in sorted(above)),
                trigger=rng.choice(("all_success",) * 4 + ("all_done", "any_success")),
                retries=rng.choice((0, 1, 3, 8)),
                retry_backoff_ms=rng.choice((20, 100, 400)),
                retry_backoff_cap_ms=1000,
                delay_ms=rng.choice((0, 0, 0, 50, 500)),
                affinity=rng.random() < 0.2,
                priority=rng.choice((1, 1, 5)),
                resources=rng.choice(({}, {}, {"cpu_milli": 1500}, {"slots": 2})),
                timeout_ms=rng.choice((86_400_000, 86_400_000, 86_400_000, 200)),
                bundle=rng.choice(self.bundles)
                if self.bundles and rng.random() < 0.2
                else Digest(""),
            )
            jobs.append(job)
            known.append(job.id)
        return tuple(jobs)

    async def _meddle(self, name: str, client: AsyncClient) -> None:
        """Look at, wait for, cancel, retry or extend a run that may exist."""
        if not self.submissions:
            return
        submission = self.rng.choice(list(self.submissions.values()))
        run, rng = submission.run, self.rng
        was_acked = submission.is_acked
        what = rng.choice(
            ("look", "look", "wait", "wait", "cancel", "cancel job", "retry", "add", "logs")
        )
        try:
            match what:
                case "look":
                    await client._read(GetRun(run=run), RunView)
                case "wait":
                    await AsyncRunHandle(client, run).wait(rng.choice((0.5, 3.0)))
                case "cancel":
                    await client._write(CancelRun(run=run))
                case "cancel job":
                    await client._write(CancelJob(run=run, job=self._some_job(submission)))
                case "retry":
                    submission.is_disturbed = True
                    await client._write(RetryJob(run=run, job=self._some_job(submission)))
                case "logs":
                    await client.fetch_logs(self._some_job(submission), run)
                case "add":
                    await self._add(submission, client)
        except NotFound as error:
            if was_acked and what != "logs":  # a worker may have lost them
                self.world.violate(f"I2 run {run} was acknowledged and is not found: {error}")
        except Conflict as error:
            self._ended(f"{name} {run} refused: {error.reason}", ok=True)
        except TitanError as error:
            self._ended(f"{name} {run} unknown: {error}", ok=False)
        else:
            self._ended(f"{name} {run} ok", ok=True)

    def _some_job(self, submission: Submission) -> JobId:
        return JobId(self.rng.choice(list(submission.jobs)))

    async def _add(self, submission: Submission, client: AsyncClient) -> None:
        prefix = f"x{len(submission.added)}-{self.rng.getrandbits(16):04x}-"
        jobs = self._draw_jobs(
            prefix, count=self.rng.choice((1, 2)), parents=tuple(submission.jobs)
        )
        await client._write(AddJobs(run=submission.run, jobs=jobs))
        submission.added.update({job.id: job for job in jobs})

    async def _upload_project(self, client: AsyncClient) -> None:
        folder = self.world.folder / f"project-{self.rng.randrange(3)}"
        folder.mkdir(exist_ok=True)
        (folder / "data").write_bytes(folder.name.encode() * 2000)
        began_ms = self.world.committed_ms()
        try:
            digest = Digest(await client.upload_project_folder(folder))
        except TitanError as error:
            self._ended(f"project unknown: {error}", ok=False)
            return
        self.world.uploads[digest] = began_ms
        if digest not in self.bundles:
            self.bundles.append(digest)
        self._ended(f"project {digest[:8]} ok", ok=True)

    async def _upload(self, client: AsyncClient) -> None:
        path = self.world.folder / f"upload-{self.rng.randrange(6)}"
        path.write_bytes(path.name.encode() * self.rng.choice((1, 1000, 60_000)))
        began_ms = self.world.committed_ms()
        try:
            digest = await client.upload_file(path)
        except TitanError as error:
            self._ended(f"upload unknown: {error}", ok=False)
        else:
            self.world.uploads[digest] = began_ms
            self._ended(f"uploaded {digest[:8]}", ok=True)


def _wake(pause: Any) -> None:
    if not pause.done():
        pause.set_result(None)
