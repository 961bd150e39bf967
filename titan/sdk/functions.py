"""`@task`: a Python function that may run as a job.

Outside of a pipeline a call is a call. Inside `with pipeline(...)` it becomes a node of the graph, whose
static type is that of its value: so type checkers check every edge, as if the functions called one another.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Generic,
    ParamSpec,
    Protocol,
    TypedDict,
    TypeVar,
    cast,
    overload,
)

from titan.errors import UserError
from titan.limits import CALL_BLOB_BYTES_MAX, CALL_BLOBS_BYTES_MAX
from titan.sdk.nodes import Node

if TYPE_CHECKING:
    from typing import Unpack

    from titan.spec.call_arguments import Arguments
    from titan.spec.call_types import Parameters
    from titan.spec.model import Call, JobSpec

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F")


class TaskOptions(TypedDict, total=False):
    """What a task may say of its jobs; the same as in a `TitanJob`, and a few of its own.

    `after`: nodes that must end before, without giving a result. `serializer="pickle"`: arguments and
    results of any kind, decoded only by the task's own processes and by whoever asks for its result.
    `isolated`: a process for each call. `workspace`: an empty folder of its own for each call.
    """

    job_id: str
    after: Sequence[Any]
    serializer: str
    isolated: bool
    workspace: bool
    retries: int
    retry_backoff_ms: int
    retry_backoff_cap_ms: int
    no_retry_exit_codes: Sequence[int]
    requirement: str | Sequence[str]
    resources: Mapping[str, float]
    limits: Mapping[str, int]
    priority: int
    delay: int
    affinity: bool
    trigger: str
    timeout: float
    queue_timeout: float
    env: Mapping[str, object]
    python: str
    requirements: str | Sequence[str]


_OWN: Final = ("job_id", "after", "serializer", "isolated", "workspace")


class Graph(Protocol):
    """Where calls become nodes: the pipeline of a `with` block."""

    def add(self, task: Task[..., F], args: Any, kwargs: Any) -> Node[F]:
        """Make a node of a call."""


_graph: contextvars.ContextVar[Graph | None] = contextvars.ContextVar("titan_graph", default=None)


class Task(Generic[P, R]):
    """A function with what its jobs are to be like. It is called like the function, and typed like it."""

    __wrapped__: Callable[P, R]
    __qualname__: str

    def __init__(self, function: Callable[P, R], options: TaskOptions) -> None:
        if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
            raise UserError(
                f"{function.__qualname__}: a task is a plain function",
                hint="call asyncio.run in it, or return a list",
            )
        functools.update_wrapper(self, function)
        self.task_options = options
        self._template = _template(function.__qualname__, options)
        self._signature = inspect.signature(function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function here; inside of a pipeline's block, add the call to its graph instead."""
        graph = _graph.get()
        if graph is None:
            return self.__wrapped__(*args, **kwargs)
        return cast("R", graph.add(self, args, kwargs))

    def __repr__(self) -> str:
        return f"<task {self.__qualname__}>"

    def node(self, *args: Any, **kwargs: Any) -> Node[R]:
        """The same as a call in a pipeline's block, for code that wants to see the node as what it is.

        Its arguments are not checked statically. Raises `UserError` outside of a block.
        """
        graph = _graph.get()
        if graph is None:
            raise UserError("there is no pipeline here", hint='use it in `with pipeline("name"):`')
        return graph.add(self, args, kwargs)

    def options(self, **changes: Unpack[TaskOptions]) -> Task[P, R]:
        """The same function with other options for its jobs."""
        return Task(self.__wrapped__, cast("TaskOptions", {**self.task_options, **changes}))

    # --- for the graph --------------------------------------------------------------------------

    @property
    def job_name(self) -> str:
        """What its jobs are named after."""
        return self.task_options.get("job_id", "") or _job_name(self.__qualname__)

    def spec(self, job_id: str, call: Call, parents: Iterable[str]) -> JobSpec:
        """The declaration of one job. What all its jobs share was checked once."""
        import msgspec

        from titan.ids import JobId

        return msgspec.structs.replace(
            self._template,
            id=JobId(job_id),
            depends_on=tuple(map(JobId, parents)),
            argv=(),
            call=call,
        )

    def encode(self, args: Sequence[Any], kwargs: Mapping[str, Any], *, where: Any) -> Arguments:
        """The arguments as they travel. `where` answers the reference that stands for a node.

        Raises `TypeError` for arguments that do not fit or cannot travel, naming the argument, and
        `LimitExceeded`.
        """
        from titan.spec.call_arguments import Arguments, from_objects

        bound = self._signature.bind(*args, **kwargs)
        if not bound.args and not bound.kwargs:
            return Arguments()
        if self.task_options.get("serializer") == "pickle":
            what = f"the arguments of {self.__qualname__}"
            found = from_objects(list(_marked(args, where)), _marked(kwargs, where), what)
            _check_size(max(map(len, found.blobs), default=0), f"one of {what}")
        else:
            found = self._encode_values(bound, where)
        total = sum(map(len, found.blobs))
        _check_size(total, f"the arguments of {self.__qualname__}", CALL_BLOBS_BYTES_MAX)
        return found

    def _encode_values(self, bound: inspect.BoundArguments, where: Any) -> Arguments:
        from titan.spec.call_arguments import from_values
        from titan.spec.call_values import decode_call, encode_argument, encode_call

        names = _names(bound)
        references: list[Node[Any]] = []

        def noted(node: Node[Any]) -> Any:
            references.append(node)
            return where(node)

        def encoded(name: str, value: Any) -> Any:
            text = f"argument {name!r} of {self.__qualname__}"
            data = encode_argument(_marked(value, noted), text)
            _check_size(len(data), text)
            return data

        positional = [encoded(*one) for one in zip(names, bound.args, strict=False)]
        named = {name: encoded(name, value) for name, value in bound.kwargs.items()}
        if not references:  # what is known now need not fail there
            self._parameters.apply(*decode_call(encode_call(positional, named), ()))
        return from_values(positional, named)

    @functools.cached_property
    def _parameters(self) -> Parameters:
        from titan.spec.call_types import Parameters

        return Parameters(self.__wrapped__, self.__qualname__)

    def typed_result(self, data: bytes) -> R:
        """What a job of this task has put out. Raises `TypeError` when it is not what is annotated."""
        from titan.spec.call_types import hints_of
        from titan.spec.call_values import PICKLED, as_type, decode_result

        if self.task_options.get("serializer") == "pickle" and data.startswith(PICKLED):
            from titan.spec.call_pickles import load_result

            return cast("R", load_result(data))
        hint = hints_of(self.__wrapped__).get("return", Any)
        value = decode_result(data)
        if hint is Any:
            return cast("R", value)
        return cast("R", as_type(value, hint, where=f"the result of {self.__qualname__}"))


