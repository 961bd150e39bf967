"""Prints what one entry costs at its worst: `python -m tests.fsm.scale [JOBS]`. Asserts no time.

Every line is the longest `Machine.apply` of a command at a run of that many jobs, in milliseconds, with
the collector as masters set it. The last lines are the snapshot and the memory of ended jobs.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Iterable, Iterator

import msgspec

from titan.fsm import commands as c
from titan.fsm.commands import ENTRY_FORMAT, Command, Entry, Proposal, encode_entry
from titan.fsm.machine import Machine
from titan.ids import AttemptId, JobId, RunId, WorkerId
from titan.limits import FINISHED_KEEP_MS
from titan.spec.model import JobSpec

RUN = RunId("r-00000000000000000001")
PART_JOBS = 4000
W = WorkerId("w1")


class Bench:
    """A machine and the longest apply of each kind of command."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.now_ms = 1_700_000_000_000
        self.worst_ms: dict[str, float] = {}
        self.entries: dict[str, int] = {}
        self.log: list[bytes] = []
        self.do(c.OpenEpoch(epoch=1, leader="m1", cluster_id="x"))
        self.do(c.RaiseVersion(version=c.VERSION))
        self.do(c.JoinWorker(worker=W, incarnation=1, capabilities=("GENERAL",), slots=4096))

    def do(self, command: Command, *, label: str = "") -> object:
        """Apply a command that must take effect, and what it leaves unsettled; answers its value."""
        value = self.entry([command], label=label)[0]
        entries = 0
        while self.machine.state.unsettled:
            self.entry([c.AdvanceTime()], label=f"{label}, goes on")
            entries += 1
        if entries:
            self.entries[f"{label}, goes on"] = entries
        return value

    def entry(self, commands: Iterable[Command], *, label: str = "") -> list[object]:
        """Apply commands in one entry."""
        self.now_ms += 1
        payload = encode_entry(
            Entry(ENTRY_FORMAT, 1, self.now_ms, tuple(Proposal(one) for one in commands))  # type: ignore[arg-type]
        )
        self.log.append(payload)
        start = time.thread_time_ns()
        result = self.machine.apply(self.machine.state.index + 1, payload)
        took_ms = since_ms(start)
        if label:
            self.worst_ms[label] = max(self.worst_ms.get(label, 0.0), took_ms)
        values: list[object] = []
        for outcome in result.outcomes:
            assert hasattr(outcome, "value"), outcome
            values.append(outcome.value)
        return values

    def submit(self, specs: Iterable[JobSpec], *, label: str) -> None:
        """Submit a run in parts."""
        jobs = list(specs)
        parts = [tuple(jobs[at : at + PART_JOBS]) for at in range(0, len(jobs), PART_JOBS)]
        for number, part in enumerate(parts[:-1]):
            self.do(c.StageJobs(run=RUN, part=number, jobs=part), label=f"{label}: stage")
        last = c.SubmitRun(run=RUN, name="n", jobs=parts[-1], parts=len(parts) - 1)
        self.do(last, label=f"{label}: submit")

    def start(self, job: str) -> AttemptId:
        attempt = self.do(c.AssignAttempt(run=RUN, job=JobId(job), worker=W))
        assert isinstance(attempt, int)
        return AttemptId(attempt)

    def end(self, job: str, *, exit_code: int, label: str) -> None:
        attempt = self.start(job)
        self.do(c.FinishAttempt(attempt=attempt, exit_code=exit_code), label=label)


def loners(count: int, **fields: object) -> Iterator[JobSpec]:
    for n in range(count):
        yield JobSpec(id=JobId(f"job-{n}"), argv=(b"true",), **fields)  # type: ignore[arg-type]


def fan(count: int, **fields: object) -> Iterator[JobSpec]:
    yield JobSpec(id=JobId("root"), argv=(b"true",), retries=0)
    for spec in loners(count - 1, **fields):
        yield msgspec.structs.replace(spec, depends_on=(JobId("root"),))


def layers(count: int, *, width: int = 100) -> Iterator[JobSpec]:
    """Every job has two parents in the layer before."""
    for n, spec in enumerate(loners(count)):
        if n < width:
            yield spec
        else:
            up = n - n % width - width
            a, b = up + n % width, up + (n + 1) % width
            yield msgspec.structs.replace(spec, depends_on=(JobId(f"job-{a}"), JobId(f"job-{b}")))


def chain(count: int) -> Iterator[JobSpec]:
    for n, spec in enumerate(loners(count)):
        yield (
            spec if not n else msgspec.structs.replace(spec, depends_on=(JobId(f"job-{n - 1}"),))
        )


def measure(count: int) -> Iterator[Bench]:
    yield measure_independent(count)
    yield measure_fan_out_that_completes(count)
    yield measure_fan_out_that_fails(count)
    yield measure_deep("layers", layers(count))
    yield measure_deep("chain", chain(count))
    yield measure_times(count, label="all delayed", delay_ms=5000)
    yield measure_times(count, label="all time out", queue_timeout_ms=5000)
    yield measure_life(count)


