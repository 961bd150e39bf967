"""What code inside a task knows of itself, from the environment that the worker gives it, and does.

`TaskContext` is the face of `in_task.py` for code without asyncio. Light to import: what talks to the
network is loaded when it is first needed.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from titan.errors import UserError

if TYPE_CHECKING:
    from titan.sdk.client import TitanClient
    from titan.sdk.commit import Commit
    from titan.sdk.fencing import Fence
    from titan.sdk.handles_face import RunHandle
    from titan.sdk.in_task import AsyncTaskContext
    from titan.sdk.jobs import TitanJob
    from titan.sdk.signals import Signal


class Identity(NamedTuple):
    """The attempt that a process is."""

    run: str
    job: str
    attempt: int  # unique in the cluster
    number: int  # 1 for the job's first attempt
    fence: int  # the log index of its assignment: grows with every attempt of the job


def identity() -> Identity:
    """The attempt that this process is. Raises `UserError` when it is none."""
    if not attempt_id(os.environ):
        raise UserError(
            "this code does not run inside a Titan task",
            hint="titan.sdk.current() works in jobs that a worker started",
        )
    return Identity(
        run=os.environ.get("TITAN_RUN_ID", ""),
        job=os.environ.get("TITAN_JOB_ID", ""),
        attempt=attempt_id(os.environ),
        number=_number(os.environ, "TITAN_ATTEMPT_NUMBER"),
        fence=_number(os.environ, "TITAN_FENCE"),
    )


class TaskContext:
    """The task that this code runs in. Every effect of it is refused with `attempt_not_live` once its
    attempt has been superseded, also when its worker was only paused."""

    def __init__(self, me: Identity, client: TitanClient | None = None) -> None:
        self.run, self.job, self.attempt, self.number, self.fence = me
        self._me = me
        self._client = client
        self._face: AsyncTaskContext | None = None

    def __repr__(self) -> str:
        return f"<task {self.run}/{self.job}, attempt {self.attempt}>"

    @property
    def client(self) -> TitanClient:
        """A client whose writes carry the attempt."""
        if self._client is None:
            from titan.sdk.graphs import default_client

            self._client = default_client(os.getpid())  # tasks of one process share it
        return self._client

    def _task(self) -> AsyncTaskContext:
        from titan.sdk.in_task import AsyncTaskContext

        client = self.client._here()
        if self._face is None or self._face.client is not client:
            self._face = AsyncTaskContext(client, self._me)
        return self._face

    @property
    def item(self) -> Any:
        """The element that this instance of a foreach job is for. Raises `UserError` elsewhere."""
        text = os.environ.get("TITAN_ITEM")
        if text is None:
            raise UserError("this task is no instance of a foreach job")
        return json.loads(text)

    @property
    def item_index(self) -> int:
        """The place of the element in its list, from 0."""
        return _number(os.environ, "TITAN_ITEM_INDEX")

    @property
    def checkpoint_dir(self) -> Path:
        """The folder whose files the job's next attempt finds, as they were published last."""
        return Path(os.environ["TITAN_CHECKPOINT_DIR"])

    def checkpoint(self) -> None:
        """Publish the files in the checkpoint folder now, all of them or nothing.

        The worker does the same every few seconds, and when the task is told to end. Raises `Conflict`
        once the attempt is superseded.
        """
        self.client.publish_checkpoint(self.checkpoint_dir)

    def publish_artifact(self, key: str, file: str | os.PathLike[str]) -> str:
        """Store a file under a key for everybody; answers its digest. Refused once superseded."""
        return self.client.publish_artifact(key, file)

    def set_output(self, value: Any) -> None:
        """What the job puts out once this attempt ends well: anything JSON knows, at most 1 GiB. The
        last one counts, and goes before what the task writes into the file `TITAN_OUTPUT`."""
        self.client._call(self._task().set_output(value))

    def progress(self, fraction: float, note: str = "") -> None:
        """Show how far the task is, from 0 to 1. Call it as often as you like: at most one report a
        second is sent, the newest, and the calls between cost next to nothing."""
        self.client._call(self._task().progress(fraction, note))

    def spend(self, unit: str, amount: int) -> int | None:
        """Use some units of the budgets that this run is under; a negative amount gives them back.
        Answers what is left, None when nothing limits them. Raises `Conflict` with the reason
        `budget_exhausted`; then nothing was spent."""
        return self.client._call(self._task().spend(unit, amount))

    def submit(self, jobs: TitanJob | Iterable[TitanJob]) -> None:
        """Add jobs to the task's own run, all or none. They may depend on jobs of the run, on this one
        too; without parents they start at once."""
        self.client._call(self._task().submit(jobs))

    def submit_saved_dag(self, name: str, **how: Any) -> RunHandle:
        """Start a run of a saved pipeline; takes what `TitanClient.submit_saved_dag` takes. It is a run of
        its own, which outlives this task; a job of type `pipeline` runs one as a part of its run."""
        return self.client.submit_saved_dag(name, **how)

    @contextmanager
    def commit(self, *, if_lock: Fence | None = None) -> Iterator[Commit]:
        """Effects that happen together, when the block ends, or not at all. When the block raises,
        nothing is sent."""
        from titan.sdk.commit import Commit

        collected = Commit(self.run)
        yield collected
        self.client._call(self._task().send(collected, if_lock=if_lock))

    def wait_signal(self, name: str, timeout: float | None = None, *, ack: bool = True) -> Signal:
        """The oldest signal of this name to the job or its run that nobody has taken; waits for one.

        It is taken with that. With `ack=False` it stays until `ack(signal)`, or `c.ack(signal)` in a
        commit, and a job that runs again gets it again. Raises `TimedOut` after `timeout` seconds.
        """
        return self.client._call(self._task().wait_signal(name, timeout, ack=ack))

    def ack(self, signal: Signal) -> bool:
        """Take a signal; answers False when somebody else did before."""
        return self.client._call(self._task().ack(signal))


def current() -> TaskContext:
    """The task that this code runs in. Raises `UserError` outside of one."""
    return _context(identity(), os.getpid())


@functools.lru_cache(maxsize=1)
def _context(me: Identity, pid: int) -> TaskContext:  # noqa: ARG001 - a fork is another process
    return TaskContext(me)


def attempt_id(environment: Mapping[str, str]) -> int:
    """The attempt that writes from this process belong to; 0 outside a task."""
    return _number(environment, "TITAN_ATTEMPT")


def _number(environment: Mapping[str, str], name: str) -> int:
    text = environment.get(name, "")
    return int(text) if text.isdecimal() else 0
