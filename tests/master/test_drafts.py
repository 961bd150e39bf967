"""Pipelines that pages send: nothing outside their folder, and every problem with its place."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from titan.errors import InvalidSpec, LimitExceeded, UserError
from titan.limits import DRAFT_FILES_MAX
from titan.master.http.drafts import Draft, packed, problems_of

ONE = "jobs: [{id: a, file: src/a.py}]"


@pytest.mark.parametrize(
    "path",
    ["../a", "/etc/passwd", "a/../../b", "", "a//b", "./a", "a\0b", "a\\b", "pipeline.yaml", "x" * 300,
     "d/" * 300 + "f", "\ud800"],
)  # fmt: skip
def test_a_path_outside_is_refused_before_anything_is_written(path: str, tmp_path: Path) -> None:
    with pytest.raises(UserError):
        problems_of(Draft(yaml=ONE, files={path: "x"}))
    with pytest.raises(UserError):
        packed(Draft(yaml=ONE, binary={path: base64.b64encode(b"x").decode()}))


def test_a_name_cannot_be_a_file_and_a_folder() -> None:
    with pytest.raises(UserError, match="at once"):
        problems_of(Draft(yaml=ONE, files={"a": "x", "a/b": "y"}))


def test_files_travel_in_the_bundle() -> None:
    draft = Draft(
        yaml=ONE,
        files={"src/a.py": "print(1)"},
        binary={"x.bin": base64.b64encode(b"\xff").decode()},
    )
    assert problems_of(draft) == ()
    loaded, bundle = packed(draft)
    assert bundle is not None
    with bundle:
        assert {"src/a.py", "x.bin"} <= bundle.names
    assert loaded.spec.jobs[0].file == "src/a.py"
    commands = packed(Draft(yaml="jobs: [{id: a, command: 'true'}]"))
    assert commands.bundle is None, "nothing to carry"


def test_problems_have_places_and_do_not_tell_of_the_folder() -> None:
    draft = Draft(
        yaml="jobs:\n  - {id: a, file: b.py}\n  - {id: c, comand: x}\n", files={"a.py": ""}
    )
    found = problems_of(draft)
    assert [(one.field, one.place and one.place.line) for one in found] == [
        ("jobs[0].file", 2),
        ("jobs[1]", 3),
        ("jobs[1].comand", 3),
    ]
    assert found[0].message.startswith("no such file: b.py"), found[0].message
    with pytest.raises(InvalidSpec) as refused:
        packed(draft)
    assert "titan-draft" not in str(refused.value)


def test_parents_of_a_live_run_are_known_only_to_jobs_that_join_it() -> None:
    draft = Draft(yaml="jobs: [{id: b, command: x, depends_on: [elsewhere]}]")
    assert [one.field for one in problems_of(draft)] == ["jobs[0].depends_on"]
    assert problems_of(draft, open_world=True) == ()


def test_there_is_a_bound_on_files() -> None:
    with pytest.raises(LimitExceeded):
        problems_of(Draft(yaml=ONE, files={f"f{n}": "" for n in range(DRAFT_FILES_MAX + 1)}))
    with pytest.raises(UserError, match="base64"):
        problems_of(Draft(yaml=ONE, binary={"a": "é"}))
