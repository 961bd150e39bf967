"""Orders about pools and launches. Handlers: `pools.py`."""

from __future__ import annotations

from typing import ClassVar

from titan.fsm.commands.base import ClientCommand, Command
from titan.ids import WorkerId


class SetPool(ClientCommand, frozen=True, kw_only=True, tag="pool.set"):
    """Make a pool or change one; everything is given anew. Answers "made" or "changed".

    An empty `secret` keeps the one that a webhook has.
    """

    since: ClassVar[int] = 2
    name: str
    provider: str = "local"
    capabilities: tuple[str, ...] = ()
    slots: int = 1
    resources: dict[str, int] = {}
    workers_min: int = 0
    workers_max: int = 1
    idle_ms: int = 300_000
    cooldown_ms: int = 5_000
    register_ms: int = 60_000
    url: str = ""
    secret: str = ""
    permanent: bool = False

    def __repr__(self) -> str:
        return f"SetPool({self.name!r}, {self.provider}, {self.workers_min}–{self.workers_max})"


class RemovePool(ClientCommand, frozen=True, kw_only=True, tag="pool.remove"):
    """Start nothing for it any more; its ephemeral workers finish what they run and leave."""

    since: ClassVar[int] = 2
    name: str


class RecordLaunch(ClientCommand, frozen=True, kw_only=True, tag="launch.record"):
    """Workers are to be started for a pool: recorded before any provider is called.

    Refused as a whole when the pool would have more than its maximum. The ids are drawn by whoever asks;
    one that is known already is not counted again. Answers how many are new.
    """

    since: ClassVar[int] = 2
    pool: str
    launches: tuple[str, ...]
    master: str = ""  # the leader that asks; "" for a client


class SettleLaunch(Command, frozen=True, kw_only=True, tag="launch.settle"):
    """What a provider made of a call: `started`, `failed` (it will not come), or `ended` (it is gone)."""

    since: ClassVar[int] = 2
    launch: str
    outcome: str
    why: str = ""
    master: str = ""  # who started a local one


class RetireWorker(Command, frozen=True, kw_only=True, tag="worker.retire"):
    """An ephemeral worker has nothing to do and shall leave. Refused once it has work, or is permanent."""

    since: ClassVar[int] = 2
    worker: WorkerId
    incarnation: int
