"""The base of every message, and how a connection begins."""

from __future__ import annotations

from typing import Final

import msgspec

PROTOCOL: Final = 1

ROLE_CLIENT: Final = "client"
ROLE_WORKER: Final = "worker"
ROLE_PEER: Final = "peer"  # Raft messages of another master
ROLE_MASTER: Final = "master"  # requests forwarded by another master


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="."):
    """Base of everything that travels."""


class Hello(Message, frozen=True, kw_only=True, tag="hello"):
    """The first frame, from the side that dialled: who it is. Answered by `Welcome` or an error."""

    role: str
    id: str = ""  # client, worker or member id
    protocol: int = PROTOCOL
    cluster_id: str = ""  # "" when it is not known yet; a wrong one is refused
    incarnation: int = 0
    address: str = ""  # where the dialler listens, when it does


class MasterInfo(Message, frozen=True, kw_only=True, tag="master"):
    """A master as others see it. `role`: leader, follower, candidate or down."""

    id: str
    address: str  # host:port for masters, workers and clients
    http: str = ""  # host:port
    role: str = "down"
    term: int = 0
    applied_index: int = 0
    is_learner: bool = False  # receives the log and does not count yet
    version: int = 1  # of the commands that it can read; see titan.fsm.commands.VERSION


class Welcome(Message, frozen=True, kw_only=True, tag="welcome"):
    """The answer to `Hello`. `leader` is an address, "" when there is none known."""

    cluster_id: str
    id: str  # of the master that answers
    leader: str = ""
    masters: tuple[MasterInfo, ...] = ()


class Ok(Message, frozen=True, kw_only=True, tag="ok"):
    """The reply when there is nothing to say."""
