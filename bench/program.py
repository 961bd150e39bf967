"""What every measuring program shares, whichever environment runs it: standard library only.

A program measures one side of one case, once: it is started with the case's name and its sizes as JSON,
brings up the system with its defaults, warms it up, and prints one JSON line.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Figures = Mapping[str, float]
Measure = Callable[[Mapping[str, Any]], Figures]


def main(measures: Mapping[str, Measure], *, versions: Callable[[], Mapping[str, str]]) -> None:
    """Run the measure that the command line names and print what it found."""
    case, sizes = sys.argv[1], json.loads(sys.argv[2])
    figures = measures[case](sizes)
    rounded = {name: float(f"{value:.6g}") for name, value in figures.items()}
    print(json.dumps({"figures": rounded, "versions": dict(versions())}), flush=True)


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest rank; `share` of 0.99 of few values is the largest."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * share))]


def timed_ms(action: Callable[[], object], count: int) -> list[float]:
    """How long each of `count` calls took, one after the other."""
    took = []
    for _ in range(count):
        start = time.perf_counter()
        action()
        took.append((time.perf_counter() - start) * 1e3)
    return took


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def end(process: subprocess.Popen[bytes], *, patience_s: float = 10) -> None:
    """Ask a process to end, then make it."""
    process.terminate()
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
