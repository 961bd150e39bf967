"""Orders about the cluster itself, and time. Handlers: `cluster.py`, `clock.py`."""

from __future__ import annotations

from typing import ClassVar

from titan.fsm.commands.base import ClientCommand, Command


class OpenEpoch(Command, frozen=True, kw_only=True, tag="epoch.open"):
    """A new leader begins its reign. Entries stamped with an older epoch are refused from here on."""

    epoch: int  # the Raft term of the leader
    leader: str  # its address, for people
    cluster_id: str = ""  # the first epoch of all names the cluster; later ones cannot rename it


class RaiseVersion(Command, frozen=True, kw_only=True, tag="cluster.version"):
    """Every master can read the commands of this version: from here on they may be proposed."""

    version: int


class NoteOrder(Command, frozen=True, kw_only=True, tag="order.note"):
    """The leader has carried out an order that is no command, about the masters: kept for the audit."""

    since: ClassVar[int] = 2

    action: str
    master: str  # its address
    detail: str = ""


class SetRetention(ClientCommand, frozen=True, kw_only=True, tag="retention.set"):
    """Change how long what has ended is kept; None leaves it. Handler: `retention.py`."""

    since: ClassVar[int] = 2

    runs_max: int | None = None
    jobs_max: int | None = None
    keep_ms: int | None = None
    lease_ms: int | None = None


class AdvanceTime(Command, frozen=True, kw_only=True, tag="time.advance"):
    """Fire every timer that is due at the entry's `now_ms`."""
