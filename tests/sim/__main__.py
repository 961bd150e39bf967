"""`python -m tests.sim --seeds N [--first F] [--seconds S] [--trace FILE]`: simulate and report."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from tests.sim.runner import as_json, reexec, run_apart, run_many, summary

SECONDS = 8.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, help="how many")
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of faults, per seed")
    parser.add_argument("--at-once", type=int, default=os.cpu_count() or 1, help="[all cores]")
    parser.add_argument("--trace", type=Path, help="write everything that happens in one seed")
    parser.add_argument(
        "--break", dest="broken", default="", help="one of tests/sim/breaks.py, or all"
    )
    parser.add_argument("--faults", default="", help="only these, comma separated [as drawn]")
    parser.add_argument("--until-violated", action="store_true", help="stop at the first one")
    parser.add_argument("--json", action="store_true", help="one line per seed")
    given = parser.parse_args()
    reexec(["-m", "tests.sim", *sys.argv[1:]])
    faults = tuple(filter(None, given.faults.split(",")))
    if given.broken and not faults:
        from tests.sim.breaks import FAULTS

        faults = FAULTS.get(given.broken, ())
    if given.broken == "all":
        return _try_breaks(given)
    if given.trace is not None:
        reports = [run_apart(given.first, seconds=given.seconds, trace=given.trace, faults=faults)]
    else:
        reports = []
        seeds = list(range(given.first, given.first + given.seeds))
        for report in run_many(
            seeds,
            seconds=given.seconds,
            broken=given.broken,
            faults=faults,
            at_once=given.at_once,
        ):
            reports.append(report)
            if given.json:
                print(as_json(report), flush=True)  # noqa: T201
            if report.violations:
                _show(report, given)
                if given.until_violated:
                    break
    for name, value in summary(reports).items():
        print(f"{name:>18}: {value}")  # noqa: T201
    return 1 if any(report.violations for report in reports) else 0


def _try_breaks(given: argparse.Namespace) -> int:
    """What notices each break, and after how many seeds; 1 when nothing notices one."""
    from tests.sim.breaks import BREAKS, DIRECTED, FAULTS

    missed = 0
    seeds = list(range(given.first, given.first + given.seeds))
    for name, take_away in BREAKS.items():
        tried, noticed = 0, "NOTHING"
        about = (take_away.__doc__ or "").strip()
        if name in DIRECTED:
            noticed = _try_directed(name, DIRECTED[name])
            missed += noticed == "NOTHING"
            print(f"{name:20}   directed {noticed}  ({about})", flush=True)  # noqa: T201
            continue
        faults = FAULTS.get(name, ())
        for report in run_many(
            seeds, seconds=given.seconds, broken=name, faults=faults, at_once=given.at_once
        ):
            tried += 1
            if report.violations:
                noticed = report.violations[0].splitlines()[0][:90]
                break
        missed += noticed == "NOTHING"
        print(f"{name:20} {tried:3} seeds  {noticed}  ({about})", flush=True)  # noqa: T201
    return 1 if missed else 0


def _try_directed(name: str, test: str) -> str:
    """The first of a file's tests that fails with the break."""
    program = (
        f"import sys, pytest; from tests.sim.breaks import BREAKS; BREAKS[{name!r}]();"
        f"sys.exit(pytest.main(['-q', '-x', '-p', 'no:cacheprovider', {test!r}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=300
    )
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    return failed[0].split(" ")[1] if done.returncode == 1 and failed else "NOTHING"


def _show(report: object, given: argparse.Namespace) -> None:
    seed, violations, recent = report.seed, report.violations, report.recent  # type: ignore[attr-defined]
    lines = [f"seed {seed}: {len(violations)} violations", *recent[-40:], *violations]
    again = f"--first {seed} --seeds 1 --seconds {given.seconds}"
    again += f" --faults {given.faults}" if given.faults else ""
    again += f" --break {given.broken}" if given.broken else ""
    lines.append(f"again: .venv/bin/python -m tests.sim {again}")
    print("\n".join(lines), flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
