"""The client library: submit work to a cluster, follow it, and share data with it.

    from titan.sdk import TitanClient, TitanJob

    client = TitanClient()
    run = client.submit_dag("nightly", [TitanJob("a", "a.py"), TitanJob("b", "b.py", parents=["a"])])
    print(run, run.wait())

Importing it is light on purpose: what talks to the network is loaded by the first client. `aio.py` is
the one implementation, in parts of one file per noun; `client.py` is its face for code without asyncio,
with a `*_face.py` beside each part; `transport.py` is the only place that knows of connections, leaders
and retries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from titan.sdk.anything import ANY
from titan.sdk.calls_face import CallHandle
from titan.sdk.client import TitanClient
from titan.sdk.context import TaskContext, current
from titan.sdk.edits import RunEdits
from titan.sdk.functions import Task, task
from titan.sdk.graphs import Pipeline, pipeline
from titan.sdk.handles_face import RunHandle
from titan.sdk.jobs import TitanJob
from titan.sdk.nodes import Node

if TYPE_CHECKING:
    from titan.sdk.aio import AsyncClient
    from titan.sdk.handles import AsyncRunHandle
    from titan.sdk.in_task import AsyncTaskContext

__all__ = [
    "ANY",
    "AsyncClient",
    "AsyncRunHandle",
    "AsyncTaskContext",
    "CallHandle",
    "Node",
    "Pipeline",
    "RunEdits",
    "RunHandle",
    "Task",
    "TaskContext",
    "TitanClient",
    "TitanJob",
    "current",
    "pipeline",
    "task",
]


def __getattr__(name: str) -> object:
    """Load the asyncio side on first use."""
    if name == "AsyncClient":
        from titan.sdk.aio import AsyncClient

        return AsyncClient
    if name == "AsyncRunHandle":
        from titan.sdk.handles import AsyncRunHandle

        return AsyncRunHandle
    if name == "AsyncTaskContext":
        from titan.sdk.in_task import AsyncTaskContext

        return AsyncTaskContext
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
