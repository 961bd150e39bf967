"""The timeline as SVG: leaders, faults, throughput and latency on one axis of time."""

from __future__ import annotations

import math
from html import escape
from typing import Any, Final

from chaos.history import History
from chaos.report.figures import Span, buckets, spans

WIDTH: Final = 1400
LEFT: Final = 130
RIGHT: Final = 20
ROW: Final = 18
PLOT: Final = 130
TERM_COLOURS: Final = ("#3b6ea5", "#c4732f", "#4c8a4c", "#8a4c8a", "#a53b3b", "#5c7d8a")
FAULT_COLOURS: Final = {
    "kill": "#c0392b",
    "pause": "#e0a030",
    "zombie": "#e0a030",
    "isolate": "#7d3c98",
    "deaf": "#7d3c98",
    "mute": "#7d3c98",
    "bridge": "#7d3c98",
    "ring": "#7d3c98",
    "slow": "#2980b9",
    "disk": "#795548",
    "flip": "#795548",
    "rolling": "#16a085",
}
OTHER_COLOUR: Final = "#888"


class Canvas:
    """Collects shapes under one another; x is time."""

    def __init__(self, length_s: float) -> None:
        self._length_s = max(length_s, 1.0)
        self._shapes: list[str] = []
        self.y = 10

    def x(self, at_s: float) -> float:
        """Where a time lies."""
        return LEFT + (WIDTH - LEFT - RIGHT) * min(at_s, self._length_s) / self._length_s

    def label(self, text: str, *, y: float, size: int = 11) -> None:
        """Words at the left."""
        self._shapes.append(
            f'<text x="{LEFT - 8}" y="{y:.0f}" font-size="{size}" text-anchor="end">{escape(text)}</text>'
        )

    def bar(self, begin_s: float, end_s: float, *, y: float, colour: str, title: str) -> None:
        """A stretch of time; at least visible."""
        x, width = self.x(begin_s), max(2.0, self.x(end_s) - self.x(begin_s))
        self._shapes.append(
            f'<rect x="{x:.1f}" y="{y:.0f}" width="{width:.1f}" height="{ROW - 4}" fill="{colour}">'
            f"<title>{escape(title)}</title></rect>"
        )

    def line(self, points: list[tuple[float, float]], *, colour: str) -> None:
        """A curve of (time, y)."""
        path = " ".join(f"{self.x(t):.1f},{y:.1f}" for t, y in points)
        self._shapes.append(f'<polyline points="{path}" fill="none" stroke="{colour}"/>')

    def rule(self, *, y: float, text: str) -> None:
        """A thin line across, with words."""
        self._shapes.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.0f}" y2="{y:.0f}" stroke="#ddd"/>'
        )
        self.label(text, y=y + 4, size=10)

    def axis(self) -> None:
        """Seconds along the bottom."""
        step = max(1, 10 ** math.floor(math.log10(self._length_s)) // 2)
        at_s = 0.0
        while at_s <= self._length_s:
            self._shapes.append(
                f'<text x="{self.x(at_s):.0f}" y="{self.y + 12}" font-size="10">{at_s:g} s</text>'
            )
            at_s += step
        self.y += 20

    def render(self) -> str:
        """The picture."""
        shapes = "\n".join(self._shapes)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.y}" '
            f'width="{WIDTH}" height="{self.y}" font-family="sans-serif">'
            f'<rect width="100%" height="100%" fill="white"/>\n{shapes}\n</svg>'
        )


def timeline(history: History) -> str:
    """The whole run."""
    length_s = max((event["t"] for event in history.events), default=0.0)
    canvas = Canvas(max(length_s, max((op.invoked_s for op in history.ops), default=0.0)))
    _leaders(canvas, history, length_s)
    _fault_rows(canvas, spans(history))
    width_s = max(0.25, length_s / 400)
    rows = buckets(history, width_s=width_s)
    rates = [(n / width_s, unknown / width_s) for n, unknown, _, _ in rows]
    _plot(canvas, "answered/s", [a for a, _ in rates], width_s=width_s, extra=[u for _, u in rates])
    _latency(canvas, [(m, w) for _, _, m, w in rows], width_s)
    canvas.axis()
    return canvas.render()


def _leaders(canvas: Canvas, history: History, length_s: float) -> None:
    looks: list[dict[str, Any]] = list(history.of("roles"))
    names = sorted({name for look in looks for name in look["roles"]})
    for name in names:
        canvas.label(name, y=canvas.y + 11)
        for look, following in zip(looks, [*looks[1:], {"t": length_s}], strict=True):
            role = look["roles"].get(name)
            if role is None:
                _silent(canvas, look["t"], following["t"], name)
            elif role[0]:
                colour = TERM_COLOURS[role[1] % len(TERM_COLOURS)]
                title = f"{name} leads in term {role[1]}"
                canvas.bar(look["t"], following["t"], y=canvas.y, colour=colour, title=title)
        canvas.y += ROW
    canvas.y += 8


def _silent(canvas: Canvas, begin_s: float, end_s: float, name: str) -> None:
    canvas.bar(begin_s, end_s, y=canvas.y, colour="#e8e8e8", title=f"{name} does not answer")


def _fault_rows(canvas: Canvas, everything: list[Span]) -> None:
    for name in sorted({span.name for span in everything}):
        canvas.label(name, y=canvas.y + 11)
        for span in everything:
            if span.name == name:
                colour = FAULT_COLOURS.get(name.partition("-")[0], OTHER_COLOUR)
                title = f"{name} {span.target} {span.begin_s:.2f}–{span.end_s:.2f} s"
                canvas.bar(span.begin_s, span.end_s, y=canvas.y, colour=colour, title=title)
        canvas.y += ROW
    canvas.y += 12


def _plot(
    canvas: Canvas,
    name: str,
    values: list[float],
    *,
    width_s: float,
    extra: list[float],
) -> None:
    top = max([*values, *extra, 1.0])
    base = canvas.y + PLOT
    canvas.rule(y=base, text="0")
    canvas.rule(y=canvas.y, text=f"{top:.0f} {name}")
    for series, tint in ((values, "#22cc77"), (extra, "#c0392b")):
        points = [(n * width_s, base - PLOT * value / top) for n, value in enumerate(series)]
        canvas.line(points, colour=tint)
    canvas.y += PLOT + 24


def _latency(canvas: Canvas, rows: list[tuple[float, float]], width_s: float) -> None:
    """Median and worst on a logarithmic scale from a tenth of a millisecond to ten seconds."""
    base = canvas.y + PLOT

    def height(seconds: float) -> float:
        return base - PLOT * (math.log10(min(10.0, max(1e-4, seconds))) + 4) / 5

    for seconds, text in ((1e-4, "0.1 ms"), (1e-2, "10 ms"), (1.0, "1 s"), (10.0, "10 s latency")):
        canvas.rule(y=height(seconds), text=text)
    for column, colour in ((1, "#bbb"), (0, "#3b6ea5")):
        points = [(n * width_s, height(row[column])) for n, row in enumerate(rows) if row[1] > 0]
        canvas.line(points, colour=colour)
    canvas.y += PLOT + 12
