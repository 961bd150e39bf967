"""`when` and `foreach` as people write them: what is refused before anything travels, and where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from titan.errors import InvalidSpec
from titan.ids import JobId
from titan.sdk import TitanJob
from titan.sdk.runs import checked
from titan.spec.model import JobSpec, version_of
from titan.spec.yaml_file import parse_pipeline


def read(text: str) -> tuple[JobSpec, ...]:
    return parse_pipeline(text.encode(), path=Path("/tmp/p.yaml")).spec.jobs


def problems(text: str) -> list[str]:
    with pytest.raises(InvalidSpec) as raised:
        read(text)
    return [line.removeprefix("/tmp/") for line in raised.value.problems]


def test_a_file_may_have_conditions_and_lists() -> None:
    jobs = read(
        """\
project: false
parameters: {least: 3}
jobs:
  - {id: a, command: x, hitl_message: ok?}
  - {id: b, command: x, depends_on: a, when: ' outputs.a.n > params.least '}
  - {id: c, command: x, depends_on: b, foreach: outputs.a.items, when: 'item and outputs["hitl-gate-a"].x'}
  - {id: d, command: x, foreach: [1, {k: [yes, null]}, 1.50]}
  - {id: e, command: x, foreach: []}
"""
    )
    by_id = {job.id: job for job in jobs}
    assert by_id[JobId("b")].when == "outputs.a.n > params.least"
    assert by_id[JobId("c")].foreach == "outputs.a.items"
    assert msgspec.json.decode(by_id[JobId("d")].foreach_items) == [1, {"k": [True, None]}, 1.5]
    assert by_id[JobId("e")].foreach_items == b"[]"
    assert [version_of(by_id[JobId(name)]) for name in "bcde"] == [2] * 4


def test_all_mistakes_are_located_and_told_at_once() -> None:
    assert problems(
        """\
project: false
parameters: {least: 3}
jobs:
  - {id: a, command: x}
  - id: b
    command: x
    when: outputs.a.n > 1
  - id: c
    command: x
    depends_on: a
    when: outputs.aa.n > params.leest
  - id: d
    command: x
    when: "1 +"
    foreach: 3
  - id: e
    command: x
    depends_on: a
    when: states.a == "FAILD"
  - id: f
    command: x
    depends_on: [a]
    foreach: outputs.f
"""
    ) == [
        "p.yaml:7:11: jobs[1].when: does not depend on 'a': add it to depends_on",
        "p.yaml:11:11: jobs[2].when: there is no job 'aa'; did you mean 'a'?",
        "p.yaml:11:11: jobs[2].when: there is no parameter 'leest'; did you mean 'least'?",
        "p.yaml:14:11: jobs[3].when: not an expression",
        "p.yaml:15:14: jobs[3].foreach: must be a list, or an expression such as 'outputs.a.files', "
        "not a number",
        "p.yaml:19:11: jobs[4].when: there is no state 'FAILD'; did you mean 'FAILED'?",
        "p.yaml:23:14: jobs[5].foreach: job 'f' cannot ask about itself",
    ]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ("when: item > 1", "there is an 'item' in the `when` of a foreach job only"),
        ("type: service, port: 0, foreach: [1]", "belongs to a job of type run, not service"),
    ],
)
def test_fields_that_do_not_go_together_are_refused(fields: str, why: str) -> None:
    [line] = problems(f"project: false\njobs:\n  - {{id: a, command: x, {fields}}}\n")
    assert why in line


def job(job_id: str, *parents: str, **fields: Any) -> TitanJob:
    return TitanJob(job_id, command="true", parents=parents, **fields)


def test_python_says_the_same() -> None:
    spec = job("a", when=" params.x ", foreach=("x", 1)).to_spec()
    assert (spec.when, spec.foreach_items) == ("params.x", b'["x",1]')
    assert job("a", foreach=[]).to_spec().foreach_items == b"[]"
    for fields, why in [
        ({"when": "x"}, "when: column 1: unknown name 'x'"),
        ({"when": True}, "when: must be an expression such as"),
        ({"when": "item"}, "there is an 'item' in the `when` of a foreach job only"),
        ({"foreach": [object()]}, "foreach: has an element that is no JSON"),
        ({"foreach": "item"}, "foreach: there is no 'item' before the list is known"),
        ({"foreach": [0] * 10_001}, "foreach: has 10001 elements; at most 10000"),
    ]:
        with pytest.raises(InvalidSpec) as raised:
            job("a", **fields)
        assert why in str(raised.value)


def test_a_graph_from_python_is_checked_and_an_addition_as_far_as_it_can_be() -> None:
    specs = tuple(each.to_spec() for each in (job("a"), job("b", when="outputs.a")))
    with pytest.raises(InvalidSpec, match="add it to depends_on"):
        checked("n", specs)
    with pytest.raises(InvalidSpec, match="add it to depends_on"):
        checked("n", specs, open_world=True)
    beside = (job("b", "elsewhere", when="outputs.above").to_spec(),)
    assert checked("n", beside, open_world=True) == beside
