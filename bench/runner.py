"""Runs the sides of a case in turns and keeps what they found.

One repetition runs every side once, each in a process of its own with the machine to itself as far as that
goes; the next one runs them in the opposite order. So what else the machine does falls on all sides alike.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.cases import Case, Side
from bench.preparing import ROOT, TITAN, Missing, python_of

PROGRAM_TIMEOUT_S = 2400  # B8 on a busy machine


@dataclass
class SideResult:
    """What one side found, repetition by repetition; `skipped` says why it found nothing."""

    skipped: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    figures: dict[str, list[float]] = field(default_factory=dict)

    def add(self, found: Mapping[str, Any]) -> None:
        self.versions = dict(found["versions"])
        for key, value in found["figures"].items():
            self.figures.setdefault(key, []).append(value)

    def median(self, key: str) -> float | None:
        values = self.figures.get(key)
        return statistics.median(values) if values else None


@dataclass
class CaseResult:
    """All sides of one case in one run."""

    date: str
    machine: str
    load: tuple[float, ...]  # the average over one minute, before each program started
    repetitions: int
    sizes: dict[str, Any]
    sides: dict[str, SideResult]


def run_case(case: Case, *, repetitions: int, is_quick: bool) -> CaseResult:
    """Measure all sides that can take part."""
    sizes = dict(case.quick if is_quick else case.sizes)
    sides: dict[str, SideResult] = {side.name: SideResult() for side in case.sides}
    pythons: dict[str, Path] = {}
    for side in case.sides:
        try:
            pythons[side.name] = python_of(side.system)
        except Missing as error:
            _skip(case, side, sides[side.name], str(error))
    load: list[float] = []
    for repetition in range(repetitions):
        for side in case.sides[:: -1 if repetition % 2 else 1]:
            result = sides[side.name]
            if result.skipped:
                continue
            load.append(round(os.getloadavg()[0], 1))
            _measure(case, side, pythons[side.name], sizes | dict(side.sizes), result)
            if sides[TITAN].skipped:
                for other in case.sides:  # there is nothing to compare
                    sides[other.name].skipped = (
                        sides[other.name].skipped or "Titan's side was skipped"
                    )
    today = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    return CaseResult(today, machine(), tuple(load), repetitions, sizes, sides)


def _measure(
    case: Case, side: Side, python: Path, sizes: Mapping[str, Any], result: SideResult
) -> None:
    try:
        found = run_program(python, side, sizes)
    except Missing as error:
        _skip(case, side, result, str(error))
        return
    result.add(found)
    shown = ", ".join(f"{key} {value:,.6g}" for key, value in found["figures"].items())
    print(f"{case.name} {side.name}: {shown}", flush=True)


def _skip(case: Case, side: Side, result: SideResult, why: str) -> None:
    result.skipped = why
    print(f"{case.name} {side.name}: skipped: {why}", flush=True)


def run_program(python: Path, side: Side, sizes: Mapping[str, Any]) -> dict[str, Any]:
    """Run a side's program once; what it printed. Raises `Missing` when it cannot."""
    argv = [str(python), "-P", "-m", side.program, side.case, json.dumps(sizes)]
    with TemporaryDirectory(
        prefix="b-"
    ) as folder:  # short: sockets of peers have it in their names
        env = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": folder, "HOME": folder}
        if side.system != TITAN:
            env["PATH"] = f"{python.parent}:{env['PATH']}"
        with Path(folder, "stderr").open("w+") as said:
            process = subprocess.Popen(
                argv,
                cwd=folder,
                env=env,
                stdout=subprocess.PIPE,
                stderr=said,
                start_new_session=True,
            )
            try:
                out, _ = process.communicate(timeout=PROGRAM_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                raise Missing(f"it took longer than {PROGRAM_TIMEOUT_S} s") from None
            finally:
                _leave_nothing(process)
            if process.returncode:
                said.seek(0)
                text = said.read()
                sys.stderr.write(text[-4000:])
                raise Missing(_last_line(text) or f"exit code {process.returncode}")
    lines = [line for line in out.decode().splitlines() if line.startswith("{")]
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def _leave_nothing(process: subprocess.Popen[bytes]) -> None:
    """End the program's whole group, so that nothing of one side runs beside the next."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.replace(f"{ROOT}/", "").splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""


def machine() -> str:
    """One line about where this ran."""
    model = "unknown CPU"
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    kernel, python = os.uname().release, sys.version.split()[0]
    return f"{os.cpu_count()} × {model}, Linux {kernel}, Python {python}"
