"""What the soak found: `soak.csv`, `soak.svg` and `soak.md`, with the slope of everything that may grow."""

from __future__ import annotations

import csv
import math
import os
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from bench.titan.cluster import versions

FOLDER: Final = Path(__file__).parent.parent
WARM_MINUTES: Final = 20  # by then everything has been trimmed and forgotten at least once
_MIB: Final = 1024 * 1024
_DRAWN: Final = (
    ("memory (RSS), MiB", (" rss",), _MIB),
    ("log and snapshots on disk, MiB", (" raft bytes",), _MIB),
    ("blobs, and folders of workers, MiB", (" blobs bytes", " logs bytes", " files bytes"), _MIB),
    ("records of the state of one master", (" state ",), 1),
    ("descriptors", (" fds",), 1),
    ("median latency, ms", (" p50 ms",), 1),
)
Row = Mapping[str, float]


class Trend(NamedTuple):
    """A line fitted to one figure after warming up."""

    name: str
    first: float  # at the end of the warm-up, on the line
    last: float
    per_hour: float
    error_per_hour: float  # one standard error of the slope

    @property
    def is_flat(self) -> bool:
        """No growth that noise would not explain, or less than 2 % in an hour."""
        if self.per_hour <= 2 * self.error_per_hour:
            return True
        return self.per_hour < 0.02 * max(self.first, 1.0)


def write_csv(folder: Path, rows: Sequence[Row]) -> None:
    """Everything that was seen so far."""
    folder.mkdir(parents=True, exist_ok=True)
    names = list(dict.fromkeys(name for row in rows for name in row))
    with (folder / "soak.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, names, restval="", lineterminator="\n")
        table.writeheader()
        table.writerows({name: f"{value:.10g}" for name, value in row.items()} for row in rows)


def read_csv(folder: Path) -> list[dict[str, float]]:
    """The same, read again."""
    with (folder / "soak.csv").open(newline="") as file:
        return [
            {name: float(text) for name, text in row.items() if text}
            for row in csv.DictReader(file)
        ]


def trend(rows: Sequence[Row], name: str) -> Trend | None:
    """The least-squares line of one figure over `rows`; None when it was hardly ever seen."""
    points = [(row["minute"] / 60, row[name]) for row in rows if name in row]
    if len(points) < 4:
        return None
    hours, values = zip(*points, strict=True)
    slope, level = statistics.linear_regression(hours, values)
    spread = sum((hour - statistics.fmean(hours)) ** 2 for hour in hours)
    rest = sum((value - level - slope * hour) ** 2 for hour, value in points)
    error = math.sqrt(rest / (len(points) - 2) / spread)
    return Trend(name, level + slope * hours[0], level + slope * hours[-1], slope, error)


def trends(rows: Sequence[Row], *, warm_minutes: float) -> list[Trend]:
    """Of everything that could grow."""
    late = [row for row in rows if row["minute"] >= warm_minutes]
    names = dict.fromkeys(name for row in late for name in row)
    found = (trend(late, name) for name in names if _may_grow(name))
    return [one for one in found if one is not None]


def _may_grow(name: str) -> bool:
    return name.startswith(("master-", "worker-")) and "applied index" not in name


def write(
    folder: Path, rows: Sequence[Row], *, jobs_per_s: float, counts: Mapping[str, int]
) -> None:
    """The page and the plot."""
    warm = min(WARM_MINUTES, rows[-1]["minute"] / 3)
    (folder / "soak.md").write_text(_page(rows, warm, jobs_per_s, counts))
    _plot(folder / "soak.svg", rows)


def _page(rows: Sequence[Row], warm: float, jobs_per_s: float, counts: Mapping[str, int]) -> str:
    found = trends(rows, warm_minutes=warm)
    minutes = rows[-1]["minute"]
    done = ", ".join(f"{count:,} {what}" for what, count in counts.items())
    loads = [row["load"] for row in rows]
    lines = [
        "# Soak",
        "",
        f"`python -m bench soak --minutes {minutes:.0f}` on {datetime.now(UTC):%Y-%m-%d}, Titan "
        f"{versions()['titan']}, Python {versions()['python']}, {os.cpu_count()} cores shared by three "
        f"masters, two workers and the clients; load average {min(loads):.1f} to {max(loads):.1f}. "
        f"Asked for {jobs_per_s:g} jobs/s.",
        "",
        f"Done: {done}.",
        "",
        f"Lines are fitted to the samples after minute {warm:.0f}; ± is one standard error. Sawteeth (log, "
        "snapshots, packs of logs) make the error large. `flat`: the slope is not above two standard "
        "errors, or it is below 2 % an hour.",
        "",
        *_table(found),
        *_latency(rows, warm),
        "![all of it over time](soak.svg)",
        "",
    ]
    return "\n".join(lines)


def _table(found: Sequence[Trend]) -> list[str]:
    rows = ["| what | begins | ends | per hour | ± | |", "|---|---:|---:|---:|---:|---|"]
    for one in sorted(found, key=lambda each: each.name):
        if one.first == one.last == 0 and one.error_per_hour == 0:
            continue
        scale = _MIB if "rss" in one.name or "bytes" in one.name else 1
        unit = " MiB" if scale > 1 else ""
        cells = (one.first, one.last, one.per_hour, one.error_per_hour)
        shown = " | ".join(f"{value / scale:,.2f}" for value in cells)
        rows.append(f"| {one.name}{unit} | {shown} | {'flat' if one.is_flat else '**grows**'} |")
    return [*rows, ""]


def _latency(rows: Sequence[Row], warm: float) -> list[str]:
    late = [row for row in rows if row["minute"] >= warm]
    cells = []
    for name in ("put p50 ms", "put p99 ms", "job p50 ms", "job p99 ms"):
        values = [row[name] for row in late if name in row]
        half = len(values) // 2
        if half:
            first, second = statistics.median(values[:half]), statistics.median(values[half:])
            cells.append(f"| {name} | {first:.1f} | {second:.1f} |")
    head = ["| median of samples | first half | second half |", "|---|---:|---:|"]
    return [*head, *cells, ""]


def _plot(path: Path, rows: Sequence[Row]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "soak"
    from matplotlib import pyplot

    names = list(dict.fromkeys(name for row in rows for name in row))
    figure, grid = pyplot.subplots(
        3, 2, figsize=(12, 10), layout="constrained", sharex=True, squeeze=False
    )
    for axes, (title, endings, scale) in zip(grid.flat, _DRAWN, strict=True):
        for name in names:
            if not _is_drawn(name, endings):
                continue
            points = [(row["minute"], row[name] / scale) for row in rows if name in row]
            if any(value > 10 or scale > 1 for _minute, value in points) or "ms" in name:
                axes.plot(*zip(*points, strict=True), label=name, linewidth=1)
        axes.set_title(title, size=9)
        axes.set_ylim(bottom=0)
        axes.tick_params(labelsize=8)
        axes.legend(fontsize=5, ncols=2)
    for axes in grid[-1]:
        axes.set_xlabel("minutes", size=8)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _is_drawn(name: str, endings: tuple[str, ...]) -> bool:
    if endings == (" state ",):
        return name.startswith("master-1 state ")
    return name.endswith(endings) and "helpers" not in name
