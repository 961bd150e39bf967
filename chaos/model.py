"""What one key of the store must do, as a function: state and operation in, new state or a refusal out.

Independent of the product: written from its documentation. A state is None for a missing key, text for
a value and a frozenset for a set. Operations whose answer is unknown may do anything they are able to.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from chaos.history import Op

State: TypeAlias = "str | frozenset[str] | None"


class _Impossible:
    """The answer was not possible in this state."""


IMPOSSIBLE: Final = _Impossible()


def step(state: State, op: Op) -> State | _Impossible:
    """The state after `op`, or `IMPOSSIBLE` when what it answered cannot be."""
    return _STEPS[op.verb](state, op)


def _put(_state: State, op: Op) -> State | _Impossible:
    return str(op.args[0])


def _get(state: State, op: Op) -> State | _Impossible:
    return state if not op.known or op.value == state else IMPOSSIBLE


def _cas(state: State, op: Op) -> State | _Impossible:
    does = state == op.args[0]
    if op.known and bool(op.value) is not does:
        return IMPOSSIBLE
    return str(op.args[1]) if does else state


def _delete(state: State, op: Op) -> State | _Impossible:
    if op.known and bool(op.value) is not (state is not None):
        return IMPOSSIBLE
    return None


def _incr(state: State, op: Op) -> State | _Impossible:
    if isinstance(state, frozenset):
        return IMPOSSIBLE if op.known else state
    total = int(state or "0") + int(op.args[0])
    return str(total) if not op.known or op.value == total else IMPOSSIBLE


def _members(state: State) -> frozenset[str]:
    return state if isinstance(state, frozenset) else frozenset()


def _sadd(state: State, op: Op) -> State | _Impossible:
    members = _members(state)
    is_new = int(op.args[0] not in members)
    if op.known and op.value != is_new:
        return IMPOSSIBLE
    return members | {op.args[0]}


def _srem(state: State, op: Op) -> State | _Impossible:
    members = _members(state)
    was_there = int(op.args[0] in members)
    if op.known and op.value != was_there:
        return IMPOSSIBLE
    return (members - {op.args[0]}) or None


def _smembers(state: State, op: Op) -> State | _Impossible:
    if op.known and (len(set(op.value)) != len(op.value) or frozenset(op.value) != _members(state)):
        return IMPOSSIBLE
    return state


_STEPS: Final = {
    "put": _put,
    "get": _get,
    "cas": _cas,
    "delete": _delete,
    "incr": _incr,
    "sadd": _sadd,
    "srem": _srem,
    "smembers": _smembers,
}
VERBS: Final = tuple(_STEPS)
READS: Final = ("get", "smembers")
