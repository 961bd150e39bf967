"""A pipeline's YAML file into a `PipelineSpec`, with every mistake found at once and located.

Owns the order of reading: tree, known names, what this version does not run, values (`yaml_fields.py`),
jobs and defaults (`yaml_jobs.py`), files (`yaml_files.py`), graph (`yaml_checks.py`). What a field means is
in `fields/`. Reads the file itself and looks whether named files exist; packing them is `bundle.py`'s.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from titan.errors import InvalidSpec, LimitExceeded
from titan.limits import YAML_BYTES_MAX
from titan.spec import gates, inputs, labels
from titan.spec.bundle import Bundle, bundle_files, bundle_project
from titan.spec.fields import DEFAULT_FIELD, ROOT_FIELD
from titan.spec.model import Input, PipelineSpec
from titan.spec.problems import Place, Problems
from titan.spec.values import kind_of
from titan.spec.yaml_checks import check_conditions, check_graph, check_services
from titan.spec.yaml_fields import FieldsReader
from titan.spec.yaml_files import FilesReader
from titan.spec.yaml_jobs import JobsReader
from titan.spec.yaml_tree import Node, read_tree


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


class _Reader:
    """Reads one file; every method reports into `problems` and goes on."""

    def __init__(self, problems: Problems, path: Path, *, open_world: bool) -> None:
        self._open_world = open_world
        self._problems = problems
        self._path = path
        self._folder = Path(os.path.abspath(path)).parent  # noqa: PTH100 - keeps symlinks
        self._fields = FieldsReader(problems)
        self._jobs = JobsReader(problems, self._fields)
        self._files = FilesReader(problems, self._folder)

    def pipeline(self, tree: Node) -> LoadedPipeline:
        root = dict(self._fields.known(tree, ROOT_FIELD, label="", root=True))
        plain = {
            name: self._fields.value(ROOT_FIELD[name], node, label=name)
            for name, node in root.items()
            if name in ("name", "version", "project", "schedule", "budget")
        }
        parameters = self._parameters(root.get("parameters"))
        tags = self._labels(root.get("labels"))
        defaults = self._defaults(root.get("defaults"))
        reads = list(self._jobs.jobs(root.get("jobs"), defaults, tree.place))
        is_project = plain.get("project")
        files = self._files.files(reads, is_project=is_project is not False)
        check_services(reads, self._problems)
        check_graph(reads, self._problems, open_world=self._open_world)
        check_conditions(reads, parameters, self._problems)
        self._problems.raise_if_any()
        spec = PipelineSpec(
            name=plain.get("name") or self._path.stem,
            version=plain.get("version") or "",
            parameters={name: one.default for name, one in parameters.items()},
            inputs=parameters,
            schedule=plain.get("schedule"),
            budget=plain.get("budget"),
            labels=tags,
            jobs=gates.with_gates([self._jobs.spec(read) for read in reads]),
        )
        self._problems.raise_if_any()
        folder = None if is_project is False else self._folder
        return LoadedPipeline(spec, self._path, folder, files)

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

    def _labels(self, node: Node | None) -> dict[str, str]:
        """Values as they are spelt: `1.10` stays `1.10`. Each problem stands where its label does."""
        if node is None or (node.kind == "scalar" and node.value is None):
            return {}
        if node.kind != "mapping":
            message = f"must be a mapping of keys to text, not {kind_of(node.plain())}"
            self._problems.add(message, field="labels", place=node.place)
            return {}
        found: dict[str, str] = {}
        for key, one in node.entries.items():
            value = one.plain(verbatim=True)
            if problem := labels.why_not_key(key):
                self._problems.add(problem, field="labels", place=node.keys[key])
            elif problem := labels.why_not_value(value):
                self._problems.add(problem, field=f"labels.{key}", place=one.place)
            else:
                found[key] = value
        if problem := labels.why_too_many(len(node.entries)):
            self._problems.add(problem, field="labels", place=node.place)
        return found

    def _defaults(self, node: Node | None) -> dict[str, Any]:
        if node is None or (node.kind == "scalar" and node.value is None):
            return {}
        if node.kind != "mapping":
            message = f"must be a mapping of job fields, not {kind_of(node.plain())}"
            self._problems.add(message, field="defaults", place=node.place)
            return {}
        return self._fields.attrs(node, DEFAULT_FIELD, label="defaults").attrs