@overload
def task(function: Callable[P, R], /) -> Task[P, R]: ...


@overload
def task(
    **options: Unpack[TaskOptions],
) -> Callable[[Callable[P, R]], Task[P, R]]: ...


def task(function: Any = None, /, **options: Any) -> Any:
    """Make a function a task: `@task`, or `@task(retries=2, requirement="GPU")`.

    Raises `InvalidSpec` for options that cannot be and `TypeError` for unknown ones.
    """
    given = cast("TaskOptions", options)
    if function is not None:
        return Task(function, given)
    return lambda wrapped: Task(wrapped, given)


def _template(name: str, options: TaskOptions) -> JobSpec:
    """A job with these options; what it runs is put in later."""
    from titan.sdk.jobs import TitanJob

    fields: dict[str, Any] = {key: value for key, value in options.items() if key not in _OWN}
    unknown = sorted(fields.keys() - TaskOptions.__annotations__.keys())
    if unknown:
        raise TypeError(f"{name}: a task has no option {unknown[0]!r}")
    serializer = options.get("serializer", "")
    if serializer not in ("", "pickle"):
        raise UserError(f"{name}: there is no serializer {serializer!r}", hint='only "pickle"')
    return TitanJob(_job_name(name), command=["true"], **fields).to_spec()


def _check_size(size: int, what: str, bytes_max: int = CALL_BLOB_BYTES_MAX) -> None:
    if size > bytes_max:
        from titan.errors import LimitExceeded

        raise LimitExceeded(
            f"{what}: {size} bytes; at most {bytes_max}",
            hint="larger data belongs into files: publish them as artifacts and pass their keys",
        )


def _job_name(qualname: str) -> str:
    text = qualname.rpartition("<locals>.")[2]
    return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in text)[:100]


def _names(bound: inspect.BoundArguments) -> list[str]:
    """The names of the positional arguments, those of `*args` numbered."""
    names: list[str] = []
    for name, one in bound.signature.parameters.items():
        if one.kind is inspect.Parameter.VAR_POSITIONAL:
            names += [f"{name}[{n}]" for n in range(len(bound.arguments.get(name, ())))]
        elif name in bound.arguments:
            names.append(name)
    return names


def _marked(value: Any, where: Any) -> Any:
    """The value with a reference in the place of every node, in lists, tuples and dictionaries."""
    kind = type(value)
    if kind is Node:
        return where(value)
    if kind is list:
        return [_marked(one, where) for one in value]
    if kind is tuple:
        return tuple(_marked(one, where) for one in value)
    if kind is dict:
        return {key: _marked(one, where) for key, one in value.items()}
    return value
