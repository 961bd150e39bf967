"""Every message between clients, workers and masters. See `titan/wire/connection.py` for how they travel.

A connection carries three kinds of exchange: a *call* (one request, one reply), a *channel* (a request,
pieces of bytes or messages either way, a last reply) and a *note* (one way). The class docstring of
each message says which it is, who sends it, and what answers it. Errors travel as `TitanError` codes.
"""

from __future__ import annotations

from typing import Any

import msgspec

from titan.wire.messages.base import (
    PROTOCOL,
    ROLE_CLIENT,
    ROLE_MASTER,
    ROLE_PEER,
    ROLE_WORKER,
    Hello,
    MasterInfo,
    Message,
    Ok,
    Welcome,
)
from titan.wire.messages.blobs import (
    BlobAt,
    BlobList,
    BlobMissing,
    BlobOffset,
    BlobStored,
    GetBlob,
    PutBlob,
)
from titan.wire.messages.client import (
    AskFleet,
    ExplainJob,
    FleetSeen,
    Follow,
    FollowUpdate,
    JobExplained,
    KeysMark,
    KeyUpdate,
    Read,
    ReadDone,
    RunUpdate,
    WatchKeys,
    WatchRun,
    Write,
    WriteDone,
)
from titan.wire.messages.cluster import (
    AddMaster,
    ClusterInfo,
    GetCluster,
    GetSnapshot,
    LeaderNamed,
    RemoveMaster,
    SnapshotTaken,
    TakeSnapshot,
    TransferLeadership,
)
from titan.wire.messages.logs import (
    LogEnd,
    ReadLog,
)
from titan.wire.messages.worker import (
    AttemptEnded,
    AttemptReleased,
    Confirmed,
    Goodbye,
    Heartbeat,
    KillAttempt,
    LeaveNow,
    Leaving,
    Register,
    Registered,
    Retract,
    RunAttempt,
    ServiceHealth,
)

__all__ = [
    "PROTOCOL",
    "ROLE_CLIENT",
    "ROLE_MASTER",
    "ROLE_PEER",
    "ROLE_WORKER",
    "AddMaster",
    "AnyMessage",
    "AskFleet",
    "AttemptEnded",
    "AttemptReleased",
    "BlobAt",
    "BlobList",
    "BlobMissing",
    "BlobOffset",
    "BlobStored",
    "ClusterInfo",
    "Confirmed",
    "ExplainJob",
    "FleetSeen",
    "Follow",
    "FollowUpdate",
    "GetBlob",
    "GetCluster",
    "GetSnapshot",
    "Goodbye",
    "Heartbeat",
    "Hello",
    "JobExplained",
    "KeyUpdate",
    "KeysMark",
    "KillAttempt",
    "LeaderNamed",
    "LeaveNow",
    "Leaving",
    "LogEnd",
    "MasterInfo",
    "Message",
    "Ok",
    "PutBlob",
    "Read",
    "ReadDone",
    "ReadLog",
    "Register",
    "Registered",
    "RemoveMaster",
    "Retract",
    "RunAttempt",
    "RunUpdate",
    "ServiceHealth",
    "SnapshotTaken",
    "TakeSnapshot",
    "TransferLeadership",
    "WatchKeys",
    "WatchRun",
    "Welcome",
    "Write",
    "WriteDone",
    "decode",
    "encode",
]

AnyMessage = (
    Hello
    | MasterInfo
    | Welcome
    | Ok
    | Write
    | WriteDone
    | Read
    | ReadDone
    | ExplainJob
    | JobExplained
    | AskFleet
    | FleetSeen
    | WatchRun
    | RunUpdate
    | WatchKeys
    | KeyUpdate
    | KeysMark
    | Follow
    | FollowUpdate
    | ReadLog
    | LogEnd
    | BlobMissing
    | BlobList
    | BlobOffset
    | BlobAt
    | BlobStored
    | PutBlob
    | GetBlob
    | GetCluster
    | ClusterInfo
    | AddMaster
    | RemoveMaster
    | TransferLeadership
    | LeaderNamed
    | TakeSnapshot
    | GetSnapshot
    | SnapshotTaken
    | Register
    | Registered
    | Heartbeat
    | AttemptEnded
    | AttemptReleased
    | ServiceHealth
    | Goodbye
    | Leaving
    | RunAttempt
    | KillAttempt
    | Retract
    | Confirmed
    | LeaveNow
)

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(AnyMessage)


def encode(message: Message) -> bytes:
    """The bytes of a message."""
    return _encoder.encode(message)


def decode(payload: bytes | memoryview) -> Message:
    """The message in `payload`; raises `msgspec.DecodeError` or `ValidationError` when it is none."""
    message: Message = _decoder.decode(payload)
    return message
