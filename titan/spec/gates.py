"""Gates as people declare them: who may approve, what the form asks, and gates put after jobs.

`hitl_message` on a job of another type puts a gate named `hitl-gate-<id>` after it, and the children of
the job wait for the gate instead. That happens here, once, before a declaration travels: the state
machine knows gates as jobs of their own. Only for children that join a run later does it look for a gate
after their parents (`after`), by the same rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from titan.ids import JobId, is_job_id
from titan.limits import APPROVERS_MAX, NAME_CHARS_MAX
from titan.spec.inputs import declared
from titan.spec.model import Approvers, Input, JobSpec
from titan.spec.problems import did_you_mean
from titan.spec.values import kind_of, text_of, whole

PREFIX: Final = "hitl-gate-"
_KEYS: Final = ("count", "users", "roles")
_WANTS_THE_JOB_TOO: Final = ("any_failed", "none_failed")  # a failed job skips its gate


def gate_id(job: str) -> JobId:
    """The id of the gate after a job."""
    return JobId(f"{PREFIX}{job}")


def approvers(value: object) -> Approvers:
    """Who has to approve: a number, or a mapping with `count`, `users` and `roles`."""
    if isinstance(value, Approvers):
        return value
    if isinstance(value, int):
        value = {"count": value}
    if not isinstance(value, Mapping):
        raise ValueError(
            f"must be a number or a mapping with count, users, roles, not {kind_of(value)}"
        )
    for key in value:
        if key not in _KEYS:
            raise ValueError(f"unknown key {key!r}{did_you_mean(str(key), _KEYS)}")
    found = Approvers(
        count=whole(value.get("count", 1), low=1, high=APPROVERS_MAX),
        users=_names(value.get("users"), what="users"),
        roles=_names(value.get("roles"), what="roles"),
    )
    why = why_not_approvers(found)
    if why:
        raise ValueError(why)
    return found


def why_not_approvers(found: Approvers) -> str:
    """Why nobody could ever open such a gate; "" when somebody can."""
    if not 1 <= found.count <= APPROVERS_MAX:
        return f"count is 1 to {APPROVERS_MAX}"
    if len(found.users) > APPROVERS_MAX or len(found.roles) > APPROVERS_MAX:
        return f"at most {APPROVERS_MAX} users and roles"
    if any(not name or len(name) > NAME_CHARS_MAX for name in (*found.users, *found.roles)):
        return f"a user or role has 1 to {NAME_CHARS_MAX} characters"
    if found.users and not found.roles and found.count > len(found.users):
        return f"{found.count} approvals are wanted of {len(found.users)} users"
    return ""


def _names(value: object, *, what: str) -> tuple[str, ...]:
    listed = [] if value is None else value if isinstance(value, list | tuple) else [value]
    found = tuple(dict.fromkeys(text_of(one).strip() for one in listed))
    if "" in found:
        raise ValueError(f"{what} must not hold an empty name")
    return found


def form(value: object) -> dict[str, Input]:
    """The fields of a form by name."""
    found, wrong = declared(value, plain=False)
    if wrong:
        raise ValueError("; ".join(wrong))
    return found


def why_not_declared(attrs: Mapping[str, Any]) -> str:
    """What is wrong with a job's gate as a whole, given what its fields were read as; "" when nothing."""
    if attrs.get("type") == "gate":
        return ""
    if not attrs.get("hitl_message"):
        named = [name for name in ("approvers", "form") if attrs.get(name)]
        return f"{named[0]} belongs to a gate: give the job a hitl_message" if named else ""
    name = gate_id(attrs.get("id", "x"))
    if not is_job_id(name):
        return f"a job with a hitl_message has an id of at most {NAME_CHARS_MAX - len(PREFIX)} characters"
    return ""


def has_gate(spec: JobSpec) -> bool:
    """Whether a gate is to be put after this job."""
    return spec.type != "gate" and bool(spec.hitl_message)


def with_gates(specs: Sequence[JobSpec]) -> tuple[JobSpec, ...]:
    """The jobs with every gate a job of its own, right after the job that asks for it."""
    gated = {spec.id for spec in specs if has_gate(spec)}
    if not gated:
        return tuple(specs)
    made: list[JobSpec] = []
    for spec in specs:
        moved = behind_gates(spec, is_gated=gated.__contains__)
        if has_gate(spec):
            made += [_plain(moved), _gate_after(spec)]
        else:
            made.append(moved)
    return tuple(made)


def behind_gates(spec: JobSpec, *, is_gated: Callable[[JobId], bool]) -> JobSpec:
    """The job as a child of the gates after those of its parents that have one.

    A job whose trigger looks for failures keeps the parent too: when that fails, its gate is skipped.
    """
    if not any(is_gated(name) and gate_id(name) != spec.id for name in spec.depends_on):
        return spec
    keeps = spec.trigger in _WANTS_THE_JOB_TOO
    parents: dict[JobId, None] = {}
    for name in spec.depends_on:
        gate = gate_id(name)
        is_behind = is_gated(name) and gate != spec.id
        if keeps or not is_behind:
            parents[name] = None
        if is_behind:
            parents[gate] = None
    return msgspec.structs.replace(spec, depends_on=tuple(parents))


def gates_among(specs: Iterable[JobSpec]) -> list[tuple[JobId, JobId]]:
    """The gates that `with_gates` will make, each with the job it comes after."""
    return [(gate_id(spec.id), spec.id) for spec in specs if has_gate(spec)]


_PLAIN: Final = JobSpec(id=JobId("x"))


def _plain(spec: JobSpec) -> JobSpec:
    return msgspec.structs.replace(
        spec,
        hitl_message=_PLAIN.hitl_message,
        max_wait_ms=_PLAIN.max_wait_ms,
        approvers=_PLAIN.approvers,
        form=_PLAIN.form,
    )


def _gate_after(spec: JobSpec) -> JobSpec:
    return JobSpec(
        id=gate_id(spec.id),
        type="gate",
        depends_on=(spec.id,),
        hitl_message=spec.hitl_message,
        max_wait_ms=spec.max_wait_ms,
        approvers=spec.approvers,
        form=spec.form,
        gate_of=spec.id,
    )
