"""The load of the soak: runs of many sizes and kinds, keys that expire, logs, files, watchers, new clients.

Every stream is one task that does one thing at a time at its own pace, so the load is bounded: when the
cluster is slow, less is asked of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final

from titan.errors import TitanError
from titan.sdk import AsyncClient, TitanJob

RUNS_AT_ONCE: Final = 8
SIZES: Final = (1, 1, 2, 3, 5, 8, 13, 20, 40)
PATIENCE_S: Final = 120
PUTS_PER_S: Final = 20
KEY_TTL_S: Final = 60
UPLOAD_EVERY_S: Final = 20
UPLOAD_BYTES: Final = 256 * 1024
UPLOAD_KEYS: Final = 20
VISIT_EVERY_S: Final = 15
SCRIPT: Final = "import sys\nprint('a script ran with', sys.argv[1:])\n"
_PRINTS: Final = "for n in $(seq 20); do echo line $n of a job that tells what it does; done"
_LARGE_LOG: Final = "head -c 20000 /dev/urandom | base64 -w 80"
_LEAVES: Final = "head -c 65536 /dev/urandom > left.bin"


class Load:
    """See the module. `timings` collects what each put and each single job took, until it is emptied."""

    def __init__(
        self, client: AsyncClient, addresses: tuple[str, ...], *, jobs_per_s: float, folder: Path
    ) -> None:
        self._client = client
        self._addresses = addresses
        self._jobs_per_s = jobs_per_s
        self._folder = folder
        self._dice = random.Random(1)
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.timings: dict[str, list[float]] = {"put": [], "job": []}  # ms
        self.counts: Counter[str] = Counter()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Everything goes on meanwhile."""
        self._folder.joinpath("script.py").write_text(SCRIPT)
        streams = [self._put_keys, self._upload, self._watch, self._visit]
        tasks = [asyncio.create_task(self._guard(one), name=one.__name__) for one in streams]
        runs = asyncio.create_task(self._guard(self._submit_all), name="runs")
        try:
            yield
        finally:
            for task in (*tasks, runs):
                task.cancel()
            await asyncio.gather(*tasks, runs, return_exceptions=True)

    async def failed(self) -> None:
        """Returns never; raises what has ended a stream."""
        await asyncio.shield(self._failure)

    async def _guard(self, stream: Callable[[], Awaitable[None]]) -> None:
        """Errors of the cluster are counted and shown; the load goes on, as users do."""
        while True:
            try:
                await stream()
            except TitanError as error:
                self._count(error)
                await asyncio.sleep(1)
            except Exception as error:
                if not self._failure.done():
                    self._failure.set_exception(error)
                raise

    def _count(self, error: TitanError) -> None:
        self.counts[f"errors ({error.code})"] += 1
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)

    # --- runs -----------------------------------------------------------------------------------

    async def _submit_all(self) -> None:
        """Runs at a pace that gives so many jobs a second, some of them at once."""
        at_once = asyncio.Semaphore(RUNS_AT_ONCE)
        due_s = time.monotonic()
        async with asyncio.TaskGroup() as group:
            while True:
                size = self._dice.choice(SIZES)
                due_s = max(due_s, time.monotonic() - 5) + size / self._jobs_per_s
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))
                await at_once.acquire()
                group.create_task(self._run(size, at_once), name="a run")

    async def _run(self, size: int, at_once: asyncio.Semaphore) -> None:
        try:
            start = time.perf_counter()
            run = await self._client.submit_dag("soak", self._jobs(size))
            self.counts["runs"] += 1
            self.counts["jobs"] += size
            is_cancelled = self._dice.random() < 0.02
            if is_cancelled:
                await run.cancel()
            await run.wait(PATIENCE_S)
            if size == 1:
                self.timings["job"].append((time.perf_counter() - start) * 1e3)
            if self._dice.random() < 0.05 and not is_cancelled:  # what never began has no log
                await run.logs()
        except TitanError as error:
            self._count(error)
        finally:
            at_once.release()

    def _jobs(self, size: int) -> list[TitanJob]:
        """A tree: each job waits for one before it, or for none."""
        jobs = [self._job(0, [])]
        for number in range(1, size):
            parents = [f"j{self._dice.randrange(number)}"] if self._dice.random() < 0.6 else []
            jobs.append(self._job(number, parents))
        return jobs

    def _job(self, number: int, parents: list[str]) -> TitanJob:
        name, kind = f"j{number}", self._dice.random()
        if kind < 0.70:
            return TitanJob(name, command=["true"], parents=parents)
        if kind < 0.85:
            return TitanJob(name, command=_PRINTS, parents=parents)
        if kind < 0.87:
            return TitanJob(name, command=_LARGE_LOG, parents=parents)
        if kind < 0.88:
            leaves = {"out": ["left.bin"]}
            return TitanJob(name, command=_LEAVES, artifacts=leaves, parents=parents)
        if kind < 0.90:
            return TitanJob(name, command="exit 3", retries=1, retry_backoff_ms=50, parents=parents)
        return TitanJob(name, self._folder / "script.py", args=[name], parents=parents)

    # --- everything else --------------------------------------------------------------------------

    async def _put_keys(self) -> None:
        while True:
            key = f"soak/{self._dice.randrange(100_000)}"
            start = time.perf_counter()
            await self._client.store_put(key, "v" * 200, ttl_s=KEY_TTL_S)
            self.timings["put"].append((time.perf_counter() - start) * 1e3)
            self.counts["puts"] += 1
            await asyncio.sleep(1 / PUTS_PER_S)

    async def _upload(self) -> None:
        """A file under a key that had another one; the old one is nobody's from then on."""
        path = self._folder / "upload.bin"
        while True:
            path.write_bytes(os.urandom(UPLOAD_BYTES))
            key = f"soak/{self.counts['uploads'] % UPLOAD_KEYS}"
            await self._client.publish_artifact(key, path)
            self.counts["uploads"] += 1
            await asyncio.sleep(UPLOAD_EVERY_S)

    async def _watch(self) -> None:
        async for _change in self._client.watch("soak/"):
            self.counts["changes seen"] += 1

    async def _visit(self) -> None:
        """Clients that come, ask, write, follow a run and go: each leaves a session behind."""
        while True:
            async with AsyncClient(self._addresses) as visitor:
                await visitor.list_workers()
                await visitor.list_runs(limit=50)
                await visitor.store_incr("visits")
                run = await visitor.submit_dag("visit", self._jobs(3))
                async for change in run.watch():
                    if change.run is not None and change.run.over:
                        break
            self.counts["visits"] += 1
            await asyncio.sleep(VISIT_EVERY_S)
