"""Conditions over what parents put out: `outputs.measure.load > 80 and params.mode != "dry"`.

A strict subset of Python's expressions, parsed by Python and evaluated here: no attributes but keys of
data, no calls but the few functions below, no loops, no host. Every evaluation ends, with a value or with
an `ExpressionError` in our own words, and is the same on every master. What can be refused is refused when
the expression is declared: unknown names, functions and syntax.

Numbers are 64-bit integers and floats, text and lists have the size that a job's output may have.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from titan.limits import EXPRESSION_CHARS_MAX, EXPRESSION_DEPTH_MAX
from titan.spec.operations import (
    ARITHMETIC,
    COMPARISONS,
    FUNCTIONS,
    INTS,
    ExpressionError,
    bounded,
    key_of,
    number,
)

NAMES: Final[Mapping[str, str]] = {
    "outputs": "what the parents put out, by job id",
    "states": "how the parents ended, by job id",
    "params": "the run's parameters",
    "item": "the element that this instance of a foreach job is for",
}


class NotAnExpression(ExpressionError):
    """Python's parser does not take it, or it is nested too deeply. Which of the two, and the column, may
    differ between versions of Python: nothing that is replicated may hold the text."""


class Expression:
    """A checked expression. `outputs` and `states` are the ids of the jobs that it asks about by name;
    `is_closed` says that it asks about no others, whose names it would come to by itself."""

    def __init__(self, text: str, tree: ast.expr) -> None:
        self.text = text
        asked = list(dict.fromkeys(_jobs_named(tree)))
        self.outputs = tuple([name for what, name in asked if what == "outputs"])
        self.states = tuple([name for what, name in asked if what == "states"])
        self.jobs = tuple(dict.fromkeys(name for _, name in asked))
        self.is_closed = _is_closed(tree)
        self.parameters = tuple(dict.fromkeys(key for _, key in _keys_of(tree, "params")))
        self.state_words = tuple(dict.fromkeys(_state_words(tree)))
        self.names = tuple(
            dict.fromkeys(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
        )
        self._tree = tree

    def value(self, data: Mapping[str, Any]) -> Any:
        """What it comes to over `data`, which has some of `NAMES`. Raises `ExpressionError`."""
        return bounded(_value(self._tree, data))

    def holds(self, data: Mapping[str, Any]) -> bool:
        """Whether it comes to something true: not false, zero, empty or null."""
        return bool(self.value(data))


@lru_cache(maxsize=1024)
def parse(text: str) -> Expression:
    """The expression in `text`. Raises `ExpressionError` that says what is not allowed, and where."""
    if len(text) > EXPRESSION_CHARS_MAX:
        raise ExpressionError(f"longer than {EXPRESSION_CHARS_MAX} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        at = f" at column {error.offset}" if isinstance(error, SyntaxError) and error.offset else ""
        raise NotAnExpression(f"not an expression{at}") from None
    _check(tree, depth=0)
    return Expression(text, tree)


# --- what is allowed ------------------------------------------------------------------------------


def _check(node: ast.expr, *, depth: int) -> None:
    if depth > EXPRESSION_DEPTH_MAX:
        raise NotAnExpression(f"nested deeper than {EXPRESSION_DEPTH_MAX}")
    match node:
        case ast.Constant(value=value):
            if not isinstance(value, str | int | float | bool | None):
                raise _refused(node, f"{type(value).__name__} is not a kind of value here")
            if isinstance(value, int) and value not in INTS:
                raise _refused(node, "a number beyond 64 bits")
        case ast.Name(id=name):
            if name not in NAMES:
                raise _refused(node, f"unknown name {name!r}; known are {', '.join(NAMES)}")
        case ast.Call():
            _check_call(node)
        case ast.Compare(ops=ops):
            _check_is(node)
            _only(node, ops, COMPARISONS)
        case ast.BinOp(op=op):
            _only(node, [op], ARITHMETIC)
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.UAdd()):
            pass
        case ast.Subscript(slice=ast.Slice()):
            raise _refused(node, "slices")
        case ast.BoolOp() | ast.IfExp() | ast.List() | ast.Tuple():
            pass
        case ast.Attribute() | ast.Subscript():
            pass
        case _:
            raise _refused(node, f"{_spelt(node)} is not part of the language")
    for child in _children(node):
        _check(child, depth=depth + 1)


def _children(node: ast.expr) -> Iterator[ast.expr]:
    """The parts that are expressions of their own; a function's name is not."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr) and not (isinstance(node, ast.Call) and child is node.func):
            yield child