def measure_independent(count: int) -> Bench:
    bench = Bench()
    bench.submit(loners(count), label="independent")
    start = time.thread_time_ns()
    blocks = list(bench.machine.freeze())
    bench.worst_ms["freeze and encode, pending"] = since_ms(start)
    start = time.thread_time_ns()
    Machine().restore(blocks)
    bench.worst_ms["restore"] = since_ms(start)
    bench.do(c.CancelRun(run=RUN), label="independent: cancel run")
    return bench


def measure_fan_out_that_completes(count: int) -> Bench:
    bench = Bench()
    bench.submit(fan(count), label="fan-out")
    bench.end("root", exit_code=0, label="fan-out: root completes")
    bench.do(c.CancelJob(run=RUN, job=JobId("job-1")), label="fan-out: cancel a leaf")
    bench.do(c.CancelRun(run=RUN), label="fan-out: cancel run")
    bench.do(c.RetryJob(run=RUN, job=JobId("job-1")), label="fan-out: retry a leaf")
    return bench


def measure_fan_out_that_fails(count: int) -> Bench:
    bench = Bench()
    bench.submit(fan(count), label="fan-out")
    bench.end("root", exit_code=1, label="fan-out: root fails")
    bench.do(c.RetryJob(run=RUN, job=JobId("root")), label="fan-out: retry the root")
    bench.do(c.CancelJob(run=RUN, job=JobId("root")), label="fan-out: cancel the root")
    return bench


def measure_deep(name: str, specs: Iterable[JobSpec]) -> Bench:
    bench = Bench()
    bench.submit(specs, label=name)
    bench.end("job-0", exit_code=0, label=f"{name}: first completes")
    bench.do(c.CancelJob(run=RUN, job=JobId("job-200")), label=f"{name}: cancel a job")
    bench.do(c.RetryJob(run=RUN, job=JobId("job-200")), label=f"{name}: retry it")
    bench.do(c.CancelRun(run=RUN), label=f"{name}: cancel run")
    return bench


def measure_times(count: int, *, label: str, **fields: int) -> Bench:
    bench = Bench()
    bench.submit(loners(count, **fields), label=label)
    bench.now_ms += 6000
    while bench.do(c.AdvanceTime(), label=f"{label}: advance time"):
        pass
    return bench


def measure_life(count: int) -> Bench:
    bench = Bench()
    before = resident()
    bench.submit(loners(count), label="life")
    pending = resident() - before - sum(map(len, bench.log))
    bench.worst_ms["bytes per pending job"] = pending / count
    run_all(bench, count)
    log_bytes = sum(map(len, bench.log))  # in memory here, too
    bench.worst_ms["bytes per ended job"] = (resident() - before - log_bytes) / count
    start = time.thread_time_ns()
    frozen = bench.machine.freeze().at_once()
    bench.worst_ms["freeze, ended"] = since_ms(start)
    start = time.thread_time_ns()
    blocks = list(frozen)
    bench.worst_ms["encode, ended"] = since_ms(start)
    bench.worst_ms["bytes of snapshot per ended job"] = sum(map(len, blocks)) / count
    del blocks, frozen
    measure_log(bench, count)
    bench.now_ms += FINISHED_KEEP_MS
    bench.do(c.AdvanceTime(), label="forget the run")
    return bench


def measure_log(bench: Bench, count: int) -> None:
    """What the life of a job takes in the log, and what it costs to apply that again."""
    bench.worst_ms["bytes of log per job, its whole life"] = sum(map(len, bench.log)) / count
    again = Machine()
    start = time.thread_time_ns()
    for index, payload in enumerate(bench.log, start=1):
        again.apply(index, payload)
    bench.worst_ms["apply all of it again, µs per job"] = 1000 * since_ms(start) / count


def since_ms(start_ns: int) -> float:
    return (time.thread_time_ns() - start_ns) / 1e6


def run_all(bench: Bench, count: int) -> None:
    for at in range(0, count, 1000):
        jobs = [JobId(f"job-{n}") for n in range(at, min(at + 1000, count))]
        commands: list[Command] = [c.AssignAttempt(run=RUN, job=job, worker=W) for job in jobs]
        attempts = bench.entry(commands, label="life: 1,000 assigned")
        bench.entry(
            [c.FinishAttempt(attempt=AttemptId(a), exit_code=0) for a in attempts],  # type: ignore[arg-type]
            label="life: 1,000 finished",
        )


def resident() -> int:
    gc.collect()
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    gc.disable()
    for bench in measure(count):
        for label, ms in bench.worst_ms.items():
            many = f"  worst of {bench.entries[label]} entries" if label in bench.entries else ""
            sys.stdout.write(f"{label:<44} {ms:8.1f}{many}\n")
        sys.stdout.flush()
        del bench
        gc.collect()


if __name__ == "__main__":
    main()
