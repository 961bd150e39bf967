"""From a declaration in its normal form back to what people write in a pipeline's YAML.

The way back of `fields/`: units, names and nesting as in a file, defaults left out. The dashboard's
constructor loads past runs and saved pipelines by it. Raises `UserError` for what pages cannot show.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from titan.errors import UserError
from titan.ids import Digest, JobId
from titan.spec.budgets import BudgetSpec
from titan.spec.fields import JOB_FIELDS
from titan.spec.model import JobSpec
from titan.spec.service import HealthSpec, RestartSpec

_PLAIN: Final = JobSpec(id=JobId("x"))


def job_form(spec: JobSpec) -> dict[str, Any]:
    """One job as a mapping of YAML fields."""
    form: dict[str, Any] = {}
    for field in JOB_FIELDS:
        if field.name in _SEVERAL:
            form.update(_SEVERAL[field.name](spec))
        elif field.attr in JobSpec.__struct_fields__:
            value = getattr(spec, field.attr)
            if field.name == "id" or value != getattr(_PLAIN, field.attr):
                form[field.name] = _written(field.name, field.attr, value)
    return form


def pipeline_form(
    name: str,
    jobs: Sequence[JobSpec],
    *,
    parameters: Mapping[str, Any],
    labels: Mapping[str, str] | None = None,
    budget: BudgetSpec | None = None,
) -> dict[str, Any]:
    """A whole pipeline as a mapping of YAML fields: jobs with the gates after them as one."""
    form: dict[str, Any] = {"name": name}
    if parameters:
        form["parameters"] = msgspec.to_builtins(parameters)
    if labels:
        form["labels"] = dict(labels)
    if budget is not None:
        form["budget"] = _in_seconds(budget, BudgetSpec(), suffix="_s")
    put = {job.id: job for job in jobs if job.gate_of}  # by `hitl_message`; loading puts them again
    after = {gate.gate_of: gate for gate in put.values()}
    form["jobs"] = [
        job_form(_as_declared(job, after.get(job.id), put)) for job in jobs if job.id not in put
    ]
    return form


def _as_declared(job: JobSpec, gate: JobSpec | None, put: Mapping[JobId, JobSpec]) -> JobSpec:
    """The job before a gate was put after it or its parents."""
    parents = [put[name].gate_of if name in put else name for name in job.depends_on]
    declared = msgspec.structs.replace(job, depends_on=tuple(dict.fromkeys(parents)))
    if gate is None:
        return declared
    return msgspec.structs.replace(
        declared,
        hitl_message=gate.hitl_message,
        max_wait_ms=gate.max_wait_ms,
        approvers=gate.approvers,
        form=gate.form,
    )


def bundles_of(run_bundle: Digest, jobs: Sequence[JobSpec]) -> tuple[Digest, ...]:
    """The bundles that the jobs' files come from, the run's first."""
    named = [run_bundle, *(job.bundle for job in jobs)]
    return tuple(dict.fromkeys(digest for digest in named if digest))


def _command(spec: JobSpec) -> dict[str, Any]:
    if spec.argv:
        return {"command": _texts(spec.argv)}
    return {"command": _text(spec.shell)} if spec.shell else {}


def _requirements(spec: JobSpec) -> dict[str, Any]:
    if spec.requirements_file:
        return {"requirements": spec.requirements_file}
    return {"requirements": list(spec.requirements)} if spec.requirements else {}


def _artifacts(spec: JobSpec) -> dict[str, Any]:
    both = {"out": list(spec.artifacts_out), "in": list(spec.artifacts_in)}
    given = {name: patterns for name, patterns in both.items() if patterns}
    return {"artifacts": given} if given else {}


def _port(spec: JobSpec) -> dict[str, Any]:
    return {"port": spec.port} if spec.type == "service" else {}


def _health(health: HealthSpec) -> dict[str, Any]:
    form = _in_seconds(health, HealthSpec())
    for name in ("kind", "path", "argv", "shell"):
        form.pop(name, None)
    if health.kind == "http":
        form["http"] = health.path
    elif health.kind == "command":
        form["command"] = _texts(health.argv) if health.argv else _text(health.shell)
    else:
        form["tcp"] = True
    return form


def _restart(restart: RestartSpec) -> dict[str, Any]:
    return _in_seconds(restart, RestartSpec())


def _in_seconds(
    given: msgspec.Struct, plain: msgspec.Struct, *, suffix: str = ""
) -> dict[str, Any]:
    """What is not as by default, with milliseconds as people write them."""
    form: dict[str, Any] = {}
    for attr in given.__struct_fields__:
        value = getattr(given, attr)
        if value != getattr(plain, attr):
            is_time = attr.endswith("_ms")
            name = attr.removesuffix("_ms") + suffix if is_time else attr
            form[name] = _seconds(value) if is_time else value
    return form


def _seconds(value_ms: int) -> int | float:
    return value_ms // 1000 if value_ms % 1000 == 0 else value_ms / 1000


def _written(name: str, attr: str, value: Any) -> Any:
    special = _SPECIAL.get(name)
    if special is not None:
        return special(value)
    if attr.endswith("_ms") and not name.endswith("_ms"):
        return _seconds(value)
    return msgspec.to_builtins(value)


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise UserError(
            "a job of it has arguments that are no text, and YAML in a page is",
            hint="edit the file or script that it was deployed from",
        ) from None


def _texts(raws: Sequence[bytes]) -> list[str]:
    return [_text(raw) for raw in raws]


def _one_or_list(values: Sequence[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else list(values)


def _resources(counts: dict[str, int]) -> dict[str, Any]:
    form: dict[str, Any] = dict(counts)
    milli = form.pop("cpu_milli", None)
    if milli is not None:
        form["cpus"] = milli // 1000 if milli % 1000 == 0 else milli / 1000
    return form


_SEVERAL: Final[dict[str, Callable[[JobSpec], dict[str, Any]]]] = {
    "command": _command,
    "requirements": _requirements,
    "artifacts": _artifacts,
    "port": _port,
}
_SPECIAL: Final[dict[str, Callable[[Any], Any]]] = {
    "args": _texts,
    "depends_on": list,
    "requirement": _one_or_list,
    "resources": _resources,
    "health": _health,
    "restart": _restart,
}
