"""Runs seeds, each in a forked process of its own: `python -m tests.sim --seeds 300`.

A run is a function of its seed, its length and the code, under PYTHONHASHSEED=0; `reexec` sees to that.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, TextIO

import msgspec

HEAL_S: Final = 30.0
_REST_S: Final = 0.5
_QUIET_S: Final = 2.0


class Report(msgspec.Struct, kw_only=True):
    """What one seed came to."""

    seed: int
    digest: str = ""
    virtual_s: float = 0.0
    real_s: float = 0.0
    healed_s: float = 0.0
    operations: int = 0
    unknown: int = 0
    runs: int = 0
    executions: int = 0
    entries: int = 0
    terms: int = 0
    segments: int = 0
    callbacks: int = 0
    kinds: tuple[str, ...] = ()  # of faults, whether or not they came
    faults: dict[str, int] = {}
    guards: dict[str, int] = {}
    happened: dict[str, int] = {}
    violations: list[str] = []
    recent: list[str] = []


def run_seed(
    seed: int,
    *,
    seconds: float,
    folder: Path,
    sink: TextIO | None = None,
    broken: str = "",
    faults: tuple[str, ...] = (),
) -> Report:
    """Simulate one seed in this process, whose clock is never right again."""
    from tests.sim.breaks import BREAKS
    from tests.sim.verdict import judge, leftovers, unsettled
    from tests.sim.world import World

    # A request whose connection goes before its first step: its handler's coroutine never runs.
    warnings.filterwarnings("ignore", message="coroutine .* was never awaited")
    gc.disable()  # when garbage is unwound must not depend on what ran before
    if broken:
        BREAKS[broken]()
    world = World(seed, folder=folder, sink=sink, faults=faults)
    world.start()
    world.run(seconds)
    if not world.violations:
        world.workload.is_stopping = True
        world.faults.heal()
        healed_at = world.loop.now
        _open_workers(world)
        world.as_admin(lambda client: world.workload.look_at_everything("admin", client))
        if not world.run(HEAL_S, until=lambda: not unsettled(world)):
            if not world.violations:
                world.violate(f"I7 {HEAL_S} s after the heal: {unsettled(world)}")
        else:
            world.run(_REST_S)
            # A timer of the state may be on its way just now; what is left behind stays.
            world.run(_QUIET_S, until=lambda: not any(leftovers(world)))
            judge(world)
    else:
        healed_at = world.loop.now
    guards, happened = world.counters()
    return Report(
        seed=seed,
        digest=world.trace.digest,
        virtual_s=world.loop.now,
        healed_s=world.loop.now - healed_at,
        operations=world.workload.finished_ok,
        unknown=world.workload.finished_unknown,
        runs=len(world.workload.submissions),
        executions=len(world.executions.all),
        entries=world.ledger.newest,
        terms=len(world.ledger.leaders),
        segments=world.network.segments,
        callbacks=world.loop.callbacks,
        kinds=tuple(kind.name for kind in world.faults.kinds),
        faults=dict(sorted(world.faults.count.items())),
        guards=guards,
        happened=happened,
        violations=world.violations,
        recent=list(world.trace.recent) if world.violations else [],
    )


def _open_workers(world: Any) -> None:
    for worker in world.workers:
        world.set_mode(worker, "open")


class _Running(NamedTuple):
    seed: int
    child: int
    pipe: int
    folder: Path
    started: float


def run_apart(seed: int, *, trace: Path | None = None, **how: Any) -> Report:
    """Simulate one seed in a forked process; `how` is what `run_seed` takes."""
    return _finish(_begin(seed, trace=trace, **how))


def _begin(seed: int, *, trace: Path | None, **how: Any) -> _Running:
    started = time.perf_counter()
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="titan-sim-", dir=base))
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _in_child(writing, trace=trace, seed=seed, folder=folder, **how)
    os.close(writing)
    return _Running(seed, child, reading, folder, started)


def _finish(running: _Running) -> Report:
    with os.fdopen(running.pipe, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(running.child, 0)
    shutil.rmtree(running.folder, ignore_errors=True)
    report = (
        msgspec.json.decode(answer, type=Report)
        if answer
        else Report(seed=running.seed, violations=["the simulation died without a word"])
    )
    report.real_s = time.perf_counter() - running.started
    return report


def _in_child(pipe: int, *, trace: Path | None, seed: int, **given: Any) -> None:
    try:
        with contextlib.ExitStack() as stack:
            sink = stack.enter_context(trace.open("w")) if trace else None
            report = run_seed(seed, sink=sink, **given)
    except BaseException:  # whatever it was belongs into the report
        report = Report(seed=seed, violations=[traceback.format_exc()])
    data = msgspec.json.encode(report)
    while data:
        data = data[os.write(pipe, data) :]
    os._exit(0)


def run_many(seeds: list[int], *, at_once: int = 1, **how: Any) -> Iterator[Report]:
    """In the order of `seeds`, `at_once` at a time; the modules are loaded once, before the forks."""
    import tests.sim.sometimes
    import tests.sim.verdict
    import tests.sim.world  # noqa: F401

    running: deque[_Running] = deque()
    try:
        for seed in seeds:
            if len(running) >= at_once:
                yield _finish(running.popleft())
            running.append(_begin(seed, trace=None, **how))
        while running:
            yield _finish(running.popleft())
    finally:
        for one in running:  # whoever asked has seen enough
            os.kill(one.child, signal.SIGKILL)
            _finish(one)


def reexec(arguments: list[str]) -> None:
    """Start over with fixed hashes, unless this process has them."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        command = [sys.executable, *arguments]
        os.execve(sys.executable, command, {**os.environ, "PYTHONHASHSEED": "0"})


def summary(reports: list[Report]) -> dict[str, Any]:
    """Totals of many seeds."""

    def total(name: str) -> float:
        return sum(getattr(report, name) for report in reports)

    virtual_s, real_s = total("virtual_s"), total("real_s")
    return {
        "seeds": len(reports),
        "seeds violated": sum(bool(report.violations) for report in reports),
        "virtual seconds": round(virtual_s),
        "real seconds": round(real_s, 1),
        "virtual : real": round(virtual_s / max(real_s, 0.001), 1),
        "operations": int(total("operations")),
        "unknown outcomes": int(total("unknown")),
        "runs": int(total("runs")),
        "processes": int(total("executions")),
        "log entries": int(total("entries")),
        "elections": int(total("terms")),
        "segments": int(total("segments")),
        "slowest heal (s)": round(max((report.healed_s for report in reports), default=0), 1),
        **_counts(reports),
        "never happened": ", ".join(never_happened(reports)) or "-",
    }


def never_happened(reports: list[Report]) -> list[str]:
    """What `sometimes.py` expects of many seeds and these have not seen."""
    from tests.sim.sometimes import missing

    kinds = next((report.kinds for report in reports if report.kinds), ())
    return list(missing(kinds=kinds, **_counts(reports)))


def _counts(reports: list[Report]) -> dict[str, dict[str, int]]:
    return {
        "faults": _merged(report.faults for report in reports),
        "guards": _merged(report.guards for report in reports),
        "happened": _merged(report.happened for report in reports),
    }


def _merged(parts: Iterator[dict[str, int]] | Any) -> dict[str, int]:
    merged: dict[str, int] = {}
    for part in parts:
        for name, count in part.items():
            merged[name] = merged.get(name, 0) + count
    return dict(sorted(merged.items()))


def as_json(report: Report) -> str:
    """One line for machines."""
    return json.dumps(msgspec.to_builtins(report))
