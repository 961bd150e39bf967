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


class ExpireWorker(Command, frozen=True, kw_only=True, tag="worker.expire"):
    """The worker has been silent too long (or said goodbye); its attempts are closed as lost."""

    worker: WorkerId
    incarnation: int
    cause: str = "silent"  # silent | left


class SetWorkerMode(ClientCommand, frozen=True, kw_only=True, tag="worker.mode"):
    """`open` takes work; `cordoned` takes no new work; `draining` takes none and is to leave."""

    worker: WorkerId
    mode: str


class DescribeWorker(Command, frozen=True, kw_only=True, tag="worker.describe"):
    """Where others reach the services of a worker, and which ports Titan may pick for them.

    Workers of one `machine` share its ports. Follows `JoinWorker` once every master can read it.
    """

    since: ClassVar[int] = 2

    worker: WorkerId
    host: str
    machine: str
    ports: tuple[int, int]  # first and last
