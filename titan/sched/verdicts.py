"""The shapes of an explanation, as programs see them. `explain.py` fills them. Codes are stable."""

from __future__ import annotations

import msgspec

from titan.ids import AttemptId, JobId, RunId, WorkerId


class Verdict(msgspec.Struct, frozen=True):
    """What the planner's filters say of one worker: the first that refuses, "" when none does."""

    worker: WorkerId
    filter: str  # closed, tags, size, room, slots, awaited; "" when it could have the job now
    code: str  # what is missing or in the way: offline, cordoned, a tag, the name of a resource, …
    text: str


class PoolVerdict(msgspec.Struct, frozen=True):
    """Whether a pool could start a worker for the job, and why it does not now."""

    pool: str
    serves: bool
    code: str  # lacks, or as in `autoscale.Standing`
    text: str


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """The smallest change that was found; `text` for people, the rest for programs.

    `kind`: nothing; time (`after_ms`); parents (`jobs` must end); approve (`jobs`); retry (`jobs`);
    open, connect or rest (`worker`); free (`attempts` must end on `worker`); worker (one more with
    `capabilities`, `slots`, `resources`); raise_max (`pool`); port;
    priority (at least `priority`).
    `proven`: the planner, rehearsed with this change, assigned the job in its next plan.
    """

    kind: str
    text: str = ""
    proven: bool = False
    after_ms: int = 0
    jobs: tuple[JobId, ...] = ()
    worker: WorkerId = WorkerId("")
    attempts: tuple[AttemptId, ...] = ()
    capabilities: tuple[str, ...] = ()
    slots: int = 0
    resources: dict[str, int] = {}
    pool: str = ""
    priority: int = 0


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """Why a job does not run. `code` names the binding reason, `change` what would start it.

    Codes: over, running, queued_on_worker, settling, gate, subrun, parents, delay, retry, placing, next,
    no_workers, capability, size, port, no_services, offline, no_session, cordoned, draining, resting,
    affinity,
    attempts, resources, slots, behind, unread.
    """

    run: RunId
    job: JobId
    state: str
    code: str
    text: str
    change: Change
    ahead: int = 0  # ready jobs that go first, whatever they need
    workers: tuple[Verdict, ...] = ()
    pools: tuple[PoolVerdict, ...] = ()
