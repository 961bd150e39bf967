"""Questions to the state and the shapes of their answers, one file per noun; `views.py` answers them.

The answers are what the SDK, the CLI's `--json` and the HTTP API show: names are the contract.
"""

from __future__ import annotations

from typing import Any

import msgspec

from titan.fsm.queries.artifacts import (
    ArtifactView,
    GetArtifact,
    GetOutputs,
    ListArtifacts,
    OutputsView,
)
from titan.fsm.queries.audit import ListOrders, OrderView
from titan.fsm.queries.base import Query
from titan.fsm.queries.blobs import BlobView, GetBlob
from titan.fsm.queries.budgets import (
    AgentRunView,
    BudgetView,
    GetAgentRun,
    GetBudget,
    ListAgentRuns,
    ListBudgets,
    StageView,
)
from titan.fsm.queries.gates import DecisionView, GateView, GetGate, ListGates
from titan.fsm.queries.graph import (
    CountDead,
    DeadView,
    GetGraph,
    GraphView,
    ListDead,
    ListRevisions,
    RevisionView,
    VertexView,
)
from titan.fsm.queries.jobs import (
    GetJob,
    GetJobSpec,
    GetOutput,
    GetResults,
    JobView,
    ListJobs,
    ResultView,
)
from titan.fsm.queries.kv import KvGet, KvList, KvView
from titan.fsm.queries.locks import ClaimView, GetClaim, ListLocks, LockView
from titan.fsm.queries.pipelines import GetPipeline, ListPipelines, PipelineView
from titan.fsm.queries.pools import ListPools, PoolView
from titan.fsm.queries.retention import GetRetention
from titan.fsm.queries.runs import GetRun, ListRuns, RunView
from titan.fsm.queries.schedules import FiringView, GetSchedule, ListSchedules, ScheduleView
from titan.fsm.queries.services import GetService, ListServices, ServiceView
from titan.fsm.queries.signals import PeekSignal, SignalView
from titan.fsm.queries.workers import ListWorkers, WorkerView

__all__ = [
    "AgentRunView",
    "AnyQuery",
    "ArtifactView",
    "BlobView",
    "BudgetView",
    "ClaimView",
    "CountDead",
    "DeadView",
    "DecisionView",
    "FiringView",
    "GateView",
    "GetAgentRun",
    "GetArtifact",
    "GetBlob",
    "GetBudget",
    "GetClaim",
    "GetGate",
    "GetGraph",
    "GetJob",
    "GetJobSpec",
    "GetOutput",
    "GetOutputs",
    "GetPipeline",
    "GetResults",
    "GetRetention",
    "GetRun",
    "GetSchedule",
    "GetService",
    "GraphView",
    "JobView",
    "KvGet",
    "KvList",
    "KvView",
    "ListAgentRuns",
    "ListArtifacts",
    "ListBudgets",
    "ListDead",
    "ListGates",
    "ListJobs",
    "ListLocks",
    "ListOrders",
    "ListPipelines",
    "ListPools",
    "ListRevisions",
    "ListRuns",
    "ListSchedules",
    "ListServices",
    "ListWorkers",
    "LockView",
    "OrderView",
    "OutputsView",
    "PeekSignal",
    "PipelineView",
    "PoolView",
    "Query",
    "ResultView",
    "RevisionView",
    "RunView",
    "ScheduleView",
    "ServiceView",
    "SignalView",
    "StageView",
    "VertexView",
    "WorkerView",
    "decode_query",
]

AnyQuery = (
    GetRun
    | ListRuns
    | ListJobs
    | GetJob
    | GetJobSpec
    | GetOutput
    | ListServices
    | GetService
    | GetResults
    | ListWorkers
    | KvGet
    | KvList
    | ListLocks
    | GetClaim
    | PeekSignal
    | ListPools
    | GetBlob
    | GetArtifact
    | ListArtifacts
    | GetOutputs
    | ListGates
    | GetGate
    | ListPipelines
    | GetPipeline
    | ListSchedules
    | GetSchedule
    | GetGraph
    | ListRevisions
    | ListDead
    | CountDead
    | ListOrders
    | ListAgentRuns
    | GetAgentRun
    | GetBudget
    | ListBudgets
    | GetRetention
)

_query_decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(AnyQuery)


def decode_query(payload: bytes) -> Query:
    """The question in `payload`; raises `msgspec.DecodeError` (or its ValidationError) otherwise."""
    try:
        query: Query = _query_decoder.decode(payload)
    except (
        UnicodeDecodeError,
        RecursionError,
    ) as error:  # msgspec lets these two through as they are
        raise msgspec.DecodeError(str(error)) from error
    return query
