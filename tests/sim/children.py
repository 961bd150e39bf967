"""The jobs' processes, simulated: what the warden would have started, and the log of what really ran.

`Execution` is the witness that results are held against: it is written by the simulated process itself
and knows nothing of what the cluster believes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.sim.loop import Life, SimLoop
from titan.exec.warden_client import Reports
from titan.ids import AttemptId

SPAWN_S: Final = 0.002
KILLED: Final = 137
TERMINATED: Final = 143
STUBBORN: Final = 0.1  # of the processes do not care for TERM


@dataclass(slots=True)
class Execution:
    """One process of one attempt, as it saw itself."""

    run: str
    job: str
    attempt: int
    fence: int
    life: str
    host: str
    started_s: float
    output: bytes
    ended_s: float | None = None
    exit_code: int | None = None


class Executions:
    """What really ran, in order, on all workers."""

    def __init__(self, rng: random.Random, note: Callable[[str], None]) -> None:
        self.rng = rng
        self.note = note
        self.all: list[Execution] = []
        self.is_quick = False  # after the heal: what is slow then is the cluster
        self.on_began: Callable[[Execution], None] = lambda _execution: None

    def began(self, env: Mapping[bytes, bytes], *, life: Life, now_s: float) -> Execution:
        attempt = int(env[b"TITAN_ATTEMPT"])
        execution = Execution(
            run=env[b"TITAN_RUN_ID"].decode(),
            job=env[b"TITAN_JOB_ID"].decode(),
            attempt=attempt,
            fence=int(env[b"TITAN_FENCE"]),
            life=repr(life),
            host=life.host,
            started_s=now_s,
            output=f"{attempt} of {life} {self.rng.getrandbits(32):08x}".encode(),
        )
        self.all.append(execution)
        self.on_began(execution)
        self.note(f"{life} runs {execution.run}/{execution.job} attempt {attempt}")
        return execution

    def draw_end(self) -> tuple[float, int]:
        """How long the process will take, and its exit code."""
        rng = self.rng
        if self.is_quick:
            return 0.01, 0
        long_s = rng.choice((0.01, 0.02, 0.05, 0.05, 0.1, 0.3, 0.3, 0.8, 3.0))
        return long_s * rng.uniform(0.5, 1.5), rng.choice((0, 0, 0, 0, 0, 0, 0, 0, 1, 3))


class SimWarden:
    """Stands where `titan.exec.warden_client.Warden` stands."""

    loop: SimLoop
    executions: Executions

    def __init__(self, reports: Reports) -> None:
        life = self.loop.current
        assert life is not None
        self._reports, self._life = reports, life
        self._running: dict[AttemptId, tuple[Execution, Path, bool]] = {}
        self.pid = 1

    def spawn(
        self,
        attempt: AttemptId,
        *,
        argv: Sequence[bytes],
        cwd: Path,
        env: Mapping[bytes, bytes],
        log: Path,
        how: Mapping[str, Any] | None = None,
        door: object = None,
    ) -> None:
        assert door is None, "functions are not simulated"
        self.loop.later(SPAWN_S, self._start, attempt, dict(env), log)

    def _start(self, attempt: AttemptId, env: dict[bytes, bytes], log: Path) -> None:
        if not self._life.is_alive:
            return
        rng = self.executions.rng
        if rng.random() < 0.01:
            self.loop.post(self._life, self._reports.on_start_failed, attempt, 11, "")
            return
        execution = self.executions.began(env, life=self._life, now_s=self.loop.now)
        log.write_bytes(execution.output)
        output = Path(env[b"TITAN_OUTPUT"].decode())
        self._running[attempt] = execution, output, rng.random() < STUBBORN
        duration_s, code = self.executions.draw_end()
        self.loop.post(self._life, self._reports.on_started, attempt, 1000 + attempt)
        self.loop.later(duration_s, self._exit, attempt, code)

    def _exit(self, attempt: AttemptId, code: int) -> None:
        if attempt not in self._running or not self._life.is_alive:
            return
        execution, output, _ = self._running.pop(attempt)
        execution.ended_s, execution.exit_code = self.loop.now, code
        self.executions.note(f"attempt {attempt} exits {code}")
        if code == 0:
            output.write_bytes(execution.output)
        duration_us = int((self.loop.now - execution.started_s) * 1e6)
        self.loop.post(self._life, self._report, attempt, code, duration_us)

    def _report(self, attempt: AttemptId, code: int, duration_us: int) -> None:
        self._reports.on_exited(
            attempt, exit_code=code, duration_us=duration_us, log_bytes=0, cpu_us=0
        )

    def terminate(self, attempt: AttemptId) -> None:
        running = self._running.get(attempt)
        if running is not None and not running[2]:
            self.loop.later(0.01, self._exit, attempt, TERMINATED)

    def kill(self, attempt: AttemptId) -> None:
        self.loop.later(0.01, self._exit, attempt, KILLED)

    async def close(self) -> None:
        self._running.clear()
