"""The cases: what is measured, by which program, and what is to be reached.

Both sides of a case do the same work with the same sizes; where that is not quite so, `note` says how.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.preparing import TITAN

SCRIPT = "print('done')\n"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number that a program prints."""

    key: str
    title: str
    unit: str
    is_rate: bool = False  # more is better
    digits: int = 2


@dataclass(frozen=True, kw_only=True)
class Side:
    """Who takes part, and how its program calls the case."""

    name: str
    system: str  # whose environment runs it
    program: str
    case: str
    sizes: Mapping[str, Any] = field(default_factory=dict)  # where they differ from the case's


@dataclass(frozen=True, kw_only=True)
class Case:
    """A comparison."""

    name: str
    work: str
    target: str
    figures: tuple[Figure, ...]
    sizes: Mapping[str, Any]
    quick: Mapping[str, Any]  # sizes of `--quick`
    sides: tuple[Side, ...]
    note: str = ""


def _sides(
    case: str, program: str, *peers: str, sizes: Mapping[str, Mapping[str, Any]] | None = None
) -> tuple[Side, ...]:
    """Titan's program and those of the peers."""
    own = Side(name=TITAN, system=TITAN, program=f"bench.titan.{program}", case=case)
    others = (
        Side(
            name=peer,
            system=peer,
            program=f"bench.peers.{peer}",
            case=case,
            sizes=(sizes or {}).get(peer, {}),
        )
        for peer in peers
    )
    return (own, *others)


_RATE = (Figure(key="per_s", title="jobs", unit="/s", is_rate=True, digits=0),)
_HOP = (Figure(key="ms_per_hop", title="hop", unit="ms"),)
_LATENCY = (
    Figure(key="p50_ms", title="p50", unit="ms"),
    Figure(key="p99_ms", title="p99", unit="ms"),
)
_CLIENTS = (1, 64, 256)
_PUTS = tuple(
    figure
    for where in ("leader", "follower")
    for clients in _CLIENTS
    for figure in (
        Figure(
            key=f"{where}_{clients}_per_s",
            title=f"{clients} at the {where}",
            unit="/s",
            is_rate=True,
            digits=0,
        ),
        Figure(key=f"{where}_{clients}_p50_ms", title=f"{clients} at the {where}, p50", unit="ms"),
    )
)
_GAP = (
    Figure(key="gap_ms", title="median gap", unit="ms", digits=0),
    Figure(key="gap_max_ms", title="longest gap", unit="ms", digits=0),
)
_COUNTS = (1000, 10_000, 100_000)
_PHASES = ("run", "snapshot", "submit", "cancel", "fan_out")
_STANDSTILLS = tuple(
    (f"{kind}_{phase}_{{}}_ms", f"longest {title}: {phase.replace('_', '-')}", "ms", 0)
    for kind, title in (("lag", "standstill of a loop"), ("busy", "computing without a pause"))
    for phase in _PHASES
)
_SCALE = tuple(
    Figure(key=key.format(count), title=f"{title}, {count:,} jobs", unit=unit, digits=digits)
    for count in _COUNTS
    for key, title, unit, digits in (
        ("submit_{}_s", "submit", "s", 2),
        ("job_{}_ms", "each job", "ms", 3),
        ("memory_{}_bytes", "memory per ended job per master", "bytes", 0),
        ("leader_{}_us", "processor time of the leader per job", "µs", 0),
        ("follower_{}_us", "processor time of a follower per job", "µs", 0),
        *_STANDSTILLS,
        ("restart_{}_s", "restart of a follower", "s", 2),
        ("restart_cpu_{}_s", "processor time of that", "s", 2),
    )
)
_HOPS: Mapping[str, Any] = {"figures": _HOP, "sizes": {"hops": 300}, "quick": {"hops": 100}}
_ONES: Mapping[str, Any] = {"figures": _LATENCY, "sizes": {"ones": 200}, "quick": {"ones": 50}}
_BOTH_CLIENTS = (
    "Clients are connections of one Python process on uvloop on both sides; with many clients that process "
    "takes a good part of the two cores (client-bound), on both sides alike."
)


def _rate(jobs: int, *, quick: int, **more: Any) -> Mapping[str, Any]:
    """The figures and sizes of a case that counts jobs per second."""
    return {
        "figures": _RATE,
        "sizes": {"jobs": jobs, **more},
        "quick": {"jobs": quick, **more},
    }


