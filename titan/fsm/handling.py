"""How a command meets its handler: the stamp it gets, the turn it takes, the registry.

Owns no state and decides nothing. The handlers are in one file per noun; `machine.py` calls them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from titan import limits
from titan.fsm.commands import Command
from titan.fsm.events import Event
from titan.fsm.outcomes import Applied, Outcome
from titan.fsm.state import State
from titan.ids import AttemptId

C = TypeVar("C", bound=Command)
UNBOUNDED: Final = 1 << 62
Handler: TypeAlias = Callable[[State, Any, "Stamp"], Outcome]


class Budget(msgspec.Struct):
    """How many more edges and jobs effects may reach in this entry; shared by all of its commands."""

    left: int = UNBOUNDED
    search_left: int = msgspec.field(default_factory=lambda: limits.GRAPH_SEARCH_STEPS_MAX)
    read_bytes: int = 0  # of outputs, by conditions

    @property
    def allowance(self) -> int:
        """How many a command may reach: a few even when others have used up the entry."""
        return max(self.left, limits.SETTLE_STEPS_EACH)


class Stamp(msgspec.Struct, frozen=True):
    """Where and when in the log a command stands; the only clock a handler has."""

    index: int
    now_ms: int
    epoch: int
    budget: Budget = msgspec.field(default_factory=Budget)
    client: str = ""  # the session that proposes; "" for the leader's own
    attempt: AttemptId = AttemptId(0)  # when a task proposes: its attempt, which is live


class Turn(msgspec.Struct):
    """One command's turn at the state: what changes it, and the facts it has produced so far.

    A handler opens a turn once it has decided to apply; from then on it can no longer refuse.
    """

    state: State
    at: Stamp
    events: list[Event] = msgspec.field(default_factory=list)

    def done(self, value: Any = None) -> Applied:
        """The outcome of the turn."""
        return Applied(value, tuple(self.events))


HANDLERS: dict[type[Command], Handler] = {}


def handles(
    kind: type[C],
) -> Callable[[Callable[[State, C, Stamp], Outcome]], Callable[[State, C, Stamp], Outcome]]:
    """Register the one handler of a command.

    A handler validates fully before it changes anything: whatever it refuses had no effect.
    """

    def register(
        handler: Callable[[State, C, Stamp], Outcome],
    ) -> Callable[[State, C, Stamp], Outcome]:
        assert kind not in HANDLERS, f"{kind.__name__} has two handlers"
        HANDLERS[kind] = handler
        return handler

    return register
