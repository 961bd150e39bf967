"""What the parts of `TitanClient` share: each method hands its call over to one `AsyncClient`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from titan.sdk.aio import AsyncClient
    from titan.sdk.handles import AsyncRunHandle
    from titan.sdk.handles_face import RunHandle
    from titan.sdk.nodes import Node

T = TypeVar("T")
Parameter = str | int | float | bool | None


class Face:
    """Mixed into `TitanClient`, which says how calls are handed over."""

    def _here(self) -> AsyncClient:
        raise NotImplementedError

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        raise NotImplementedError

    def _iterate(self, source: AsyncIterator[T]) -> Iterator[T]:
        raise NotImplementedError

    def _handle(self, work: Coroutine[Any, Any, AsyncRunHandle]) -> RunHandle:
        raise NotImplementedError

    def _run_handle(self, run_id: str, nodes: Iterable[Node[Any]]) -> RunHandle:
        raise NotImplementedError
