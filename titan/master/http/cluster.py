"""The masters themselves over HTTP: who they are, who leads, who belongs."""

from __future__ import annotations

from typing import Final

import msgspec

from titan.errors import TitanError
from titan.master.http.api import Api
from titan.master.http.runs import ReadQuery
from titan.master.http.table import Call, Endpoint
from titan.wire.messages import (
    AddMaster,
    ClusterInfo,
    LeaderNamed,
    Message,
    Ok,
    RemoveMaster,
    SnapshotTaken,
    TakeSnapshot,
    TransferLeadership,
)


class Address(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A master's host:port, as workers and clients dial it."""

    address: str


class To(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The next leader; whoever has caught up most when it is empty."""

    address: str = ""


class Named(msgspec.Struct, frozen=True):
    """Who leads now."""

    leader: str


class Snapshot(msgspec.Struct, frozen=True):
    """A snapshot that is durable at the leader."""

    name: str
    size: int


class Masters(msgspec.Struct, frozen=True):
    """The cluster as this master sees it."""

    cluster_id: str
    leader: str
    masters: list[MasterView]


class MasterView(msgspec.Struct, frozen=True):
    """A master. `role`: leader, follower, candidate or down. `lag`: entries behind the leader."""

    id: str
    address: str
    http: str
    role: str
    term: int
    applied_index: int
    lag: int
    is_learner: bool


async def get_cluster(api: Api, call: Call) -> Masters:
    """All masters."""
    return masters_of(await api.cluster())


def masters_of(info: ClusterInfo) -> Masters:
    """The same, in the shape that people get."""
    newest = max((one.applied_index for one in info.masters), default=0)
    return Masters(
        info.cluster_id,
        info.leader,
        [
            MasterView(
                id=one.id,
                address=one.address,
                http=one.http,
                role=one.role,
                term=one.term,
                applied_index=one.applied_index,
                lag=max(0, newest - one.applied_index) if one.role != "down" else 0,
                is_learner=one.is_learner,
            )
            for one in info.masters
        ],
    )


async def add_master(api: Api, call: Call) -> Masters:
    """Let in a master that was started with --join."""
    await _govern(api, AddMaster(address=call.body.address, who=api.who), Ok)
    return await get_cluster(api, call)


async def remove_master(api: Api, call: Call) -> Masters:
    """Remove a master for good."""
    await _govern(api, RemoveMaster(address=call.path["address"], who=api.who), Ok)
    return await get_cluster(api, call)


async def transfer(api: Api, call: Call) -> Named:
    """Hand the leadership over."""
    order = TransferLeadership(address=call.body.address, who=api.who)
    done = await _govern(api, order, LeaderNamed)
    assert isinstance(done, LeaderNamed)
    return Named(done.address)


async def snapshot(api: Api, call: Call) -> Snapshot:
    """Write a snapshot now."""
    done = await _govern(api, TakeSnapshot(), SnapshotTaken)
    assert isinstance(done, SnapshotTaken)
    return Snapshot(done.name, done.size)


async def _govern(api: Api, message: Message, kind: type[Message]) -> Message:
    done = await api.gateway.govern(message, forwarded=False)
    if not isinstance(done, kind):
        raise TitanError(f"the leader answered {type(done).__name__}")
    return done


ENDPOINTS: Final = (
    Endpoint("GET", "/api/v1/cluster", get_cluster, "The masters", Masters, ReadQuery),
    Endpoint("POST", "/api/v1/cluster/masters", add_master, "Add a master", Masters, body=Address),
    Endpoint(
        "DELETE", "/api/v1/cluster/masters/{address}", remove_master, "Remove a master", Masters
    ),
    Endpoint("POST", "/api/v1/cluster/transfer", transfer, "Move the leadership", Named, body=To),
    Endpoint("POST", "/api/v1/cluster/snapshot", snapshot, "Take a snapshot", Snapshot),
)
