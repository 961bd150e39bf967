"""What people and callers fill in: one set of rules for forms and for parameters."""

from __future__ import annotations

from typing import Any

import pytest

from titan import limits
from titan.spec.inputs import declared, fill, read_value, scalars, why_not_input
from titan.spec.model import Input


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("x", Input("string", default="x")),
        (3, Input("int", default=3)),
        (0.5, Input("float", default=0.5)),
        (True, Input("bool", default=True)),
        (None, Input("any")),
        ({"type": "number", "default": 1}, Input("float", default=1.0)),
        ({"type": "Integer", "required": True}, Input("int", required=True)),
        ({"default": 3}, Input("int", default=3)),
        ({"choices": ["a", "b", "a"]}, Input("string", choices=("a", "b"))),
        ({"choices": [1, 2], "help": "how many"}, Input("int", choices=(1, 2), help="how many")),
        ({}, Input("string")),
    ],
)
def test_a_default_or_a_mapping_declares(given: Any, expected: Input) -> None:
    assert declared({"n": given}, plain=True) == ({"n": expected}, [])


def test_a_form_field_may_be_its_type_alone() -> None:
    found, wrong = declared({"n": "int", "s": None}, plain=False)
    assert (found, wrong) == ({"n": Input("int"), "s": Input()}, [])
    assert declared({"n": 3}, plain=False)[1] == [
        "n: must be a mapping with type, default, required, choices, help, not a number"
    ]


def test_every_mistake_in_a_declaration_is_told() -> None:
    given = {
        "a": {"tipe": "int"},
        "b": {"type": "opera"},
        "c": {"type": "int", "default": "x", "choices": ["y"], "required": 3},
        "d": [1],
        "e": {"choices": ["x"], "default": "z"},
        "": 1,
        "x=y": 1,
    }
    wrong = declared(given, plain=True)[1]
    assert wrong[0] == "a: unknown key 'tipe'; did you mean 'type'?"
    assert "b: type 'opera' is not one of string, int, float, bool, any" in wrong
    assert "c: required must be true or false" in wrong
    assert "c: choices: must be a whole number, not 'y'" in wrong
    assert "c: default: must be a whole number, not 'x'" in wrong
    assert any(one.startswith("d: must be text, a number") for one in wrong)
    assert "e: default: must be one of x, not 'z'" in wrong
    assert sum("is no name" in one for one in wrong) == 2
    many = {f"n{n}": 1 for n in range(limits.INPUTS_MAX + 1)}
    assert declared(many, plain=True)[1] == ["has 257 names; at most 256"]
    assert declared([1], plain=True)[1] == ["must be a mapping of names, not a list"]


@pytest.mark.parametrize(
    ("kind", "given", "read"),
    [
        ("string", 5, "5"),
        ("string", True, "true"),
        ("int", " 7 ", 7),
        ("int", 7.0, 7),
        ("float", "1e3", 1000.0),
        ("float", 2, 2.0),
        ("bool", "yes", True),
        ("bool", 0, False),
        ("any", 1.5, 1.5),
    ],
)
def test_what_means_a_value_is_one(kind: str, given: Any, read: Any) -> None:
    found, wrong = read_value(Input(kind), given)
    assert (found, wrong) == (read, "")
    assert type(found) is type(read)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("int", "7.5"),
        ("int", True),
        ("int", 7.5),
        ("int", "9" * 40),
        ("int", 2**63),
        ("int", str(2**63)),
        ("float", "nan"),
        ("float", "inf"),
        ("float", True),
        ("bool", "perhaps"),
        ("bool", 2),
        ("string", "\ud800"),
        ("any", [1]),
        ("any", b"x"),
        ("any", 2**63),
    ],
)
def test_what_means_none_is_refused(kind: str, given: Any) -> None:
    assert read_value(Input(kind), given)[1] != ""


def test_filling_in_keeps_the_order_and_tells_everything_that_is_wrong() -> None:
    wanted = {"a": Input(default="x"), "b": Input("int"), "c": Input(required=True)}
    assert fill(wanted, {"c": "z", "b": "2"}) == ({"a": "x", "b": 2, "c": "z"}, [])
    assert fill(wanted, {"b": 2}, complete=False) == ({"b": 2}, [])
    _, wrong = fill(wanted, {"b": "x", "d": 1})
    assert wrong == [
        "'d' is unknown; there is: a, b, c",
        "b must be a whole number, not 'x'",
        "c is required",
    ]
    assert fill({}, {"x": 1}, also=True) == ({"x": 1}, [])


def test_a_default_satisfies_what_is_required() -> None:
    assert fill({"a": Input(default="x", required=True)}, {}) == ({"a": "x"}, [])


def test_only_scalars_pass_as_parameters_of_a_job() -> None:
    assert scalars({"a": 1, 2: "x"}) == {"a": 1, "2": "x"}
    for wrong in ([1], {"a": [1]}, {"a": 2**70}):
        with pytest.raises(ValueError, match="must"):
            scalars(wrong)


def test_the_state_machine_takes_only_what_the_loader_makes() -> None:
    assert why_not_input(Input("int", default=3, choices=(3, 4))) == ""
    for odd in (Input("opera"), Input("int", default="3"), Input(default="x", choices=("y",))):
        assert why_not_input(odd) != ""
