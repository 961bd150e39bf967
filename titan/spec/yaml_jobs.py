"""The jobs of a pipeline's YAML: what each must say, the defaults, and the `JobSpec` that it becomes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from titan.ids import JobId
from titan.limits import JOB_SPEC_BYTES_MAX, JOBS_PER_RUN_MAX
from titan.spec import conditions, gates, isolation, requirements
from titan.spec.fields import JOB_FIELD
from titan.spec.model import UNATTENDED, JobSpec
from titan.spec.problems import Place, Problems
from titan.spec.yaml_fields import FieldsReader, JobRead
from titan.spec.yaml_tree import Node

WORK: Final = ("file", "argv", "shell")
_MERGED_WITH_DEFAULTS: Final = ("env", "limits", "resources")
_GATE: Final = ("approvers", "form")


class JobsReader:
    """Reads the list of jobs; every method reports into `problems` and goes on."""

    def __init__(self, problems: Problems, fields: FieldsReader) -> None:
        self._problems = problems
        self._fields = fields

    def jobs(
        self, node: Node | None, defaults: Mapping[str, Any], root: Place
    ) -> Iterator[JobRead]:
        """Every job that is a mapping, with the defaults in it. `root` is blamed for a missing list."""
        if node is None or node.kind != "list" or not node.items:
            place = root if node is None else node.place
            self._problems.add("must be a list of at least one job", field="jobs", place=place)
            return
        if len(node.items) > JOBS_PER_RUN_MAX:
            message = f"a run holds at most {JOBS_PER_RUN_MAX} jobs, not {len(node.items)}"
            self._problems.add(message, field="jobs", place=node.place)
            return
        for position, item in enumerate(node.items):
            label = f"jobs[{position}]"
            if item.kind != "mapping":
                self._problems.add("must be a mapping", field=label, place=item.place)
                continue
            read = self._fields.attrs(item, JOB_FIELD, label=label)
            self._require(read)
            merged = read._replace(attrs=_merge(defaults, read.attrs))
            self._require_kind(merged)
            yield merged

    def _require(self, read: JobRead) -> None:
        """A job needs an id and exactly one thing to run; both are judged by what is written."""
        if "id" not in read.places:
            self._problems.add("is missing", field=f"{read.label}.id", place=read.place)
        work = [name for name in ("file", "command") if name in read.places]
        if len(work) > 1:
            message = "a job has either a file or a command, not both"
            self._problems.add(message, field=read.label, place=read.places["command"])

    def _require_kind(self, read: JobRead) -> None:
        """What belongs to gates and to saved pipelines stands there and nowhere else."""
        attrs, kind = read.attrs, read.attrs.get("type", "run")
        own = {
            name: value for name, value in attrs.items() if name not in _GATE or name in read.places
        }
        why = gates.why_not_declared({**own, "hitl_message": attrs.get("hitl_message")})
        if why:
            self._problems.add(why, field=read.label, place=read.place)
        if kind in UNATTENDED and {"file", "command"} & read.places.keys():
            message = f"a job of type {kind} runs nothing itself: remove the file or command"
            self._problems.add(message, field=read.label, place=read.place)
        if kind == "pipeline" and not {"pipeline"} & read.places.keys():
            message = "names no saved pipeline: give it `pipeline: NAME`"
            self._problems.add(message, field=read.label, place=read.place)
        for name in ("pipeline", "version", "with"):
            if kind != "pipeline" and name in read.places:
                message = "belongs to a job of type pipeline"
                self._problems.add(message, field=f"{read.label}.{name}", place=read.places[name])

    def spec(self, read: JobRead) -> JobSpec:
        """The job in the form of the model, once nothing else was wrong with it."""
        spec = JobSpec(**read.attrs)
        fault = isolation.problem_of(spec) or conditions.why_not(spec)
        if fault:
            self._problems.add(fault, field=read.label, place=read.place)
        try:
            requirements.check(spec.requirements)
        except ValueError as why:
            place = read.places.get("requirements")
            self._problems.add(str(why), field=f"{read.label}.requirements", place=place)
        size = len(msgspec.msgpack.encode(msgspec.structs.replace(spec, depends_on=())))
        if size > JOB_SPEC_BYTES_MAX:
            message = f"takes {size} bytes; at most {JOB_SPEC_BYTES_MAX}: put data into a file"
            self._problems.add(message, field=read.label, place=read.place)
        return spec


def _merge(defaults: Mapping[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """A job's own values over the defaults; what a job runs is never mixed from both."""
    merged = {
        name: value
        for name, value in defaults.items()
        if name not in WORK or not any(work in own for work in WORK)
    }
    for name in _MERGED_WITH_DEFAULTS:
        if name in merged and name in own:
            own = {**own, name: {**merged[name], **own[name]}}
    merged.update(own)
    if merged.get("type") in UNATTENDED and not any(work in own for work in WORK):
        for name in WORK:
            merged.pop(name, None)
    if "id" in merged:
        merged["id"] = JobId(merged["id"])
    return merged
