"""Effects that may be part of a batch: the registry, and what a batch looks like while it is checked.

Every effect has two functions. `check(draft, command)` refuses it or answers a ticket; it sees the state
and, on the draft's pads, what the effects before it will do, and notes there what it will do itself. It
changes nothing else. Once the whole batch is checked, `apply(turn, command, ticket)` carries it out and
answers; it cannot refuse. A noun registers its effects in its own file, adds their commands to
`commands.effects.Effect`, and needs nothing else here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import msgspec

from titan.fsm.commands import Command
from titan.fsm.handling import Stamp, Turn
from titan.fsm.outcomes import Rejected
from titan.fsm.state import State

T = TypeVar("T")


class Draft(msgspec.Struct):
    """A batch that is being checked."""

    state: State
    at: Stamp
    pads: dict[type, Any] = msgspec.field(default_factory=dict)

    def pad(self, kind: type[T]) -> T:
        """The notes of one noun about what the batch does so far; `kind()` when there are none."""
        found = self.pads.get(kind)
        if found is None:
            found = self.pads[kind] = kind()
        made: T = found
        return made


class Batchable(NamedTuple):
    """How one kind of effect is checked and applied; see the module."""

    check: Callable[[Draft, Any], Any]  # a ticket of any kind, or Rejected
    apply: Callable[[Turn, Any, Any], Any]


BATCHABLES: dict[type[Command], Batchable] = {}


def batchable(
    kind: type[Command],
    *,
    check: Callable[[Draft, Any], Any],
    apply: Callable[[Turn, Any, Any], Any],
) -> None:
    """Let a command be an effect of a batch."""
    assert kind not in BATCHABLES, f"{kind.__name__} is batchable twice"
    BATCHABLES[kind] = Batchable(check, apply)


def checked(draft: Draft, command: Command) -> Any:
    """The ticket of one more effect, or why the batch cannot have it."""
    known = BATCHABLES.get(type(command))
    if known is None:
        return Rejected("not_supported", f"{type(command).__name__} cannot be part of a batch")
    return known.check(draft, command)
