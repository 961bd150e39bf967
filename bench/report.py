"""`bench/results.json` keeps the last run of each case; `results.md` and the plots are made from it."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench.cases import CASES, Case, Figure
from bench.preparing import PEERS, TITAN, TITAN_DURABILITY
from bench.runner import CaseResult, SideResult

HERE = Path(__file__).parent
JSON, MARKDOWN, PLOTS = HERE / "results.json", HERE / "results.md", HERE / "plots"

INTRODUCTION = """# Benchmarks

Written by `make bench`; do not edit. Each repetition runs every side once, in turns and in alternating
order, on the same machine, so **compare only inside one case**: the ratios, not the absolute figures.
Shown is the median (lowest–highest). A ratio says how much better Titan is: above 1 it wins. All sides
run with defaults and two slots; Titan has three masters and one worker on the same cores as its client.

When the load average before the programs is well above 2, others were using the machine too; then single
figures say little, and ratios that are close say nothing.
"""


def load() -> dict[str, CaseResult]:
    """The last run of each case."""
    if not JSON.exists():
        return {}
    kept = json.loads(JSON.read_text())
    return {name: _result(found) for name, found in kept.items()}


def save(results: Mapping[str, CaseResult]) -> None:
    """Write everything."""
    kept = {name: dataclasses.asdict(result) for name, result in sorted(results.items())}
    JSON.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    ordered = [(case, results[case.name]) for case in CASES if case.name in results]
    MARKDOWN.write_text("\n".join([INTRODUCTION, *_durability(ordered), *_sections(ordered)]))


def _result(found: Mapping[str, object]) -> CaseResult:
    fields = dict(found)
    sides = fields.pop("sides")
    assert isinstance(sides, dict)
    read = {name: SideResult(**side) for name, side in sides.items()}
    return CaseResult(**fields, sides=read)  # type: ignore[arg-type]


# --- text -------------------------------------------------------------------------------------


def _durability(ordered: Sequence[tuple[Case, CaseResult]]) -> Iterator[str]:
    taking_part = {side.system for case, _ in ordered for side in case.sides}
    yield "| system | what has happened before work counts as taken |\n|---|---|"
    yield f"| Titan | {TITAN_DURABILITY} |"
    for peer in PEERS.values():
        if peer.name in taking_part:
            yield f"| {peer.name} | {peer.durability} |"
    yield ""


def _sections(ordered: Sequence[tuple[Case, CaseResult]]) -> Iterator[str]:
    for case, result in ordered:
        sizes = ", ".join(
            f"{name} {value}" for name, value in result.sizes.items() if name != "script"
        )
        low, high = min(result.load, default=0), max(result.load, default=0)
        yield f"## {case.name}: {case.work}\n"
        yield f"Target: {case.target}. {case.note}".strip() + "\n"
        yield f"{result.date}; {result.machine}; load average {low}–{high} before the programs; "
        yield f"{result.repetitions} repetitions; {sizes}.\n"
        yield from _table(case, result)
        if (PLOTS / f"{case.name}.svg").exists():
            yield f"\n![{case.name}](plots/{case.name}.svg)"
        yield ""


def _table(case: Case, result: CaseResult) -> Iterator[str]:
    yield (
        "| side | "
        + " | ".join(f"{one.title}, {one.unit}" for one in case.figures)
        + " | versions |"
    )
    yield "|---" * (len(case.figures) + 2) + "|"
    titan = result.sides[TITAN]
    for name, side in result.sides.items():
        if side.skipped:
            yield f"| {name} | skipped: {side.skipped} |" + " |" * len(case.figures)
            continue
        cells = (_cell(one, side, titan, is_titan=name == TITAN) for one in case.figures)
        versions = ", ".join(f"{what} {version}" for what, version in side.versions.items())
        yield f"| {name} | {' | '.join(cells)} | {versions} |"


def _cell(figure: Figure, side: SideResult, titan: SideResult, *, is_titan: bool) -> str:
    values = side.figures.get(figure.key)
    if not values:
        return "–"
    cell = spread(values, digits=figure.digits)
    ratio = None if is_titan else how_much_better(figure, titan, side)
    return f"{cell}; **{ratio:.2f}×**" if ratio is not None else cell


def how_much_better(figure: Figure, titan: SideResult, peer: SideResult) -> float | None:
    """Above 1 when Titan is better, whichever way the figure counts; None without both."""
    ours, theirs = titan.median(figure.key), peer.median(figure.key)
    if not ours or not theirs:
        return None
    return ours / theirs if figure.is_rate else theirs / ours


def spread(values: Sequence[float], *, digits: int) -> str:
    """Median (lowest–highest)."""
    low, middle, high = min(values), statistics.median(values), max(values)
    if len(values) == 1:
        return f"{middle:,.{digits}f}"
    return f"{middle:,.{digits}f} ({low:,.{digits}f}–{high:,.{digits}f})"


# --- plots ------------------------------------------------------------------------------------


def plot(case: Case, result: CaseResult) -> None:
    """One small plot of bars per figure, with the lowest and the highest."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = case.name  # the same figures give the same file
    from matplotlib import pyplot

    PLOTS.mkdir(exist_ok=True)
    shown = [one for one in case.figures if any(s.median(one.key) for s in result.sides.values())]
    if not shown:
        return
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure, grid = pyplot.subplots(
        rows, columns, squeeze=False, figsize=(4 * columns, 2.4 * rows), layout="constrained"
    )
    for axes in grid.flat[len(shown) :]:
        axes.set_axis_off()
    for axes, one in zip(grid.flat, shown, strict=False):
        sides = {
            name: side.figures[one.key]
            for name, side in result.sides.items()
            if one.key in side.figures
        }
        middles = [statistics.median(values) for values in sides.values()]
        below = [m - min(v) for m, v in zip(middles, sides.values(), strict=True)]
        above = [max(v) - m for m, v in zip(middles, sides.values(), strict=True)]
        colours = ["#2f6fde" if name == TITAN else "#a8b0bd" for name in sides]
        axes.barh(list(sides), middles, xerr=[below, above], color=colours, capsize=3)
        axes.invert_yaxis()
        axes.set_title(
            f"{one.title}, {one.unit} ({'more' if one.is_rate else 'less'} is better)", size=8
        )
        axes.tick_params(labelsize=8)
    figure.savefig(PLOTS / f"{case.name}.svg", metadata={"Date": None})
    pyplot.close(figure)
