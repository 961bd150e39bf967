"""What a function's annotations say of its arguments and its result: read once, applied to each call."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any, Final

from titan.spec.call_values import as_type

IMPORTING: Final = (
    "TITAN_IMPORTING"  # set while a function's module is imported: nothing is submitted
)
_FIXED: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Parameters:
    """The annotated parameters of a function, called `name` in what is said to people."""

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self._name = name
        hints = hints_of(function)
        self._positional: list[tuple[str, Any]] = []
        self._named: dict[str, Any] = {}
        self._rest: Any = None  # of *args
        self._others: Any = None  # of **kwargs
        for one in inspect.signature(function).parameters.values():
            hint = hints.get(one.name)
            if one.kind in _FIXED:
                self._positional.append((one.name, hint))
            if one.kind is inspect.Parameter.VAR_POSITIONAL:
                self._rest = hint
            elif one.kind is inspect.Parameter.VAR_KEYWORD:
                self._others = hint
            else:
                self._named[one.name] = hint

    def apply(self, args: list[Any], kwargs: dict[str, Any]) -> None:
        """Give plain data, in place, the types that the annotations name. Raises `TypeError`."""
        for n, value in enumerate(args):
            name, hint = self._positional[n] if n < len(self._positional) else (str(n), self._rest)
            args[n] = self._typed(value, name, hint)
        for name, value in kwargs.items():
            kwargs[name] = self._typed(value, name, self._named.get(name, self._others))

    def _typed(self, value: Any, name: str, hint: Any) -> Any:
        if hint is None or hint is Any:
            return value
        return as_type(value, hint, where=f"argument {name!r} of {self._name}")


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations as types; nothing when they name what is only there for type checkers."""
    try:
        return typing.get_type_hints(function)
    except Exception:  # they are expressions of the user's, and may raise anything
        return {}
