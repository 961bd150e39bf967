"""`with pipeline("name") as p:` collects the calls of tasks into a graph, which `p.submit()` starts."""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from contextvars import Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from titan.errors import UserError
from titan.sdk.context import attempt_id
from titan.sdk.functions import Graph, Task, _graph
from titan.sdk.nodes import Node
from titan.sdk.projects import Home, home_of

if TYPE_CHECKING:
    from titan.ids import Digest
    from titan.sdk.client import TitanClient
    from titan.sdk.handles_face import RunHandle
    from titan.spec.model import BlobRef, JobSpec

R = TypeVar("R")


class Pipeline:
    """See the module. `project`: the folder that travels, if it is not the one of its functions."""

    def __init__(self, name: str, *, project: str | os.PathLike[str] | None = None) -> None:
        self.name = name
        self.nodes: dict[str, Node[Any]] = {}
        self._project = project
        self._specs: list[JobSpec] = []
        self._blobs: dict[Digest, bytes] = {}
        self._homes: dict[Home, None] = {}
        self._numbers: dict[str, int] = {}
        self._prefix = _prefix()
        self._tokens: list[Token[Graph | None]] = []

    def __repr__(self) -> str:
        return f"<pipeline {self.name!r} of {len(self.nodes)} nodes>"

    def __enter__(self) -> Pipeline:
        self._tokens.append(_graph.set(self))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        _graph.reset(self._tokens.pop())

    def __iter__(self) -> Iterator[Node[Any]]:
        return iter(self.nodes.values())

    def add(self, task: Task[..., R], args: Any, kwargs: Any) -> Node[R]:
        """Make a node of a call. Raises `TypeError` for arguments that do not fit or cannot travel."""
        from titan.ids import JobId
        from titan.spec.call_values import Ref
        from titan.spec.model import Call

        home = home_of(task.__wrapped__)
        inputs: dict[str, Node[Any]] = {}
        places: dict[str, int] = {}

        def where(node: Node[Any]) -> Ref:
            self._own(node)
            inputs[node.id] = node
            return Ref(places.setdefault(node.id, len(places)))

        given = task.encode(args, kwargs, where=where)
        after = [self._own(one) for one in task.task_options.get("after", ())]
        parents = dict.fromkeys((*inputs.values(), *after))
        job_id = self._free_id(task)
        call = Call(
            module=home.module,
            name=home.name,
            path=home.path,
            args=given.args,
            blobs=tuple(map(self._keep, given.blobs)),
            args_are_blob=given.args_are_blob,
            inputs=tuple(map(JobId, inputs)),
            serializer=task.task_options.get("serializer", ""),
            isolated=task.task_options.get("isolated", False),
            workspace=task.task_options.get("workspace", False),
        )
        self._specs.append(task.spec(job_id, call, [parent.id for parent in parents]))
        self._homes[home] = None
        node = Node(job_id, task, tuple(parents))
        self.nodes[job_id] = node
        return node

    def _keep(self, data: bytes) -> BlobRef:
        """A large argument, which is stored when the pipeline is submitted; equal ones are kept once."""
        from titan.ids import Digest
        from titan.spec.model import BlobRef

        digest = Digest(hashlib.sha256(data).hexdigest())
        self._blobs.setdefault(digest, data)
        return BlobRef(digest, len(data))

    def _own(self, node: Any) -> Node[Any]:
        if not isinstance(node, Node):
            raise TypeError(f"after: {node!r} is no node of this pipeline")
        if self.nodes.get(node.id) is not node:
            raise UserError(
                f"{node.id!r} is a node of another pipeline",
                hint="submit that one, and pass the result on",
            )
        return node

    def _free_id(self, task: Task[..., Any]) -> str:
        name = self._prefix + task.job_name
        number = self._numbers.get(name, 0)
        while True:
            number += 1
            job_id = name if number == 1 else f"{name}-{number}"
            if job_id not in self.nodes:
                self._numbers[name] = number
                return job_id

    def submit(
        self, client: TitanClient | None = None, *, labels: Mapping[str, str] | None = None
    ) -> RunHandle:
        """Start a run of it; inside of a task, add its jobs to the task's own run, which takes no labels.

        Repeated inside through failovers, it takes effect once.
        """
        chosen = client if client is not None else default_client(os.getpid())
        return chosen.submit_pipeline(self, labels=labels)

    # --- for the client -------------------------------------------------------------------------

    def specs(self) -> tuple[JobSpec, ...]:
        """Its jobs."""
        return tuple(self._specs)

    def blobs(self) -> Mapping[Digest, bytes]:
        """Arguments that travel by themselves."""
        return self._blobs

    def roots(self) -> Iterable[Home]:
        """Where its functions live."""
        return self._homes

    @property
    def project(self) -> str | os.PathLike[str] | None:
        """The folder that travels, if it was named."""
        return self._project


def pipeline(name: str, *, project: str | os.PathLike[str] | None = None) -> Pipeline:
    """A pipeline whose graph is what the tasks called in its `with` block make.

    `project`: the folder that travels, if it is not the one in which the functions are found.
    """
    return Pipeline(name, project=project)


def call_graph(
    task: Task[..., R], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[Pipeline, Node[R]]:
    """A pipeline of one call."""
    graph = Pipeline(task.job_name)
    return graph, graph.add(task, args, kwargs)


@functools.lru_cache(maxsize=1)
def default_client(pid: int) -> TitanClient:  # noqa: ARG001 - a fork needs its own
    """The client of this process, for whoever names none."""
    from titan.sdk.client import TitanClient

    return TitanClient()


def _prefix() -> str:
    """What the names of children begin with, so that they are free in the run and the same once more.

    A second attempt of the task names its children differently: the first may have left some.
    """
    attempt = attempt_id(os.environ)
    if not attempt:
        return ""
    job, number = os.environ.get("TITAN_JOB_ID", ""), os.environ.get("TITAN_ATTEMPT_NUMBER", "1")
    return f"{job}.{number}.{next(_graphs_of(attempt))}."


@functools.lru_cache(maxsize=1)
def _graphs_of(attempt: int) -> Iterator[int]:  # noqa: ARG001 - each attempt counts its own
    return itertools.count(1)
