"""Orders to the state machine, one file per noun, and the envelope they travel in.

A tag is on disk for ever: it is never renamed and never reused. Adding a field with a default is
safe; everything else needs a new command with a new `since`. A `ClientCommand` may be given by anyone
with the client role; the rest is proposed by the leader alone.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from titan.fsm.commands.artifacts import (
    DeleteArtifact,
    PublishArtifact,
)
from titan.fsm.commands.attempts import (
    AssignAttempt,
    FinishAttempt,
    ReleaseAttempt,
)
from titan.fsm.commands.base import ClientCommand, Command
from titan.fsm.commands.blobs import (
    PublishBlob,
    RenewBlobs,
)
from titan.fsm.commands.budgets import (
    SetBudget,
    Spend,
)
from titan.fsm.commands.checkpoints import (
    PublishCheckpoint,
)
from titan.fsm.commands.cluster import (
    AdvanceTime,
    NoteOrder,
    OpenEpoch,
    RaiseVersion,
    SetRetention,
)
from titan.fsm.commands.effects import (
    CommitEffects,
    Effect,
    ReportProgress,
    SetOutput,
)
from titan.fsm.commands.gates import (
    DecideGate,
)
from titan.fsm.commands.kv import (
    KvCas,
    KvDelete,
    KvIncr,
    KvPut,
    KvSetAdd,
    KvSetRemove,
    KvWrite,
)
from titan.fsm.commands.locks import (
    AcquireLock,
    ReleaseLock,
    RenewLock,
)
from titan.fsm.commands.logs import (
    KeepLogs,
    PackLogs,
)
from titan.fsm.commands.mutation import (
    MutateRun,
)
from titan.fsm.commands.pipelines import (
    DeletePipeline,
    SavePipeline,
    SubmitSaved,
)
from titan.fsm.commands.pools import (
    RecordLaunch,
    RemovePool,
    RetireWorker,
    SetPool,
    SettleLaunch,
)
from titan.fsm.commands.runs import (
    AddJobs,
    CancelJob,
    CancelRun,
    RetryJob,
    StageJobs,
    SubmitRun,
)
from titan.fsm.commands.schedules import (
    BackfillSchedule,
    DeleteSchedule,
    FireSchedule,
    PauseSchedule,
    SetSchedule,
    TriggerSchedule,
)
from titan.fsm.commands.services import (
    DeployServices,
    SetServiceHealth,
    StopService,
)
from titan.fsm.commands.signals import (
    AckSignal,
    SendSignal,
)
from titan.fsm.commands.workers import (
    DescribeWorker,
    ExpireWorker,
    JoinWorker,
    SetWorkerMode,
)
from titan.ids import AttemptId

__all__ = [
    "ENTRY_FORMAT",
    "VERSION",
    "AckSignal",
    "AcquireLock",
    "AddJobs",
    "AdvanceTime",
    "AnyClientCommand",
    "AnyCommand",
    "AssignAttempt",
    "BackfillSchedule",
    "CancelJob",
    "CancelRun",
    "ClientCommand",
    "Command",
    "CommitEffects",
    "DecideGate",
    "DeleteArtifact",
    "DeletePipeline",
    "DeleteSchedule",
    "DeployServices",
    "DescribeWorker",
    "Effect",
    "Entry",
    "ExpireWorker",
    "FinishAttempt",
    "FireSchedule",
    "JoinWorker",
    "KeepLogs",
    "KvCas",
    "KvDelete",
    "KvIncr",
    "KvPut",
    "KvSetAdd",
    "KvSetRemove",
    "KvWrite",
    "MutateRun",
    "NoteOrder",
    "OpenEpoch",
    "PackLogs",
    "PauseSchedule",
    "Proposal",
    "PublishArtifact",
    "PublishBlob",
    "PublishCheckpoint",
    "RaiseVersion",
    "RecordLaunch",
    "ReleaseAttempt",
    "ReleaseLock",
    "RemovePool",
    "RenewBlobs",
    "RenewLock",
    "ReportProgress",
    "RetireWorker",
    "RetryJob",
    "SavePipeline",
    "SendSignal",
    "SetBudget",
    "SetOutput",
    "SetPool",
    "SetRetention",
    "SetSchedule",
    "SetServiceHealth",
    "SetWorkerMode",
    "SettleLaunch",
    "Spend",
    "StageJobs",
    "StopService",
    "SubmitRun",
    "SubmitSaved",
    "TriggerSchedule",
    "decode_client_command",
    "decode_entry",
    "encode_command",
    "encode_entry",
]

ENTRY_FORMAT: Final = 1
VERSION: Final = 2  # of these commands: raised with new ones, which say so by `since`

AnyClientCommand = (
    StageJobs
    | SubmitRun
    | AddJobs
    | CancelRun
    | CancelJob
    | RetryJob
    | MutateRun
    | SetWorkerMode
    | SetPool
    | RemovePool
    | RecordLaunch
    | DeployServices
    | StopService
    | KvPut
    | KvDelete
    | KvCas
    | KvIncr
    | KvSetAdd
    | KvSetRemove
    | AcquireLock
    | RenewLock
    | ReleaseLock
    | SendSignal
    | AckSignal
    | SetOutput
    | ReportProgress
    | CommitEffects
    | PublishArtifact
    | DeleteArtifact
    | PublishCheckpoint
    | KeepLogs
    | DecideGate
    | SavePipeline
    | DeletePipeline
    | SubmitSaved
    | SetSchedule
    | DeleteSchedule
    | PauseSchedule
    | TriggerSchedule
    | BackfillSchedule
    | SetBudget
    | Spend
    | SetRetention
)
AnyCommand = (
    AnyClientCommand
    | FireSchedule
    | AssignAttempt
    | FinishAttempt
    | ReleaseAttempt
    | JoinWorker
    | ExpireWorker
    | RetireWorker
    | SettleLaunch
    | DescribeWorker
    | SetServiceHealth
    | PublishBlob
    | RenewBlobs
    | PackLogs
    | OpenEpoch
    | NoteOrder
    | RaiseVersion
    | AdvanceTime
)


class Proposal(msgspec.Struct, frozen=True, array_like=True):
    """One command with what makes it idempotent and fenced."""

    command: AnyCommand
    client: str = ""  # "" for the leader's own: not deduplicated
    request: int = 0  # 1, 2, 3, … within the client
    floor: int = 0  # every request below it has been answered and will not be repeated
    attempt: AttemptId = AttemptId(0)  # when it comes from inside a task: refused unless it is live
    who: str = ""  # who orders it, as declared: noted in the audit (`audit.py`)


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """What one index of the log holds: commands gathered by one leader at one moment."""

    format: int
    epoch: int
    now_ms: int  # the leader's wall clock; the state machine never goes backwards
    proposals: tuple[Proposal, ...]


_encoder = msgspec.msgpack.Encoder()
_entry_decoder = msgspec.msgpack.Decoder(Entry)
_client_decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(AnyClientCommand)


def encode_entry(entry: Entry) -> bytes:
    """The bytes that enter the log."""
    return _encoder.encode(entry)


def decode_entry(payload: bytes) -> Entry:
    """The entry in `payload`; raises `msgspec.DecodeError` for anything this version does not know."""
    return _entry_decoder.decode(payload)


def encode_command(command: Command) -> bytes:
    """One command alone, as clients send it."""
    return _encoder.encode(command)


def decode_client_command(payload: bytes) -> ClientCommand:
    """A client's command; raises `msgspec.DecodeError` (or its ValidationError) for any other bytes."""
    try:
        command: ClientCommand = _client_decoder.decode(payload)
    except (
        UnicodeDecodeError,
        RecursionError,
    ) as error:  # msgspec lets these two through as they are
        raise msgspec.DecodeError(str(error)) from error
    return command