def _check_call(node: ast.Call) -> None:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if name not in FUNCTIONS:
        known = ", ".join(FUNCTIONS)
        raise _refused(node, f"only these functions can be called: {known}")
    counts, _ = FUNCTIONS[name]
    if node.keywords or len(node.args) not in counts:
        raise _refused(node, f"{name} takes {counts.start} to {counts.stop - 1} values")


def _check_is(node: ast.Compare) -> None:
    for op, right in zip(node.ops, node.comparators, strict=True):
        is_identity = isinstance(op, ast.Is | ast.IsNot)
        if is_identity and not (isinstance(right, ast.Constant) and right.value is None):
            raise _refused(node, "'is' compares with None only")


def _only(node: ast.expr, used: list[Any], allowed: Mapping[type[Any], object]) -> None:
    for each in used:
        if type(each) not in allowed:
            raise _refused(node, f"the operator {type(each).__name__} is not part of the language")


def _refused(node: ast.expr, why: str) -> ExpressionError:
    return ExpressionError(f"column {node.col_offset + 1}: {why}")


def _spelt(node: ast.expr) -> str:
    return type(node).__name__.lower()


_BY_JOB: Final = ("outputs", "states")


def _jobs_named(tree: ast.expr) -> Iterator[tuple[str, str]]:
    """X of `outputs.X`, `outputs["X"]` and the same with `states`, each with which of the two."""
    return (named for what in _BY_JOB for named in _keys_of(tree, what))


def _keys_of(tree: ast.expr, owner: str) -> Iterator[tuple[str, str]]:
    """`owner` and X of each `owner.X` and `owner["X"]`."""
    return (found for node in ast.walk(tree) if (found := _named(node)) and found[0] == owner)


def _named(node: ast.AST) -> tuple[str, str] | None:
    match node:
        case ast.Attribute(value=ast.Name(id=owner), attr=key):
            return owner, key
        case ast.Subscript(value=ast.Name(id=owner), slice=ast.Constant(value=str(key))):
            return owner, key
    return None


def _is_closed(tree: ast.expr) -> bool:
    """Whether `outputs` and `states` stand only where the name of a job follows."""
    asked = sum(1 for _ in _jobs_named(tree))
    named = sum(isinstance(node, ast.Name) and node.id in _BY_JOB for node in ast.walk(tree))
    return asked == named


def _state_words(tree: ast.expr) -> Iterator[str]:
    """The texts that the state of a job is compared with."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Compare):
            continue
        sides = [node.left, *node.comparators]
        if not any((_named(side) or ("",))[0] == "states" for side in sides):
            continue
        for side in sides:
            for part in side.elts if isinstance(side, ast.List | ast.Tuple) else [side]:
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.value


# --- what it comes to -----------------------------------------------------------------------------


def _value(node: ast.expr, data: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return _look_up(data, name)
        case ast.Attribute(value=owner, attr=key):
            return key_of(_value(owner, data), key)
        case ast.Subscript(value=owner, slice=index):
            return key_of(_value(owner, data), _value(index, data))
        case ast.BoolOp():
            return _logic(node, data)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _value(operand, data)
        case ast.UnaryOp(op=op, operand=operand):
            signed = number(_value(operand, data))
            return -signed if isinstance(op, ast.USub) else signed
        case ast.BinOp(left=left, op=op, right=right):
            return bounded(ARITHMETIC[type(op)](_value(left, data), _value(right, data)))
        case ast.Compare():
            return _comparison(node, data)
        case ast.IfExp(test=test, body=body, orelse=otherwise):
            return _value(body if _value(test, data) else otherwise, data)
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_value(item, data) for item in items]
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return bounded(FUNCTIONS[name][1](*(_value(each, data) for each in arguments)))
    raise AssertionError(f"unchecked {node!r}")


def _look_up(data: Mapping[str, Any], name: str) -> Any:
    if name not in data:
        raise ExpressionError(f"there is no {name!r} here")
    return data[name]


def _logic(node: ast.BoolOp, data: Mapping[str, Any]) -> Any:
    is_and = isinstance(node.op, ast.And)
    value: Any = None
    for part in node.values:
        value = _value(part, data)
        if bool(value) is not is_and:
            return value
    return value


def _comparison(node: ast.Compare, data: Mapping[str, Any]) -> bool:
    left = _value(node.left, data)
    for op, part in zip(node.ops, node.comparators, strict=True):
        right = _value(part, data)
        if not COMPARISONS[type(op)](left, right):
            return False
        left = right
    return True
