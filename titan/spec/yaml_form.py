"""From a declaration in its normal form back to what people write in a pipeline's YAML.

The way back of `fields.py`: units, names and nesting as in a file, defaults left out. The dashboard's
constructor loads past runs and saved pipelines by it. Bytes that are not UTF-8 come out as surrogate
escapes, as `values.py` takes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from titan.ids import Digest, JobId
from titan.spec.fields import JOB_FIELDS
from titan.spec.model import JobSpec

_PLAIN: Final = JobSpec(id=JobId("x"))


def job_form(spec: JobSpec) -> dict[str, Any]:
    """One job as a mapping of YAML fields."""
    form: dict[str, Any] = {}
    for field in JOB_FIELDS:
        if field.name == "command":
            form.update(_command(spec))
        elif field.attr in JobSpec.__struct_fields__:
            value = getattr(spec, field.attr)
            if field.name == "id" or value != getattr(_PLAIN, field.attr):
                form[field.name] = _written(field.name, field.attr, value)
    return form


def pipeline_form(
    name: str, jobs: Sequence[JobSpec], *, parameters: dict[str, Any], project: bool
) -> dict[str, Any]:
    """A whole pipeline as a mapping of YAML fields. `project` as in the file."""
    form: dict[str, Any] = {"name": name}
    if not project:
        form["project"] = False
    if parameters:
        form["parameters"] = dict(parameters)
    form["jobs"] = [job_form(job) for job in jobs]
    return form


def bundles_of(run_bundle: Digest, jobs: Sequence[JobSpec]) -> tuple[Digest, ...]:
    """The bundles that the jobs' files come from, the run's first."""
    named = [run_bundle, *(job.bundle for job in jobs)]
    return tuple(dict.fromkeys(digest for digest in named if digest))


def _command(spec: JobSpec) -> dict[str, Any]:
    if spec.argv:
        return {"command": _texts(spec.argv)}
    return {"command": _text(spec.shell)} if spec.shell else {}


def _written(name: str, attr: str, value: Any) -> Any:
    special = _SPECIAL.get(name)
    if special is not None:
        return special(value)
    if attr.endswith("_ms") and not name.endswith("_ms"):
        return value // 1000 if value % 1000 == 0 else value / 1000
    return msgspec.to_builtins(value)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


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


_SPECIAL: Final[dict[str, Callable[[Any], Any]]] = {
    "args": _texts,
    "depends_on": list,
    "requirement": _one_or_list,
    "resources": _resources,
}
