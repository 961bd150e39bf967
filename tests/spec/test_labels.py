"""What labels may be, how files and commands write them, and which runs a filter lets through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from titan.errors import InvalidSpec
from titan.limits import LABEL_VALUE_CHARS_MAX, LABELS_PER_RUN_MAX
from titan.spec.json_schema import json_schema
from titan.spec.labels import has_labels, problem_of, read, read_filters, read_pairs
from titan.spec.yaml_file import parse_pipeline
from titan.spec.yaml_form import pipeline_form

JOBS = "jobs: [{id: a, command: 'true'}]\n"


def parse(text: str) -> dict[str, str]:
    return parse_pipeline(f"{text}{JOBS}".encode(), path=Path("p.yaml")).spec.labels


def test_values_are_text_as_they_are_spelt() -> None:
    text = "labels: {team: data, release: 1.10, nightly: yes, a.b/c-d_e: 'x = y', empty: ''}\n"
    assert parse(text) == {
        "team": "data", "release": "1.10", "nightly": "yes", "a.b/c-d_e": "x = y", "empty": "",
    }  # fmt: skip
    assert parse("") == parse("labels:\n") == {}


def test_wrong_ones_are_told_at_once_where_they_stand() -> None:
    text = "labels:\n  team: [data]\n  'no key': x\n  none:\n  long: " + "x" * 257 + "\n"
    with pytest.raises(InvalidSpec) as raised:
        parse(text + 'lines: "a\\nb"\n'.replace("lines", "  lines"))
    assert list(raised.value.problems) == [
        "p.yaml:2:9: labels.team: must be text, not a list",
        "p.yaml:3:3: labels: 'no key' is no key of a label: 1 to 64 of A-Z a-z 0-9 . _ / -",
        "p.yaml:4:8: labels.none: must be text, not nothing",
        "p.yaml:5:9: labels.long: has at most 256 characters, not 257",
        "p.yaml:6:10: labels.lines: is one line of text",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("labels: data\n", "p.yaml:1:9: labels: must be a mapping of keys to text, not text"),
        (
            "labels: {" + ", ".join(f"k{n}: x" for n in range(LABELS_PER_RUN_MAX + 1)) + "}\n",
            "p.yaml:1:9: labels: at most 32 labels, not 33",
        ),
    ],
)
def test_what_are_no_labels_is_refused(text: str, told: str) -> None:
    with pytest.raises(InvalidSpec) as raised:
        parse(text)
    assert list(raised.value.problems) == [told]


def test_they_are_written_back_and_editors_know_them() -> None:
    spec = parse_pipeline(f"labels: {{v: 1.10}}\n{JOBS}".encode(), path=Path("p.yaml")).spec
    form = pipeline_form("p", spec.jobs, parameters={}, labels=spec.labels)
    assert form["labels"] == {"v": "1.10"}
    assert "labels" not in pipeline_form("p", spec.jobs, parameters={})
    assert json_schema()["properties"]["labels"]["maxProperties"] == LABELS_PER_RUN_MAX


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"": "x"}, "is no key"),
        ({"k" * 65: "x"}, "is no key"),
        ({"schlüssel": "x"}, "is no key"),
        ({"k\n": "x"}, "is no key"),
        ({"k": 1}, "k must be text, not a number"),
        ({"k": "x" * (LABEL_VALUE_CHARS_MAX + 1)}, "k has at most 256 characters"),
        ({"k": "\ud800"}, "k is one line of text"),
        (["k"], "must be a mapping"),
    ],
)
def test_code_is_told_what_is_wrong(given: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read(given)


def test_the_largest_are_let_through() -> None:
    labels = {f"{n:064}": "ü" * LABEL_VALUE_CHARS_MAX for n in range(LABELS_PER_RUN_MAX)}
    assert problem_of(labels) == ""
    assert read(labels) == labels


def test_pairs_are_split_at_the_first_equals_sign() -> None:
    assert read_pairs(["team=data", "q=a=b", "empty="]) == {"team": "data", "q": "a=b", "empty": ""}
    with pytest.raises(ValueError, match="'team' is not KEY=VALUE"):
        read_pairs(["team"])


@pytest.mark.parametrize(
    ("filters", "is_one"),
    [
        ([], True),
        (["team"], True),
        (["team=data"], True),
        (["team=dat"], False),
        (["team="], False),
        (["v="], True),
        (["team=data", "v"], True),
        (["team=data", "w"], False),
    ],
)
def test_a_filter_asks_for_all_of_its_parts(filters: list[str], is_one: bool) -> None:
    assert has_labels({"team": "data", "v": ""}, read_filters(filters)) is is_one


def test_what_is_no_filter_is_refused() -> None:
    with pytest.raises(ValueError, match="is no key"):
        read_filters(["=data"])
    with pytest.raises(ValueError, match="at most 32 labels to filter by"):
        read_filters([f"k{n}" for n in range(LABELS_PER_RUN_MAX + 1)])
    assert read_filters(["k"] * 100) == (("k", None),)
