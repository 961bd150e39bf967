"""Orders about workers. Handlers: `workers.py`."""

from __future__ import annotations

from typing import ClassVar

from titan.fsm.commands.base import ClientCommand, Command
from titan.ids import AttemptId, WorkerId


class JoinWorker(Command, frozen=True, kw_only=True, tag="worker.join"):
    """A worker connected. Its live attempts that it no longer `holds` are closed as lost if this is
    a new life of the worker (another `incarnation`), since their processes died with the old one."""

    worker: WorkerId
    incarnation: int
    name: str = ""
    capabilities: tuple[str, ...] = ()
    slots: int = 1
    resources: dict[str, int] = {}
    holds: tuple[AttemptId, ...] = ()
    version: str = ""
    ephemeral: bool = False  # leaves when it has been idle for long
    idle_ms: int = 0  # for how long; 0: its pool says, or the default
    launch: str = ""  # the launch that it comes of; refused when that is not awaited

    def needs_version(self) -> int:
        """2 for what version 1 would not remember."""
        return 2 if self.ephemeral or self.launch else self.since


class ExpireWorker(Command, frozen=True, kw_only=True, tag="worker.expire"):
    """The worker has been silent too long (or said goodbye); its attempts are closed as lost."""

    worker: WorkerId
    incarnation: int
    cause: str = "silent"  # silent | left


class SetWorkerMode(ClientCommand, frozen=True, kw_only=True, tag="worker.mode"):
    """`open` takes work; `cordoned` takes no new work; `draining` takes none and is to leave."""

    worker: WorkerId
    mode: str
    timeout_ms: int | None = None  # of `draining`: then what still runs is killed; None: no limit

    def needs_version(self) -> int:
        """2 for a drain with a limit."""
        return self.since if self.timeout_ms is None else 2


class DescribeWorker(Command, frozen=True, kw_only=True, tag="worker.describe"):
    """Where others reach the services of a worker, and which ports Titan may pick for them.

    Workers of one `machine` share its ports. Follows `JoinWorker` once every master can read it.
    """

    since: ClassVar[int] = 2

    worker: WorkerId
    host: str
    machine: str
    ports: tuple[int, int]  # first and last
