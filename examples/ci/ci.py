"""Titan checks Titan: lint, formatting, layers and a part of the unit tests, as jobs of one run.

    python examples/ci/ci.py

The repository travels as a bundle, so every job checks the same bytes, whatever is edited meanwhile. The
jobs run with the Python of this environment, which all workers must have at the same place.
"""

import sys
from pathlib import Path

from titan.sdk import TitanClient, TitanJob

ROOT = Path(__file__).parents[2]
LAYERS = ["-c", "from importlinter.cli import lint_imports; raise SystemExit(lint_imports())"]
CHECKS = {
    "lint": ["-m", "ruff", "check", "--no-cache", "."],
    "format": ["-m", "ruff", "format", "--no-cache", "--check", "."],
    "layers": LAYERS,
    "test-spec": ["-m", "pytest", "tests/spec/test_gates.py"],
    "test-core": ["-m", "pytest", "tests/fsm/test_locks.py", "tests/sched/test_placement.py"],
}


def job(name: str, arguments: list[str], bundle: str) -> TitanJob:
    command = [sys.executable, *arguments]
    return TitanJob(name, command=command, bundle=bundle, retries=0, timeout=300)


def main() -> None:
    with TitanClient() as client:
        bundle = client.upload_project_folder(ROOT)
        jobs = [job(name, arguments, bundle) for name, arguments in CHECKS.items()]
        names = [one.id for one in jobs]
        verdict = TitanJob("verdict", command=["echo", "all is well"], parents=names)
        run = client.submit_dag("ci", [*jobs, verdict])
        state = run.wait(timeout=600)
        for one in run.jobs():
            last = (str(run.logs(one.id)).strip().splitlines() or ["-"])[-1]
            print(f"{one.state:<9} {one.id:<10} {last}")
            if one.state in ("FAILED", "DEAD"):
                print(run.logs(one.id))
    sys.exit(state != "COMPLETED")


if __name__ == "__main__":
    main()
