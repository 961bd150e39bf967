"""A pipeline's YAML file into a `PipelineSpec`, with every mistake found at once and located.

Owns the order of reading: tree, known names, what this version does not run, values, defaults, files,
graph. What a field means is in `fields/`. Reads the file itself and looks whether named files exist;
packing them is `bundle.py`'s.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from titan.errors import InvalidSpec, LimitExceeded
from titan.ids import JobId
from titan.limits import JOB_SPEC_BYTES_MAX, JOBS_PER_RUN_MAX, YAML_BYTES_MAX
from titan.spec import (
    ancestry,
    conditions,
    gates,
    graph,
    inputs,
    isolation,
    requirements,
    unavailable,
)
from titan.spec.bundle import Bundle, bundle_files, bundle_project
from titan.spec.fields import DEFAULT_FIELD, JOB_FIELD, ROOT_FIELD, Field
from titan.spec.globs import needs_of
from titan.spec.layout import lay_out
from titan.spec.model import UNATTENDED, Input, JobSpec, PipelineSpec
from titan.spec.problems import Place, Problems, did_you_mean
from titan.spec.service_values import service_faults
from titan.spec.values import kind_of
from titan.spec.yaml_tree import Node, read_tree

_MERGED_WITH_DEFAULTS = ("env", "limits", "resources")
_WORK = ("file", "argv", "shell")
_GATE = ("approvers", "form")


class LoadedPipeline(NamedTuple):
    """What a file declares, and which local files it needs.

    `project_dir` is the folder that travels (project mode), else None; then `files` maps paths in the
    bundle to local files. `spec.jobs[*].file` are paths in the bundle either way.
    """

    spec: PipelineSpec
    path: Path
    project_dir: Path | None
    files: Mapping[str, Path]

    def pack(self) -> Bundle | None:
        """The bundle that the jobs need, or None when none of them names a file.

        In project mode the folder travels whenever the pipeline says so, also for jobs that are only
        commands. Raises `LimitExceeded`, and `InvalidSpec` when an ignore rule leaves a job's file out.
        """
        if self.project_dir is None:
            return bundle_files(self.files) if self.files else None
        bundle = bundle_project(self.project_dir)
        missing = [
            (job, name)
            for job in self.spec.jobs
            for name in (job.file, job.requirements_file)
            if name and name not in bundle.names
        ]
        if missing:
            bundle.close()
            raise InvalidSpec(
                problems=tuple(
                    f"{self.path}: job {job.id!r}: {name} is left out of the bundle"
                    for job, name in missing
                ),
                hint="an ignore rule excludes it: add '!<path>' to .titanignore",
            )
        return bundle


def load_pipeline(path: str | os.PathLike[str], *, open_world: bool = False) -> LoadedPipeline:
    """Read a pipeline's YAML file. With `open_world` unknown parents may be in the run that it joins.

    Raises `FileNotFoundError` (or another `OSError`) when it cannot be opened, `InvalidSpec` with all
    problems when it cannot run, `LimitExceeded` when it is too large.
    """
    file = Path(path)
    with file.open("rb") as stream:
        data = stream.read(YAML_BYTES_MAX + 1)
    if len(data) > YAML_BYTES_MAX:
        raise LimitExceeded(
            f"{file} is larger than {YAML_BYTES_MAX} bytes",
            hint="generate the jobs with the Python SDK, or split the pipeline",
        )
    return parse_pipeline(data, path=file, open_world=open_world)


def parse_pipeline(
    data: bytes, *, path: Path, open_world: bool = False, problems: Problems | None = None
) -> LoadedPipeline:
    """Read a pipeline from bytes as if `path` held them: names in it are relative to its folder.

    `problems` gets what is found, for who wants more than the text of `InvalidSpec`.
    """
    problems = Problems(str(path)) if problems is None else problems
    tree = read_tree(data, problems=problems)
    if tree is None or tree.kind != "mapping":
        if not problems:
            problems.add("must be a mapping with the key 'jobs'", place=Place(1, 1))
        problems.raise_if_any()
        raise AssertionError("unreachable: a problem was just added")
    return _Reader(problems, path, open_world=open_world).pipeline(tree)


class _Read(NamedTuple):
    """A job as read, with what later checks need to point at."""

    attrs: dict[str, Any]
    label: str
    places: Mapping[str, Place]
    place: Place


class _Reader:
    """Reads one file; every method reports into `problems` and goes on."""

    def __init__(self, problems: Problems, path: Path, *, open_world: bool) -> None:
        self._open_world = open_world
        self._problems = problems
        self._path = path
        self._folder = Path(os.path.abspath(path)).parent  # noqa: PTH100 - keeps symlinks

    def pipeline(self, tree: Node) -> LoadedPipeline:
        root = dict(self._known(tree, ROOT_FIELD, label="", root=True))
        plain = {
            name: self._value(ROOT_FIELD[name], node, label=name)
            for name, node in root.items()
            if name in ("name", "version", "project", "schedule", "budget")
        }
        parameters = self._parameters(root.get("parameters"))
        defaults = self._defaults(root.get("defaults"))
        reads = list(self._jobs(root.get("jobs"), defaults, tree.place))
        is_project = plain.get("project")
        files = self._files(reads, is_project=is_project is not False)
        self._services(reads)
        self._graph(reads)
        self._conditions(reads, parameters)
        self._problems.raise_if_any()
        spec = PipelineSpec(
            name=plain.get("name") or self._path.stem,
            version=plain.get("version") or "",
            parameters={name: one.default for name, one in parameters.items()},
            inputs=parameters,
            schedule=plain.get("schedule"),
            budget=plain.get("budget"),
            jobs=gates.with_gates([self._spec(read) for read in reads]),
        )
        self._problems.raise_if_any()
        folder = None if is_project is False else self._folder
        return LoadedPipeline(spec, self._path, folder, files)

    # --- names and values -----------------------------------------------------------------------

    def _known(
        self, node: Node, table: Mapping[str, Field], *, label: str, root: bool = False
    ) -> Iterator[tuple[str, Node]]:
        """The entries under their proper names; reports unknown, repeated and unavailable ones."""
        seen: dict[str, str] = {}
        for spelt, value in node.entries.items():
            place = node.keys[spelt]
            where = f"{label}.{spelt}" if label else spelt
            field = table.get(spelt)
            if field is not None and field.name in seen:
                why = f"means the same as {seen[field.name]!r}, which is set too"
                self._problems.add(why, field=where, place=place)
            elif field is not None:
                seen[field.name] = spelt
                yield field.name, value
            elif spelt in (unavailable.ROOT_FIELDS if root else unavailable.FIELDS):
                refused = unavailable.field_refusal(spelt, value.plain(), root=root)
                if refused is not None:
                    self._problems.add(refused, field=where, place=place)
            else:
                names = [name for name, known in table.items() if known.name == name]
                hint = did_you_mean(spelt, names)
                self._problems.add(f"unknown field{hint}", field=where, place=place)

    def _value(self, field: Field, node: Node, *, label: str) -> Any:
        """What the field's reader makes of the node; None when it has none or is refused."""
        value = node.plain(verbatim=field.verbatim)
        if value is None:
            return None
        try:
            read = field.read(value)
        except ValueError as why:
            self._problems.add(str(why), field=label, place=node.place)
            return None
        refused = unavailable.value_refusal(field.name, read)
        if refused is not None:
            self._problems.add(refused, field=label, place=node.place)
            return None
        return read

    def _attrs(self, node: Node, table: Mapping[str, Field], *, label: str) -> _Read:
        attrs: dict[str, Any] = {}
        places: dict[str, Place] = {}
        for name, value in self._known(node, table, label=label):
            field = table[name]
            read = self._value(field, value, label=f"{label}.{name}")
            places[name] = value.place
            if read is not None:
                attrs.update({field.attr: read} if field.attr else read)
        return _Read(attrs, label, places, node.place)

    def _parameters(self, node: Node | None) -> dict[str, Input]:
        if node is None or (node.kind == "scalar" and node.value is None):
            return {}
        if node.kind != "mapping":
            message = f"must be a mapping of names to values, not {kind_of(node.plain())}"
            self._problems.add(message, field="parameters", place=node.place)
            return {}
        found: dict[str, Input] = {}
        for name, value in node.entries.items():
            declared, wrong = inputs.declared({name: value.plain()}, plain=True)
            found.update(declared)
            for message in wrong:
                said = message.removeprefix(f"{name}: ")
                self._problems.add(said, field=f"parameters.{name}", place=value.place)
        return found

    def _defaults(self, node: Node | None) -> dict[str, Any]:
        if node is None or (node.kind == "scalar" and node.value is None):
            return {}
        if node.kind != "mapping":
            message = f"must be a mapping of job fields, not {kind_of(node.plain())}"
            self._problems.add(message, field="defaults", place=node.place)
            return {}
        return self._attrs(node, DEFAULT_FIELD, label="defaults").attrs

    # --- jobs -----------------------------------------------------------------------------------

    def _jobs(self, node: Node | None, defaults: Mapping[str, Any], root: Place) -> Iterator[_Read]:
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
            read = self._attrs(item, JOB_FIELD, label=label)
            self._require(read)
            merged = read._replace(attrs=_merge(defaults, read.attrs))
            self._require_kind(merged)
            yield merged

    def _require(self, read: _Read) -> None:
        """A job needs an id and exactly one thing to run; both are judged by what is written."""
        if "id" not in read.places:
            self._problems.add("is missing", field=f"{read.label}.id", place=read.place)
        work = [name for name in ("file", "command") if name in read.places]
        if len(work) > 1:
            message = "a job has either a file or a command, not both"
            self._problems.add(message, field=read.label, place=read.places["command"])

    def _require_kind(self, read: _Read) -> None:
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

    def _files(self, reads: list[_Read], *, is_project: bool) -> dict[str, Path]:
        """Check the named files and turn their names into paths in the bundle."""
        for read in reads:
            if (
                read.attrs.get("type") not in UNATTENDED
                and not any(read.attrs.get(name) for name in _WORK)
                and not ({"file", "command"} & read.places.keys())
            ):
                message = "has nothing to run: give it a file or a command"
                self._problems.add(message, field=read.label, place=read.place)
        named = [read for read in reads if read.attrs.get("file")]
        listed = [read for read in reads if read.attrs.get("requirements_file")]
        if is_project:
            for read in named:
                self._in_project(read, "file")
            for read in listed:
                self._in_project(read, "requirements_file")
            return {}
        for read in listed:
            self._read_requirements(read)
        sources = [(self._folder / read.attrs["file"]) for read in named]
        placed = lay_out(sources, base=self._folder)
        for read, source in zip(named, sources, strict=True):
            self._exists(read, source)
            read.attrs["file"] = placed[source]
        return {placed[source]: source for source in sources}

    def _services(self, reads: list[_Read]) -> None:
        """What belongs to a service alone, and what a service must have."""
        for read in reads:
            for fault in service_faults(read.attrs, needs_port="port" not in read.places):
                place = read.places.get(fault.field, read.place)
                self._problems.add(fault.message, field=f"{read.label}.{fault.field}", place=place)

    def _in_project(self, read: _Read, attr: str) -> None:
        name = os.path.normpath(read.attrs[attr])
        if Path(name).is_absolute() or ".." in Path(name).parts[:1]:
            message = f"{name} is outside the project; with 'project: false' it may be anywhere"
            self._blame(read, attr, message)
            return
        read.attrs[attr] = name.replace(os.sep, "/")
        self._exists(read, self._folder / name, attr=attr)

    def _exists(self, read: _Read, source: Path, *, attr: str = "file") -> bool:
        if source.is_file():
            return True
        hint = ""
        if source.parent.is_dir():
            hint = did_you_mean(source.name, (entry.name for entry in os.scandir(source.parent)))
        self._blame(read, attr, f"no such file: {source}{hint}")
        return False

    def _read_requirements(self, read: _Read) -> None:
        """The file does not travel, so its lines do."""
        source = self._folder / read.attrs["requirements_file"]
        if self._exists(read, source, attr="requirements_file"):
            read.attrs["requirements_file"] = ""
            read.attrs["requirements"] = requirements.lines_of(source.read_text(errors="replace"))

    def _blame(self, read: _Read, attr: str, message: str) -> None:
        field = "file" if attr == "file" else "requirements"
        self._problems.add(message, field=f"{read.label}.{field}", place=read.places.get(field))

    # --- the whole ------------------------------------------------------------------------------

    def _graph(self, reads: list[_Read]) -> None:
        jobs = [  # a job without a valid id still has parents worth checking
            graph.Vertex(
                read.attrs.get("id", read.label),
                read.attrs.get("depends_on", ()),
                needs_of(read.attrs.get("artifacts_in", ())),
            )
            for read in reads
        ]
        owners = list(reads)
        for read in reads:
            if read.attrs.get("hitl_message") and read.attrs.get("type") != "gate":
                job = str(read.attrs.get("id", read.label))
                jobs.append(graph.Vertex(gates.gate_id(job), (job,)))
                owners.append(read)
        for fault in graph.find_faults(jobs, open_world=self._open_world):
            read = owners[fault.job]
            label = f"{read.label}.{fault.field}" if fault.field else "jobs"
            place = read.places.get(fault.field, read.place)
            self._problems.add(fault.message, field=label, place=place)
            if self._problems.is_full:
                return

    def _conditions(self, reads: list[_Read], parameters: Mapping[str, object]) -> None:
        """Whether conditions are about jobs above, and about parameters that there are."""
        for fault in ancestry.faults_of_declared([read.attrs for read in reads], parameters):
            read = reads[fault.job]
            place = read.places.get(fault.field, read.place)
            self._problems.add(fault.message, field=f"{read.label}.{fault.field}", place=place)

    def _spec(self, read: _Read) -> JobSpec:
        spec = JobSpec(**read.attrs)
        fault = isolation.problem_of(spec) or conditions.why_not(spec)
        if fault:
            self._problems.add(fault, field=read.label, place=read.place)
        try:
            requirements.check(spec.requirements)
        except ValueError as why:
            self._blame(read, "requirements", str(why))
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
        if name not in _WORK or not any(work in own for work in _WORK)
    }
    for name in _MERGED_WITH_DEFAULTS:
        if name in merged and name in own:
            own = {**own, name: {**merged[name], **own[name]}}
    merged.update(own)
    if merged.get("type") in UNATTENDED and not any(work in own for work in _WORK):
        for name in _WORK:
            merged.pop(name, None)
    if "id" in merged:
        merged["id"] = JobId(merged["id"])
    return merged
