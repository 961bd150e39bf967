"""`make bench`, or `python -m bench [--only B1,B4] [--repeat 5] [--quick]`, or `python -m bench soak`."""

from __future__ import annotations

import argparse
import sys

from bench import report
from bench.cases import chosen
from bench.runner import run_case

REPETITIONS = 5


def main() -> int:
    if sys.argv[1:2] == ["soak"]:
        from bench.titan import soak  # needs Titan itself, which `python -m bench` alone does not

        return soak.main(sys.argv[2:])
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", default="", help="cases by name, with commas between")
    parser.add_argument("--repeat", type=int, default=REPETITIONS)
    parser.add_argument("--quick", action="store_true", help="smaller sizes; the report says so")
    options = parser.parse_args()
    try:
        cases = chosen(options.only)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    results = report.load()
    for case in cases:
        results[case.name] = run_case(case, repetitions=options.repeat, is_quick=options.quick)
        report.plot(case, results[case.name])
        report.save(results)
    print(f"written: {report.MARKDOWN}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
