"""Pools over HTTP: what there is, and more workers by hand. Why a job waits for them."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from titan.fsm.commands import RecordLaunch
from titan.fsm.queries import ListPools, PoolView
from titan.ids import RunId, new_launch_id
from titan.limits import LAUNCHES_PER_COMMAND_MAX
from titan.master.http.api import Api
from titan.master.http.runs import ReadQuery
from titan.master.http.table import Call, Endpoint, Page
from titan.sched.verdicts import Why
from titan.wire.messages import ExplainJob, JobExplained


class Launches(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many workers to start."""

    count: Annotated[int, msgspec.Meta(ge=1, le=LAUNCHES_PER_COMMAND_MAX)] = 1


class Launched(msgspec.Struct, frozen=True):
    """The workers are on their way, as of `index`."""

    index: int
    count: int


async def list_pools(api: Api, call: Call) -> Page[PoolView]:
    """By name."""
    return Page(api.read(ListPools()))


async def launch(api: Api, call: Call) -> Launched:
    """Whatever the autoscaler thinks, up to the pool's maximum."""
    names = tuple(new_launch_id() for _ in range(call.body.count))
    command = RecordLaunch(pool=call.path["pool"], launches=names)
    done = await api.write(command, key=call.idempotency_key)
    return Launched(done.index, done.value)


async def why(api: Api, call: Call) -> Why:
    """The leader's planner is asked, so this is as fresh as a consistent read."""
    question = ExplainJob(job=call.path["job"], run=RunId(call.path["run"]))
    answer = await api.gateway.explain(question, forwarded=False)
    assert isinstance(answer, JobExplained)
    return msgspec.msgpack.decode(answer.why, type=Why)


ENDPOINTS: Final = (
    Endpoint("GET", "/api/v1/pools", list_pools, "Pools of workers", Page[PoolView], ReadQuery),
    Endpoint(
        "POST", "/api/v1/pools/{pool}/launches", launch, "Start workers of a pool", Launched,
        body=Launches,
    ),
    Endpoint(
        "GET", "/api/v1/runs/{run}/jobs/{job}/why", why,
        "Why a job does not run, and the smallest change that would start it", Why,
    ),
)  # fmt: skip
