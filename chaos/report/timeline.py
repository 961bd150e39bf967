"""The picture of a run: leaders, faults, outages, throughput and latency over one axis of time.

Drawn by matplotlib. `draw` answers a figure; `as_svg` and `save_png` put it where people look at it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from chaos.history import History
from chaos.report.figures import Span, answered_writes, buckets, is_on_workers, spans

WIDTH_IN: Final = 16.0
ROW_IN: Final = 0.27
PANEL_IN: Final = 1.7
MARGIN_IN: Final = 1.9  # title, legends and the axis of time
DPI: Final = 110
SLICES: Final = 360
OUTAGE_S: Final = 0.3  # shorter pauses between accepted writes are no outages
TERM_COLOURS: Final = ("#3b6ea5", "#d08a3e", "#4c9a5f", "#9a5fa8", "#c25b5b", "#4fa3ad")
SILENT: Final = "#c9c9c9"


class Family(NamedTuple):
    """Faults of one kind, drawn in one colour."""

    name: str
    colour: str
    words: tuple[str, ...]  # that names of these faults begin with


FAMILIES: Final = (
    Family("kill", "#c0392b", ("kill",)),
    Family("pause", "#e39b2d", ("pause", "zombie")),
    Family("partition", "#7d3c98", ("isolate", "leader-in", "deaf", "mute", "bridge", "ring")),
    Family("slow link", "#2980b9", ("slow",)),
    Family("disk", "#7b5a4a", ("disk", "flip")),
    Family("orderly restart", "#16a085", ("rolling",)),
    Family("strangers", "#6b7280", ("strangers",)),
)
OTHER: Final = Family("other", "#444444", ())


def family_of(name: str) -> Family:
    """Which family a fault belongs to."""
    return next((one for one in FAMILIES if name.startswith(one.words)), OTHER)


def draw(history: History, *, title: str) -> Figure:
    """The whole run."""
    length_s = max((event["t"] for event in history.events), default=0.0)
    length_s = max(1.0, length_s, max((op.invoked_s for op in history.ops), default=0.0))
    everything = spans(history)
    masters = sorted({name for look in history.of("roles") for name in look["roles"]})
    kinds = sorted({span.name for span in everything}, key=_order)
    rows_in = [ROW_IN * max(2, len(masters)), ROW_IN * max(2, len(kinds)), PANEL_IN * 0.7]
    heights = [*rows_in, PANEL_IN, PANEL_IN]
    figure = Figure(figsize=(WIDTH_IN, sum(heights) + MARGIN_IN), layout="constrained")
    FigureCanvasAgg(figure)
    axes: list[Axes] = list(figure.subplots(5, 1, sharex=True, height_ratios=heights))
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    _leaders(axes[0], history, masters, length_s)
    _faults(axes[1], everything, kinds)
    _outages(axes[2], history)
    width_s = max(0.25, length_s / SLICES)
    rows = buckets(history, width_s=width_s)
    times = [n * width_s for n in range(len(rows))]
    _throughput(axes[3], times, [(n / width_s, bad / width_s) for n, bad, _, _ in rows])
    _latency(axes[4], times, [(median, worst) for _, _, median, worst in rows])
    for axis in axes[2:]:
        _shade(axis, everything)
    for axis in axes:
        axis.set_xlim(0, length_s)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="x", color="#eeeeee", linewidth=0.8, zorder=0)
    axes[-1].set_xlabel("seconds since the start")
    return figure


def as_svg(figure: Figure) -> str:
    """The figure as an element for a page."""
    out = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "chaos"}):
        figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


def save_png(figure: Figure, path: Path) -> None:
    """The figure as a file."""
    figure.savefig(path, format="png", dpi=DPI, metadata={"Software": None})


# --- panels --------------------------------------------------------------------------------


def _leaders(axis: Axes, history: History, masters: list[str], length_s: float) -> None:
    _rows(axis, masters, title="who leads")
    for row, name in enumerate(masters):
        for begin_s, end_s, role in _roles(history, name, length_s):
            if role is None:
                axis.barh(row, end_s - begin_s, left=begin_s, height=0.5, color=SILENT, zorder=2)
            elif role[0]:
                colour = TERM_COLOURS[role[1] % len(TERM_COLOURS)]
                axis.barh(row, end_s - begin_s, left=begin_s, height=0.78, color=colour, zorder=3)
                if end_s - begin_s > length_s / 60:
                    middle = (begin_s + end_s) / 2
                    axis.text(middle, row, f"{role[1]}", ha="center", va="center", fontsize=7,
                              color="white", zorder=4)  # fmt: skip
    silent = Patch(color=SILENT, label="does not answer")
    leads = Patch(color=TERM_COLOURS[1], label="leads; the number is the term")
    _legend(axis, [leads, silent])


def _roles(
    history: History, name: str, length_s: float
) -> Iterator[tuple[float, float, list[Any] | None]]:
    """When a master was seen in which role; looks that say the same are one."""
    begin_s, role = 0.0, [False, 0]
    for look in history.of("roles"):
        seen = look["roles"].get(name)
        if seen != role:
            yield begin_s, look["t"], role
            begin_s, role = look["t"], seen
    yield begin_s, length_s, role


def _faults(axis: Axes, everything: list[Span], kinds: list[str]) -> None:
    _rows(axis, kinds, title="faults")
    least_s = _length(everything) / 400  # still to be seen
    for span in everything:
        width_s = max(span.end_s - span.begin_s, least_s)
        axis.barh(kinds.index(span.name), width_s, left=span.begin_s, height=0.7,
                  color=family_of(span.name).colour, zorder=3)  # fmt: skip
    used = dict.fromkeys(family_of(kind) for kind in kinds)
    _legend(axis, [Patch(color=one.colour, label=one.name) for one in used])


def _outages(axis: Axes, history: History) -> None:
    """Each stretch without an accepted write, as high as it is long."""
    times = answered_writes(history)
    gaps = [(a, b - a) for a, b in pairwise(times) if b - a > OUTAGE_S]
    axis.set_title("no accepted write for", loc="left", fontsize=9)
    axis.set_ylabel("seconds", fontsize=8)
    for begin_s, gap in gaps:
        axis.bar(begin_s, gap, width=gap, align="edge", color="#c0392b", zorder=3)
    for begin_s, gap in sorted(gaps, key=lambda one: -one[1])[:3]:
        axis.annotate(
            f"{gap:.1f} s", (begin_s + gap / 2, gap), fontsize=8, ha="center", va="bottom"
        )
    axis.set_ylim(0, max([1.0, *(gap for _, gap in gaps)]) * 1.3)
    if not gaps:
        axis.text(
            0.5, 0.5, f"never longer than {OUTAGE_S} s", transform=axis.transAxes, ha="center"
        )


def _throughput(axis: Axes, times: list[float], rates: list[tuple[float, float]]) -> None:
    answered, unknown = [a for a, _ in rates], [u for _, u in rates]
    axis.set_title("operations a second", loc="left", fontsize=9)
    axis.fill_between(times, answered, step="post", color="#7fc79a", zorder=2, label="answered")
    axis.step(times, unknown, where="post", color="#c0392b", linewidth=1.1, zorder=3,
              label="failed: unknown whether they took effect")  # fmt: skip
    axis.set_ylim(bottom=0)
    _legend(axis)


def _latency(axis: Axes, times: list[float], rows: list[tuple[float, float]]) -> None:
    known = [(at, median * 1e3, worst * 1e3) for at, (median, worst) in zip(times, rows, strict=True)
             if worst > 0]  # fmt: skip
    axis.set_title("latency in milliseconds", loc="left", fontsize=9)
    if known:
        at, median, worst = zip(*known, strict=True)
        axis.plot(at, worst, color="#a9a9a9", linewidth=0.9, zorder=2, label="worst")
        axis.plot(at, median, color="#3b6ea5", linewidth=1.2, zorder=3, label="median")
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        _legend(axis)


# --- details -------------------------------------------------------------------------------


def _rows(axis: Axes, names: list[str], *, title: str) -> None:
    axis.set_title(title, loc="left", fontsize=9)
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.set_ylim(max(1, len(names)) - 0.4, -0.6)  # the first on top
    axis.tick_params(axis="y", length=0)


def _legend(axis: Axes, handles: list[Patch] | None = None) -> None:
    given = {} if handles is None else {"handles": handles}
    if handles != []:
        axis.legend(**given, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=8, fontsize=8,
                    frameon=False, borderaxespad=0.1, handlelength=1.2)  # fmt: skip


def _shade(axis: Axes, everything: list[Span]) -> None:
    """Faults of masters, faintly, behind what they did to clients."""
    for span in everything:
        if not is_on_workers(span):
            colour = family_of(span.name).colour
            axis.axvspan(span.begin_s, span.end_s, color=colour, alpha=0.10, linewidth=0, zorder=1)


def _order(kind: str) -> tuple[bool, int, str]:
    """Masters first, then workers; families together."""
    family = family_of(kind)
    place = FAMILIES.index(family) if family in FAMILIES else len(FAMILIES)
    return kind.endswith("-worker"), place, kind


def _length(everything: list[Span]) -> float:
    return max((span.end_s for span in everything), default=1.0)
