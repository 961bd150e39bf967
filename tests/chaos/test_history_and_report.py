"""Recording, reading back, and the report."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from chaos.checkers.everything import check
from chaos.history import Recorder, load
from chaos.report.figures import gap_s, outages, spans
from chaos.report.summary import last_line, summary
from chaos.report.write import write_report


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    path = tmp_path / "history.jsonl"
    recorder = Recorder(path)
    recorder.event("roles", roles={"master-1": [True, 1], "master-2": None})
    good = recorder.invoke("c1", "put", "k", "a")
    recorder.ok(good, 3)
    recorder.event("fault", name="kill-leader", phase="begin", target="master-1")
    bad = recorder.invoke("c1", "put", "k", "b")
    recorder.unknown(bad, TimeoutError("late"))
    refused = recorder.invoke("c1", "put", "k", "c")
    recorder.fail(refused, "connection refused")
    recorder.event("fault", name="kill-leader", phase="end", target="master-1")
    recorder.invoke("c1", "get", "k")
    recorder.close()
    return path


def test_a_failed_or_open_call_is_unknown(recorded: Path) -> None:
    history = load(recorded)
    assert [op.known for op in history.ops] == [True, False, False]
    assert history.ops[1].why == "TimeoutError: late"


def test_a_call_that_never_left_the_client_is_not_there(recorded: Path) -> None:
    assert all(op.args != ["c"] for op in load(recorded).ops)


def test_a_last_line_that_was_cut_off_is_passed_over(recorded: Path) -> None:
    text = recorded.read_text()
    recorded.write_text(text[:-10])
    assert len(load(recorded).ops) == 2
    recorded.write_text("{nonsense\n" + text)
    with pytest.raises(ValueError, match=r"history\.jsonl:1"):
        load(recorded)


def test_the_report_shows_every_part(recorded: Path, tmp_path: Path) -> None:
    history = load(recorded)
    violations = check(history)
    written = {path.name: path for path in write_report(history, violations, tmp_path)}
    page = written["report.html"].read_text()
    assert "kill-leader" in page
    picture = page[page.index("<svg") : page.index("</svg>") + len("</svg>")]
    ElementTree.fromstring(picture)
    assert all(
        word in picture for word in ("master-1", "who leads", "no accepted write", "latency")
    )
    assert written["timeline.png"].read_bytes().startswith(b"\x89PNG")
    assert "put" in summary(history, violations)
    assert last_line(history, violations) == "3 operations, 1 faults, 0 violations"


def test_gaps_are_measured_across_the_fault(recorded: Path) -> None:
    assert gap_s([1.0, 2.0, 5.0, 5.5], 2.5, 3.0) == 3.0
    assert gap_s([1.0, 2.0, 5.0, 5.5], 5.1, 5.2) == 0.5
    history = load(recorded)
    assert len(spans(history)) == 1
    assert list(outages(history)) == ["kill-leader"]