CASES = (
    Case(
        name="B1",
        work="independent jobs, each a process `true`",
        target="≥ 1.2× Ray, ≥ 2× HyperQueue, ≥ 2.5× Dask and Celery",
        **_rate(2000, quick=500),
        sides=_sides("B1", "jobs", "ray", "hyperqueue", "dask", "celery"),
        note="Ray, Dask and Celery run `subprocess.run` in a worker process that lives on.",
    ),
    Case(
        name="B2",
        work="jobs, each a one-line `.py` file in a process of its own",
        target="≥ 4× the best peer",
        **_rate(500, quick=150, script=SCRIPT),
        sides=_sides("B2", "jobs", "ray", "hyperqueue", "dask", "celery"),
        note="Peers start the Python of their virtual environment; Titan forks a warm one, its default.",
    ),
    Case(
        name="B3",
        work="independent functions that do nothing",
        target="≥ 2× Ray",
        **_rate(10_000, quick=2000),
        sides=_sides(
            "B3", "functions", "ray", "dask", "celery", "prefect", sizes={"prefect": {"jobs": 300}}
        ),
        note="Prefect is asked for 300 calls, since it needs minutes for 10,000.",
    ),
    Case(
        name="B4-functions",
        work="a chain of functions that do nothing, each given the result before",
        target="≤ 1.0× Ray",
        **_HOPS,
        sides=_sides("B4-functions", "functions", "ray", "dask", "celery", "prefect"),
    ),
    Case(
        name="B4-true",
        work="a chain of processes `true`",
        target="≤ 3 ms per hop",
        **_HOPS,
        sides=_sides("B4-true", "jobs", "ray", "hyperqueue"),
    ),
    Case(
        name="B5-function",
        work="one function that does nothing, submit → result",
        target="p50 ≤ 1.2× Ray, p99 ≤ Ray",
        **_ONES,
        sides=_sides("B5-function", "functions", "ray", "dask", "celery"),
    ),
    Case(
        name="B5-true",
        work="one process `true`, submit → end known to the client",
        target="≤ 2× a function (B5-function)",
        **_ONES,
        sides=_sides("B5-true", "jobs", "ray", "dask", "celery"),
        note="HyperQueue is left out: its client asks once a second.",
    ),
    Case(
        name="B6",
        work="durable puts of 256 bytes by network clients, one request in flight each",
        target="1 client: p50 ≤ 1.2× etcd; 256: ≥ 2× etcd; follower ≥ 0.8× leader",
        figures=_PUTS,
        sizes={"clients": _CLIENTS, "seconds": 3},
        quick={"clients": _CLIENTS, "seconds": 1},
        sides=_sides("B6", "kv", "etcd"),
        note=_BOTH_CLIENTS,
    ),
    Case(
        name="B7",
        work="accepted writes stand still after SIGKILL of the leader",
        target="median ≤ 150 ms, p99 ≤ 500 ms",
        figures=_GAP,
        sizes={"kills": 4},  # times five repetitions
        quick={"kills": 3},
        sides=(
            *_sides("B7", "failover", "etcd"),
            Side(name="etcd 30/300 ms", system="etcd", program="bench.peers.etcd", case="B7-tuned"),
        ),
        note=(
            "etcd has a writer at each member, so that no client looks for the leader within the gap; "
            "Titan has one writer through its SDK, which does. etcd is shown with its defaults and tuned."
        ),
    ),
    Case(
        name="B8",
        work="runs of many jobs for 200 workers that answer at once; Titan alone",
        target="submit 100,000 ≤ 5 s; each job within 1.3× across sizes; ≤ 700 bytes; ≤ 100 ms; ≤ 3 s",
        figures=_SCALE,
        sizes={"jobs": _COUNTS},
        quick={"jobs": _COUNTS[:1]},
        sides=_sides("B8", "scale"),
    ),
    Case(
        name="B9",
        work="one job that prints 1 GiB; 200 jobs that print 1 MiB, followed live; Titan alone",
        target="≥ 150 MiB/s, no line lost, memory of masters flat",
        figures=(
            Figure(key="mib_per_s", title="one job", unit="MiB/s", is_rate=True, digits=0),
            Figure(key="lines_per_s", title="followed", unit="lines/s", is_rate=True, digits=0),
            Figure(key="lost_lines", title="lost", unit="lines", digits=0),
            Figure(key="growth_mib", title="growth of a master", unit="MiB", digits=1),
        ),
        sizes={"mib": 1024, "jobs": 200},
        quick={"mib": 128, "jobs": 20},
        sides=_sides("B9", "output"),
    ),
    Case(
        name="files",
        work="one large artifact, taken by a job on each of four workers, twice; Titan alone",
        target="the second time nothing is sent",
        figures=(
            Figure(key="make_s", title="made and stored", unit="s"),
            Figure(key="first_s", title="taken", unit="s"),
            Figure(key="first_sent_mib", title="sent by masters", unit="MiB", digits=0),
            Figure(key="second_s", title="taken again", unit="s"),
            Figure(key="second_sent_mib", title="sent again", unit="MiB", digits=0),
        ),
        sizes={"mib": 1024},
        quick={"mib": 64},
        sides=_sides("files", "files"),
    ),
    Case(
        name="services",
        work="an HTTP service is killed again and again while clients ask; Titan alone",
        target="back within a second",
        figures=(
            *_GAP,
            Figure(key="longest_ms", title="longest without an answer", unit="ms", digits=0),
            Figure(key="failed_share", title="failed requests", unit="of all", digits=3),
        ),
        sizes={"kills": 4, "clients": 4},
        quick={"kills": 3, "clients": 4},
        sides=_sides("services", "services"),
    ),
)


def chosen(only: str) -> tuple[Case, ...]:
    """The cases that a list of names selects: `B4` is both of its parts. Raises `ValueError`."""
    if not only:
        return CASES
    wanted = [name.strip().casefold() for name in only.split(",")]
    for name in wanted:
        if not any(_is_called(case, name) for case in CASES):
            known = ", ".join(case.name for case in CASES)
            raise ValueError(f"there is no case {name!r}; there are {known}")
    return tuple(case for case in CASES if any(_is_called(case, name) for name in wanted))


def _is_called(case: Case, name: str) -> bool:
    full = case.name.casefold()
    return full == name or full.startswith(f"{name}-")
