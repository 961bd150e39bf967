"""From a call's reference to the function, from its bytes to arguments, from its result to bytes.

Part of a function's process. Knows the user's code only by what Python itself knows of it.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import typing
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from titan.exec.functions.protocol import CallOrder
from titan.limits import OUTPUT_BLOB_BYTES_MAX
from titan.spec.call_types import IMPORTING, Parameters
from titan.spec.call_values import (
    PICKLED,
    CannotTravel,
    decode_call,
    decode_result,
    encode_result,
)


class CallFailed(Exception):
    """The call cannot be made, or its result cannot be kept; the text is for the user."""


class Target:
    """A function and what its annotations say."""

    __slots__ = ("function", "parameters")

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self.function = function
        self.parameters = Parameters(function, name)


class Functions:
    """Every function that a process has been asked for. `folder` is the bundle's."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._known: dict[tuple[str, str, str], Target] = {}

    def call(self, order: CallOrder) -> bytes:
        """Call it; its result as bytes. Raises whatever the user's code raises, and `CallFailed`."""
        key = (order.path, order.module, order.name)
        target = self._known.get(key)
        if target is None:
            target = self._known[key] = Target(self._find(order), order.name)
        if not order.args and not order.args_are_blob:
            result = target.function()
        else:
            args, kwargs = _arguments(order, target)
            result = target.function(*args, **kwargs)
        return _encoded(result, order)

    def _find(self, order: CallOrder) -> Callable[..., Any]:
        os.environ[IMPORTING] = order.module
        try:
            found: Any = self._module(order)
        finally:
            del os.environ[IMPORTING]
        for part in order.name.split("."):
            found = getattr(found, part, None)
        function = getattr(found, "__wrapped__", found)  # the task stands for its function
        if not callable(function):
            raise CallFailed(f"there is no function {order.name!r} in module {order.module!r}")
        return typing.cast("Callable[..., Any]", function)

    def _module(self, order: CallOrder) -> ModuleType:
        if not order.path:
            return importlib.import_module(order.module)
        known = sys.modules.get(order.module)
        path = os.path.join(self._folder, order.path)  # noqa: PTH118 - speed
        if known is not None and known.__file__ == path:
            return known
        spec = importlib.util.spec_from_file_location(order.module, path)
        if spec is None or spec.loader is None:
            raise CallFailed(f"{order.path!r} is not a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[order.module] = module
        if order.serializer == "pickle":
            sys.modules["__main__"] = module  # where pickles look for the classes of a script
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[order.module]
            raise
        return module


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _arguments(order: CallOrder, target: Target) -> tuple[Sequence[Any], dict[str, Any]]:
    given, blobs, data = order.inputs, [_read(path) for path in order.blobs], order.args
    if order.large_inputs:
        large = order.large_inputs
        given = tuple([_read(large[n]) if n in large else one for n, one in enumerate(given)])
    if order.args_are_blob:
        data = blobs.pop()
    if order.serializer == "pickle":
        from titan.spec import call_pickles

        inputs = [
            call_pickles.load_result(one) if one.startswith(PICKLED) else decode_result(one)
            for one in given
        ]
        args, kwargs = call_pickles.loads(data, inputs, blobs)
        return args, kwargs
    for one in given:
        if one.startswith(PICKLED):
            raise CallFailed(
                f"an argument of {order.name} is the pickled result of another task; "
                "give this task serializer='pickle' too"
            )
    plain, named = decode_call(data, [decode_result(one) for one in given], blobs)
    target.parameters.apply(plain, named)
    return plain, named


def _encoded(result: Any, order: CallOrder) -> bytes:
    if result is None:
        return b""
    if order.serializer == "pickle":
        from titan.spec import call_pickles

        data = call_pickles.dump_result(result)
    else:
        try:
            data = encode_result(result)
        except CannotTravel as error:
            raise CallFailed(
                f"the result of {order.name} cannot be kept: {error}; "
                "return plain data, or give the task serializer='pickle'"
            ) from None
    if len(data) > OUTPUT_BLOB_BYTES_MAX:
        raise CallFailed(
            f"the result of {order.name} takes {len(data)} bytes; at most {OUTPUT_BLOB_BYTES_MAX}: "
            "publish larger data as an artifact, and return its key"
        )
    return data
