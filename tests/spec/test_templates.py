"""Expressions inside of values, as `with` has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from titan.errors import InvalidSpec
from titan.sdk import TitanJob
from titan.spec.operations import ExpressionError
from titan.spec.templates import declared, filled_in, is_template
from titan.spec.yaml_file import load_pipeline
from titan.spec.yaml_form import job_form

DATA = {
    "outputs": {"a": {"rows": 7, "share": 0.5, "name": "x", "ok": True, "all": [1]}},
    "params": {"day": "monday"},
}


def come_to(**values: Any) -> dict[str, Any]:
    return filled_in(declared(values), lambda expression: expression.value(DATA))


def test_what_is_one_expression_keeps_its_type() -> None:
    found = come_to(
        rows="${{ outputs.a.rows }}",
        more="${{outputs.a.rows + 1}}",
        share="${{ outputs.a.share }}",
        ok="${{ outputs.a.ok }}",
        none="${{ None }}",
        name="${{ outputs.a.name }}",
        items="${{ outputs.a.all }}",
    )
    assert found == {
        "rows": 7,
        "more": 8,
        "share": 0.5,
        "ok": True,
        "none": None,
        "name": "x",
        "items": [1],
    }
    assert [type(one) for one in found.values()][:4] == [int, int, float, bool]


def test_an_expression_with_text_around_is_text() -> None:
    found = come_to(
        day="load-${{ params.day }}-${{ outputs.a.rows }}",
        ok="${{ outputs.a.ok }}!",
        dollar='${{ "$" }}{{ not one }}',
    )
    assert found == {"day": "load-monday-7", "ok": "true!", "dollar": "${{ not one }}"}


@given(st.dictionaries(st.text(min_size=1, max_size=5), st.none() | st.booleans() | st.text()))
def test_all_other_values_stay_what_they_are(values: dict[str, Any]) -> None:
    plain = {
        name: value for name, value in values.items() if not is_template(value) and "=" not in name
    }
    assert come_to(**plain) == plain
    assert come_to(x="$HOME {{ x }} ${x} }}", n=7, f=1.5) == {
        "x": "$HOME {{ x }} ${x} }}",
        "n": 7,
        "f": 1.5,
    }


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("${{ outputs.a.lines }}", "rows: ${{ outputs.a.lines }}: there is no 'lines' in"),
        ("n ${{ outputs.a.all }}", "a list, an object or nothing cannot be part of a text"),
        ("${{ outputs.a.rows + 'x' }}", "rows: ${{ outputs.a.rows + 'x' }}: "),
    ],
)
def test_what_has_no_value_is_told_with_its_expression(value: str, why: str) -> None:
    with pytest.raises(ExpressionError) as raised:
        come_to(rows=value)
    assert why in str(raised.value)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("${{ outputs.a.rows", "rows: ${{ without }}"),
        ("${{ }}", "rows: not an expression"),
        ("${{ output.a }}", "rows: column 1: unknown name 'output'"),
        ("x ${{ open('f') }}", "rows: column 1: only these functions can be called"),
        ("${{ item }}", "rows: there is no 'item' here"),
        ("${{ outputs }}", "asked for by the name of a job"),
        ("${{ states.a == 'FAILD' }}", "there is no state 'FAILD'"),
    ],
)
def test_mistakes_are_told_where_the_job_is_declared(value: str, why: str) -> None:
    with pytest.raises(ValueError, match="rows: ") as raised:
        declared({"rows": value})
    assert why in str(raised.value)
    with pytest.raises(InvalidSpec) as told:
        TitanJob("s", job_type="pipeline", pipeline="p", parameters={"rows": value})
    assert why in str(told.value)


def test_a_file_is_told_every_mistake_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        """name: p
parameters: {day: monday}
jobs:
  - {id: a, command: x}
  - id: s
    type: pipeline
    pipeline: q
    with: {rows: "${{ outputs.a.rows }}"}
  - id: t
    type: pipeline
    pipeline: q
    depends_on: a
    with: {rows: "${{ outputs.b.rows }}", day: "${{ params.dai }}"}
  - id: u
    type: pipeline
    pipeline: q
    with:
      rows: "${{ 1 + }}"
  - id: ok
    type: pipeline
    pipeline: q
    depends_on: a
    with: {rows: "${{ outputs.a.rows }}", day: "on ${{ params.day }}", plain: "{{ x }}"}
"""
    )
    with pytest.raises(InvalidSpec) as raised:
        load_pipeline(path)
    found = [problem.split("p.yaml:", 1)[1] for problem in raised.value.problems]
    assert found[:3] == [
        "8:11: jobs[1].with: does not depend on 'a': add it to depends_on",
        "13:11: jobs[2].with: there is no job 'b'",
        "13:11: jobs[2].with: there is no parameter 'dai'; did you mean 'day'?",
    ]
    assert found[3].startswith("18:7: jobs[3].with: rows: not an expression")
    assert len(found) == 4


def test_it_becomes_yaml_again() -> None:
    job = TitanJob("s", job_type="pipeline", pipeline="p", parameters={"n": "${{ params.n }}"})
    assert job_form(job.to_spec())["with"] == {"n": "${{ params.n }}"}
