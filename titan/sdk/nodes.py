"""Nodes: results that are not there yet, in the graph of a pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from titan.errors import UserError

if TYPE_CHECKING:
    from titan.sdk.functions import Task

R_co = TypeVar("R_co", covariant=True)


class NotThereYet(UserError, TypeError):
    """A node was used as if it were its value. Pass it to a task, which gets the value."""

    code = "not_there_yet"


class Node(Generic[R_co]):
    """One call in the graph of a pipeline: a job, and the promise of its result.

    Passing it as an argument, also inside of a list or a dictionary, makes an edge.
    """

    __slots__ = ("id", "parents", "task")

    def __init__(self, job_id: str, task: Task[Any, R_co], parents: tuple[Node[Any], ...]) -> None:
        self.id = job_id
        self.task = task
        self.parents = parents  # in the order in which the call refers to them, then `after`

    def __repr__(self) -> str:
        return f"<node {self.id}>"

    def _refuse(self, *_: object) -> NoReturn:
        raise NotThereYet(
            f"{self.id!r} has not run yet, so its result cannot be used here",
            hint="pass it to a task; code that decides on a result belongs into a task",
        )

    # What a value might be asked for by mistake. Equality and hash stay those of an object.
    __bool__ = __iter__ = __len__ = __getitem__ = __contains__ = _refuse
    __int__ = __float__ = __index__ = __call__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _refuse
    __truediv__ = __rtruediv__ = __floordiv__ = __mod__ = __neg__ = __abs__ = _refuse
    __lt__ = __le__ = __gt__ = __ge__ = __and__ = __or__ = __xor__ = _refuse
