"""Runs: random graphs of small jobs that write down their own executions, cancels, retries, repeats.

Each job appends to a file named after its attempt when it starts and when it ends. Those files are the
witness of what really ran, whatever the cluster says.
"""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any, Final

from chaos.client import NotSent, PinnedClient, Refused
from chaos.control import RECORDS
from chaos.history import Recorder
from titan.errors import TitanError
from titan.ids import new_run_id

SCRIPT: Final = """
file="$CHAOS_RECORDS/$TITAN_RUN_ID.$TITAN_JOB_ID.$TITAN_ATTEMPT"
now=$(date +%s%N)
printf 'start %s %s %s %s %s\\n' \\
  "$TITAN_FENCE" "$TITAN_ATTEMPT_NUMBER" $$ "$now" "$TITAN_WORKER_ID" >> "$file"
sleep "$1"
code=0
[ "$TITAN_ATTEMPT_NUMBER" -le "$2" ] && code=3
printf 'end %s %s\\n' "$code" "$(date +%s%N)" >> "$file"
exit "$code"
"""
JOBS_MAX: Final = 6
NAPS_S: Final = (0, 0, 0.02, 0.02, 0.1, 0.1, 0.5, 4.0)
RETRIES: Final = 8
TRIES: Final = 12  # of one client's write, at one master after another
RETRY_REST_S: Final = 0.4


class RunTraffic:
    """One client that submits, cancels and retries."""

    def __init__(
        self,
        name: str,
        masters: tuple[str, ...],
        recorder: Recorder,
        *,
        records: Path,
        seed: str,
        rest_s: float,
    ) -> None:
        self.name = name
        self._clients = [PinnedClient(address) for address in masters]
        self._recorder = recorder
        self._records = records
        self._rng = random.Random(seed)
        self._rest_s = rest_s
        self._request = 0
        self._runs: list[str] = []
        self._repeats: set[asyncio.Task[None]] = set()

    async def run(self, until: asyncio.Event) -> None:
        """One order after another."""
        try:
            while not until.is_set():
                await self._once(until)
                await asyncio.sleep(self._rng.expovariate(1 / self._rest_s))
        finally:
            await asyncio.gather(*self._repeats)
            await asyncio.gather(*(client.close() for client in self._clients))

    async def _once(self, until: asyncio.Event) -> None:
        verb = self._rng.choices(("submit", "cancel", "retry"), (88, 8, 4))[0]
        if verb == "submit" or not self._runs:
            await self._submit(until)
            return
        run = self._rng.choice(self._runs[-5:])
        command = {"!": "run.cancel", "run": run}
        if verb == "retry":
            command = {"!": "job.retry", "run": run, "job": "j0"}
        await self._order(verb, run, [], command, until)

    async def _submit(self, until: asyncio.Event) -> None:
        run = str(new_run_id())
        self._runs.append(run)
        jobs = self._graph()
        command = {"!": "run.submit", "run": run, "name": "chaos", "jobs": jobs}
        plan = [{"id": job["id"], "parents": job["depends_on"]} for job in jobs]
        await self._order("submit", run, [plan], command, until)

    def _graph(self) -> list[dict[str, Any]]:
        jobs = []
        for n in range(self._rng.randint(1, JOBS_MAX)):
            earlier = [f"j{i}" for i in range(n)]
            parents = self._rng.sample(earlier, k=min(n, self._rng.choice((0, 1, 1, 2))))
            nap = f"{self._rng.choice(NAPS_S):.2f}"
            failures = str(self._rng.choice((0, 0, 0, 0, 1)))
            jobs.append(
                {
                    "id": f"j{n}",
                    "shell": SCRIPT.encode(),
                    "args": [nap.encode(), failures.encode()],
                    "depends_on": parents,
                    "env": {RECORDS: str(self._records)},
                    "retries": RETRIES,
                    "retry_backoff_ms": 100,
                    "retry_backoff_cap_ms": 500,
                }
            )
        return jobs

    async def _order(
        self, verb: str, run: str, args: list[Any], command: dict[str, Any], until: asyncio.Event
    ) -> None:
        """One write with one identity, repeated at one master after another until one answers.

        Every tenth is sent to two masters at once although nothing has failed.
        """
        self._request += 1
        request = self._request
        number = self._recorder.invoke(self.name, verb, run, *args)
        if self._rng.random() < 0.1:
            self._spawn_repeat(command, request)
        error: Exception = TimeoutError("not tried")
        for _ in range(TRIES):
            client = self._rng.choice(self._clients)
            try:
                await self._send(client, command, request)
            except Refused as refused:
                if refused.code == "stale_epoch":
                    error = refused
                else:
                    self._recorder.ok(number, refused.code)
                    return
            except (TitanError, NotSent) as failed:
                error = failed
            else:
                self._recorder.ok(number, "")
                return
            if until.is_set():
                break
            await asyncio.sleep(RETRY_REST_S)
        self._recorder.unknown(number, error)

    async def _send(self, client: PinnedClient, command: dict[str, Any], request: int) -> Any:
        return await client.write(command, client=self._clients[0].id, request=request)

    def _spawn_repeat(self, command: dict[str, Any], request: int) -> None:
        async def repeat() -> None:
            try:
                await self._send(self._rng.choice(self._clients), command, request)
            except (TitanError, Refused, NotSent):
                pass  # the other copy is the one that counts

        task = asyncio.create_task(repeat(), name=f"{self.name} repeat")
        self._repeats.add(task)
        task.add_done_callback(self._repeats.discard)


def executions(records: Path) -> list[dict[str, Any]]:
    """What the jobs' files say; one record for each process that started."""
    found = []
    for path in sorted(records.iterdir()):
        run, job, attempt = path.name.split(".")
        current: dict[str, Any] = {}
        for line in path.read_text().splitlines():
            word, *rest = line.split(" ")
            if word == "start" and len(rest) == 5:
                current = {
                    "run": run,
                    "job": job,
                    "attempt": int(attempt),
                    "fence": int(rest[0]),
                    "number": int(rest[1]),
                    "pid": int(rest[2]),
                    "started_ns": int(rest[3]),
                    "worker": rest[4],
                }
                found.append(current)
            elif word == "end" and len(rest) == 2 and current:
                current.update(code=int(rest[0]), ended_ns=int(rest[1]))
            else:
                raise ValueError(f"{path}: {json.dumps(line)} is not a record")
    return found
