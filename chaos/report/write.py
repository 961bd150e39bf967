"""The report's files: `report.html`, self-contained with the picture in it, and `timeline.png`."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Final

from chaos.checkers.violation import Violation
from chaos.history import History
from chaos.report.summary import last_line, summary
from chaos.report.timeline import as_svg, draw, save_png

EVENTS_SHOWN_MAX: Final = 400
_STYLE: Final = """
body { font-family: sans-serif; margin: 2em; color: #222 } pre { background: #f6f6f6; padding: 1em;
overflow-x: auto } .bad { color: #c0392b } .good { color: #2a7d46 } svg { max-width: 100%; height: auto }
table { border-collapse: collapse; font-size: 13px } td { padding: 2px 10px; border-top: 1px solid #ddd }
"""


def write_report(history: History, violations: list[Violation], folder: Path) -> list[Path]:
    """Write the files; answers which."""
    meta = history.meta
    title = (
        f"chaos {meta.get('scenario', '?')}, seed {meta.get('seed', '?')}, "
        f"{meta.get('masters', '?')} masters: {last_line(history, violations)}"
    )
    figure = draw(history, title=title)
    page, png = folder / "report.html", folder / "timeline.png"
    page.write_text(_page(history, violations, as_svg(figure)), encoding="utf-8")
    save_png(figure, png)
    return [page, png]


def _page(history: History, violations: list[Violation], picture: str) -> str:
    meta = history.meta
    colour = "bad" if violations else "good"
    return f"""<!doctype html><html lang="en"><head><meta charset="utf-8">
<title>Chaos {escape(str(meta.get("scenario", "")))}</title><style>{_STYLE}</style></head>
<body><h1>Chaos: {escape(str(meta.get("scenario", "?")))}, seed {meta.get("seed", "?")}</h1>
<p class="{colour}"><b>{escape(last_line(history, violations))}</b></p>
<p>To repeat: <code>{escape(str(meta.get("command", "")))}</code></p>
{picture}
<p>From above: who leads, the faults, stretches without an accepted write, operations a second, latency.
Faults of masters are shaded behind the last three.</p>
<pre>{escape(summary(history, violations))}</pre>
<h2>Violations</h2>{_violations(violations)}
<h2>Faults</h2><table>{_fault_table(history)}</table></body></html>
"""


def _violations(violations: list[Violation]) -> str:
    if not violations:
        return "<p>None.</p>"
    return "".join(f"<pre>{escape(str(violation))}</pre>" for violation in violations)


def _fault_table(history: History) -> str:
    rows = []
    for event in list(history.of("fault"))[:EVENTS_SHOWN_MAX]:
        cells = (f"{event['t']:.2f} s", event["name"], event["phase"], event["target"])
        rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    return "".join(rows)
