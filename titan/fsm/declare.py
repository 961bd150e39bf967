"""Turning declarations into jobs, one by one: what is refused, and why. See `graph.py` for the whole.

The client has checked all of this with better words; here it is checked once more because nothing that
enters the state may be wrong. No handlers, and no change to the state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from titan import limits
from titan.config import PORT_MAX
from titan.fsm.outcomes import Rejected
from titan.fsm.policy import encode_spec
from titan.fsm.state import Demand, Job
from titan.fsm.unattended import NOBODY, problem_of
from titan.ids import is_digest, is_job_id
from titan.spec import conditions, globs, isolation
from titan.spec.gates import has_gate
from titan.spec.isolation import capability_for
from titan.spec.model import (
    DEFAULT_CAPABILITY,
    DEFAULT_TIMEOUT_MS,
    JOB_TYPES,
    SERIALIZERS,
    TRIGGERS,
    UNATTENDED,
    Call,
    JobSpec,
)
from titan.spec.service import DEFAULT_HEALTH, DEFAULT_RESTART, HEALTH_KINDS, NO_LIMIT

PLAIN: Final = Demand((DEFAULT_CAPABILITY,), (("slots", 1),))


def demand_of(spec: JobSpec) -> Demand:
    """What the job asks of a worker, in the one form that equal demands share."""
    if spec.type in UNATTENDED or conditions.is_foreach(spec):
        return NOBODY
    fence = capability_for(spec)
    if not spec.resources and not fence and spec.requirement == PLAIN.requirement:
        return PLAIN
    resources = {"slots": 1, **spec.resources}
    tags = dict.fromkeys((*spec.requirement, *fence))
    return Demand(tuple(sorted(tags)), tuple(sorted(resources.items())))


def make_job(spec: JobSpec) -> Job | Rejected:
    """The job that a declaration asks for, or why there cannot be one, whatever its graph.

    It is not part of a run yet: `seq` is 0, `parents` are as declared, nobody waits for anybody.
    """
    refusal = _why_not(spec)
    if refusal is not None:
        return refusal
    data = encode_spec(spec)
    if len(data) > limits.JOB_SPEC_BYTES_MAX:
        why = f"job '{spec.id}': more than {limits.JOB_SPEC_BYTES_MAX} bytes; larger data is a file"
        return Rejected("too_large", why)
    return Job(
        id=spec.id,
        seq=0,
        spec=data,
        demand=demand_of(spec),
        priority=spec.priority,
        parents=spec.depends_on,
        trigger=spec.trigger,
        affinity=spec.affinity,
    )


def make_jobs(specs: Sequence[JobSpec]) -> list[Job] | Rejected:
    """All the jobs, or the first refusal. Equal demands are one object."""
    if len(specs) > limits.JOBS_PER_COMMAND_MAX:
        why = (
            f"{len(specs)} jobs in one command; more than {limits.JOBS_PER_COMMAND_MAX} are staged"
        )
        return Rejected("too_large", why)
    made: list[Job] = []
    shared: dict[Demand, Demand] = {}
    for spec in specs:
        job = make_job(spec)
        if isinstance(job, Rejected):
            return job
        if job.demand is not PLAIN:
            job.demand = shared.setdefault(job.demand, job.demand)
        made.append(job)
    return made


def _why_not(spec: JobSpec) -> Rejected | None:
    if not is_job_id(spec.id):
        return Rejected("invalid_job", f"'{spec.id[:200]}' is no job id: [A-Za-z0-9._-]{{1,128}}")
    if spec.type not in JOB_TYPES:
        return Rejected("invalid_job", f"job '{spec.id}': there is no type '{spec.type[:100]}'")
    problem = problem_of(spec) if spec.type in UNATTENDED else _problem(spec)
    problem = problem or conditions.why_not(spec)
    return Rejected("invalid_job", f"job '{spec.id}': {problem}") if problem else None


def _problem(spec: JobSpec) -> str:
    works = bool(spec.file) + bool(spec.argv) + bool(spec.shell) + (spec.call is not None)
    if works != 1:
        return "give exactly one of file, argv, shell and call"
    if spec.call is not None and (problem := _problem_of_call(spec.call, spec)):
        return problem
    if has_gate(spec):
        return "its gate has to be a job of its own, after it"
    if spec.trigger not in TRIGGERS:
        return f"there is no trigger '{spec.trigger[:100]}'"
    if not spec.requirement or "" in spec.requirement:
        return "requirement names at least one capability"
    if not 0 <= spec.retries <= limits.RETRIES_MAX:
        return f"retries is 0 to {limits.RETRIES_MAX}"
    if spec.resources and ("" in spec.resources or min(spec.resources.values()) < 0):
        return "resources have names and are not negative"
    if len(spec.depends_on) > limits.PARENTS_PER_JOB_MAX:
        return f"at most {limits.PARENTS_PER_JOB_MAX} parents"
    if spec.artifacts_out or spec.artifacts_in:
        problem = _problem_of_artifacts(spec)
        if problem:
            return problem
    return _problem_of_service(spec) or _problem_of_times(spec) or isolation.problem_of(spec)


def _problem_of_service(spec: JobSpec) -> str:
    if spec.type != "service":
        has_any = spec.port or spec.health is not None or spec.restart is not None
        return "only a service has port, health and restart" if has_any else ""
    if not 0 <= spec.port <= PORT_MAX:
        return f"port is 0 to {PORT_MAX}"
    if spec.timeout_ms != DEFAULT_TIMEOUT_MS:
        return "a service has no timeout_ms"
    health, restart = spec.health or DEFAULT_HEALTH, spec.restart or DEFAULT_RESTART
    if health.kind not in HEALTH_KINDS:
        return f"there is no health '{health.kind[:100]}'"
    if (health.kind == "command") != (bool(health.argv) + bool(health.shell) == 1):
        return "health by command has exactly one of argv and shell, and no other health has"
    counts = (health.healthy_after, health.unhealthy_after)
    if min(counts) < 1 or max(counts) > limits.PROBES_IN_A_ROW_MAX:
        return f"health needs 1 to {limits.PROBES_IN_A_ROW_MAX} answers in a row"
    if health.interval_ms < limits.PROBE_INTERVAL_MS_MIN or health.timeout_ms < 1:
        return (
            f"health has an interval_ms of at least {limits.PROBE_INTERVAL_MS_MIN} and a timeout_ms"
        )
    times = (health.interval_ms, health.timeout_ms, health.start_period_ms)
    waits = (restart.backoff_ms, restart.backoff_cap_ms, restart.unhealthy_ms)
    if not 0 <= min(*times, *waits) <= max(*times, *waits) <= limits.DURATION_MS_MAX:
        return f"times of health and restart are 0 to {limits.DURATION_MS_MAX}"
    return "" if NO_LIMIT <= restart.limit <= limits.RETRIES_MAX else "restart has no such limit"


def _problem_of_artifacts(spec: JobSpec) -> str:
    try:
        for patterns in (spec.artifacts_out, spec.artifacts_in):
            globs.check_count(patterns)
        for pattern in spec.artifacts_out:
            globs.clean(pattern)
        for text in spec.artifacts_in:
            globs.read_input(text)
    except ValueError:
        return "artifacts are patterns inside a job's folder, and 'job:pattern' for those it needs"
    return ""


def _problem_of_call(call: Call, spec: JobSpec) -> str:
    if spec.type != "run" or spec.isolation != "process":
        return "a call is a job of type run without isolation"
    if not call.module or not call.name:
        return "a call names a module and a function"
    if call.serializer not in SERIALIZERS:
        return f"there is no serializer '{call.serializer[:100]}'"
    if not set(call.inputs) <= set(spec.depends_on):
        return "a call takes the results of parents only"
    return _problem_of_blobs(call)


def _problem_of_blobs(call: Call) -> str:
    if len(call.blobs) > limits.CALL_BLOBS_MAX:
        return f"a call has at most {limits.CALL_BLOBS_MAX} large arguments"
    if any(not is_digest(one.digest) or one.size < 0 for one in call.blobs):
        return "a large argument is named by its SHA-256 in hex, with its size"
    if call.args_are_blob and (call.args or not call.blobs):
        return "arguments are in a blob or in the call, not both"
    return ""


def _problem_of_times(spec: JobSpec) -> str:
    if spec.timeout_ms == 0:
        return "timeout_ms is at least 1"
    for name, value in (
        ("delay_ms", spec.delay_ms),
        ("retry_backoff_ms", spec.retry_backoff_ms),
        ("retry_backoff_cap_ms", spec.retry_backoff_cap_ms),
        ("timeout_ms", spec.timeout_ms),
        ("queue_timeout_ms", spec.queue_timeout_ms),
    ):
        if not 0 <= value <= limits.DURATION_MS_MAX:
            return f"{name} is 0 to {limits.DURATION_MS_MAX}"
    return ""
