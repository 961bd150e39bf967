"""What commands print, and how parameters are read."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from rich.console import Console

from titan.cli import output
from titan.cli.progress import LineProgress, LiveProgress, progress
from titan.cli.run import read_parameters
from titan.cli.store import item_json, text_if_text
from titan.errors import UserError
from titan.fsm.queries import JobView, KvView, RunView
from titan.ids import AttemptId, JobId, RunId, WorkerId

RUN = RunId("r-00000000000000000000")


def run_view(**jobs: int) -> RunView:
    return RunView(
        id=RUN, name="demo", state="RUNNING", over=False, created_ms=1, ended_ms=0, jobs=jobs
    )


def job_view(name: str, state: str, *, attempts: int = 1, reason: str = "") -> JobView:
    return JobView(
        run=RUN,
        id=JobId(name),
        state=state,
        reason=reason,
        worker=WorkerId("w-1"),
        attempts=attempts,
        retries_used=0,
        exit_code=None,
        parents=(),
        started_ms=1,
        ended_ms=0,
        live=AttemptId(0),
    )


def test_a_table_is_not_cut_off_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(("id", "#n"), [("x" * 100, "7")], empty="none")
    assert "x" * 100 in capsys.readouterr().out


def test_no_rows_are_said_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(("id",), [], empty="none yet")
    assert capsys.readouterr() == ("", "none yet\n")


def test_text_of_users_is_not_taken_for_markup(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(("name",), [(output.plain("[red]x[/red]"),)], empty="")
    assert "[red]x[/red]" in capsys.readouterr().out


@pytest.mark.parametrize(("span_ms", "text"), [(420, "0.42s"), (12_000, "12s"), (185_000, "3m05s")])
def test_durations_read_well(span_ms: int, text: str) -> None:
    assert output.took(1000, 1000 + span_ms) == text


def test_what_has_not_begun_took_nothing() -> None:
    assert output.took(0, 0) == "-"
    assert output.ago(time.time_ns() // 1_000_000 - 3 * 3_600_000) == "3h"


def test_without_a_terminal_each_change_is_one_line() -> None:
    sink = io.StringIO()
    shown = progress(Console(file=sink, width=120), names={"w-1": "box"})
    assert isinstance(shown, LineProgress)
    with shown:
        shown.update(run_view(PENDING=2), [job_view("a", "PENDING"), job_view("b", "PENDING")])
        shown.update(run_view(RUNNING=1, PENDING=1), [job_view("a", "RUNNING")])
        shown.update(run_view(RUNNING=1, PENDING=1), [job_view("a", "RUNNING")])
        shown.update(run_view(DEAD=1, PENDING=1), [job_view("a", "DEAD", reason="exit code 3")])
    lines = sink.getvalue().splitlines()
    assert len(lines) == 2
    assert "a RUNNING on box  (0 of 2)" in lines[0]
    assert "a DEAD on box: exit code 3  (1 of 2)" in lines[1]


def test_on_a_terminal_the_picture_shows_what_runs() -> None:
    sink = io.StringIO()
    shown = progress(Console(file=sink, width=120, force_terminal=True))
    assert isinstance(shown, LiveProgress)
    with shown:
        shown.update(run_view(RUNNING=1, COMPLETED=1), [job_view("a", "RUNNING", attempts=2)])
    text = sink.getvalue()
    assert "1 of 2" in text
    assert "attempt 2" in text


def test_parameters_take_the_type_of_their_default(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        "parameters: {n: 1, x: 1.5, on: true, name: a}\nproject: false\njobs: [{id: a, command: 'true'}]\n"
    )
    given = read_parameters(path, ("n=2", "x=3", "on=false", "name=b=c"))
    assert given == {"n": 2, "x": 3.0, "on": False, "name": "b=c"}
    for wrong in ("n=two", "absent=1", "n"):
        with pytest.raises(UserError):
            read_parameters(path, (wrong,))


def test_bytes_travel_in_json_as_base64() -> None:
    raw = KvView(key="k", value=b"\xff", members=None, version=3, expires_ms=0)
    assert item_json(raw)["value"] == "/w=="
    assert item_json(raw)["encoding"] == "base64"
    members = KvView(key="k", value=None, members=["a,b"], version=3, expires_ms=0)
    assert item_json(members)["members"] == ["a,b"]
    assert text_if_text("ä".encode()) == "ä"
    assert text_if_text(b"\xff") == b"\xff"
