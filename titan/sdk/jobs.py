"""`TitanJob`: a job as Python code declares it.

Holds what the user gave, checks it at once, and becomes a `JobSpec` when it is submitted. Fields are
read by the table that the YAML loader uses; only names and the unit of `delay` differ.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from titan.sdk.unchanged import is_as_kept, kept

if TYPE_CHECKING:
    from titan.spec.fields import Field
    from titan.spec.model import JobSpec

_V1_GATE_WAIT_S: Final = 172_800
_SDK_NAMES: Final = {
    "id": "id",
    "type": "job_type",
    "file": "filename",
    "depends_on": "parents",
    "with": "parameters",
}


class TitanJob:
    """One job of a run.

    `filename`: a script or executable on this machine; it travels with the run. With `is_archive` it
    is a zip file whose entry point is `main.py`, else `__main__.py`, else its only script (`.py` or
    `.sh`), each looked for at the top or inside the one folder that holds everything. With `bundle`
    (the digest that `upload_project_folder` answered) it is a path in that bundle instead.
    `command`: an argument list, or a line for bash, instead of a file. `script_content`: the script's
    text instead of a file; Python unless its first line names a shell.
    `args`: a string, split as a shell splits words; a list; or bytes, which are one argument.
    `requirements`: lines, or the path of a requirements file, on this machine or, with `bundle`, in it.
    `job_type="gate"` asks people: `hitl_message`, `approvers`, `form`, `max_wait_seconds`; a job of another
    type with a `hitl_message` gets such a gate put after it. `job_type="pipeline"` runs the saved
    `pipeline` of that name and `version` (0: the latest) with these `parameters`.
    `when`: a condition such as "outputs.a.n > 3", asked once the `trigger` holds; false skips the job.
    `foreach`: a list, or an expression that comes to one: the job runs once per element, which
    `current().item` is, and joins what they put out.
    `delay`, `retry_backoff_ms` and `retry_backoff_cap_ms` are milliseconds, `timeout` and
    `queue_timeout` seconds.

    Raises `FileNotFoundError` for a file that is not there, `TypeError` for an unknown field and
    `InvalidSpec` for values that cannot be, or that ask for what this version does not run.
    """

    def __init__(  # noqa: PLR0917 - the positions are v1's
        self,
        job_id: str,
        filename: str | os.PathLike[str] | None = None,
        job_type: str = "RUN_PAYLOAD",
        args: str | bytes | Sequence[object] | None = None,
        parents: Iterable[str] | None = None,
        port: int = 0,
        is_archive: bool = False,
        priority: int = 1,
        delay: int = 0,
        affinity: bool = False,
        requirement: str | Sequence[str] = "GENERAL",
        hitl_message: str | None = None,
        max_wait_seconds: int = _V1_GATE_WAIT_S,
        *,
        command: str | bytes | Sequence[object] | None = None,
        script_content: str | None = None,
        env: Mapping[str, object] | None = None,
        trigger: str = "all_success",
        when: str | None = None,
        resources: Mapping[str, float] | None = None,
        retries: int = 3,
        retry_backoff_ms: int = 1000,
        retry_backoff_cap_ms: int = 60_000,
        no_retry_exit_codes: Sequence[int] = (),
        timeout: float = 86_400,
        queue_timeout: float | None = None,
        health: Mapping[str, Any] | None = None,
        restart: Mapping[str, Any] | None = None,
        secrets: Sequence[str] = (),
        artifacts: Mapping[str, Any] | None = None,
        foreach: str | Sequence[Any] | None = None,
        isolation: str = "process",
        image: str | None = None,
        bundle: str | None = None,
        network: bool | None = None,
        limits: Mapping[str, int] | None = None,
        python: str | None = None,
        requirements: str | os.PathLike[str] | Sequence[str] | None = None,
        approvers: int | Mapping[str, Any] | None = None,
        form: Mapping[str, Any] | None = None,
        pipeline: str | None = None,
        version: int = 0,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        self.id = job_id
        self.filename = filename
        self.job_type = job_type
        self.args = args
        self.parents = [parents] if isinstance(parents, str) else list(parents or ())
        self.port = port
        self.is_archive = is_archive
        self.priority = priority
        self.delay = delay
        self.affinity = affinity
        self.requirement = requirement
        self.hitl_message = hitl_message
        self.max_wait_seconds = max_wait_seconds
        self.command = command
        self.script_content = script_content
        self.env = env
        self.trigger = trigger
        self.when = when
        self.resources = resources
        self.retries = retries
        self.retry_backoff_ms = retry_backoff_ms
        self.retry_backoff_cap_ms = retry_backoff_cap_ms
        self.no_retry_exit_codes = no_retry_exit_codes
        self.timeout = timeout
        self.queue_timeout = queue_timeout
        self.health = health
        self.restart = restart
        self.secrets = secrets
        self.artifacts = artifacts
        self.foreach = foreach
        self.isolation = isolation
        self.image = image
        self.bundle = bundle
        self.network = network
        self.limits = limits
        self.python = python
        self.requirements = requirements
        self.approvers = approvers
        self.form = form
        self.pipeline = pipeline
        self.version = version
        self.parameters = parameters
        self._check_file()
        spec = self._read()
        before = None if isinstance(requirements, str | os.PathLike) else kept(vars(self).values())
        self._spec = spec, before  # jobs are made once and submitted as they are, 100,000 at a time

    def __repr__(self) -> str:
        return f"TitanJob({self.id!r})"

    @property
    def source(self) -> Path | None:
        """The local file that has to travel, or None."""
        if self.filename is None or self.bundle is not None:
            return None
        return Path(self.filename)

    def to_spec(self, *, file: str | None = None, bundle: str | None = None) -> JobSpec:
        """The declared form. `file` and `bundle`: where the job's file lies once it is packed.

        Raises `InvalidSpec` with everything that is wrong with this job.
        """
        spec, before = self._spec
        if before is None or not is_as_kept(before, vars(self).values()):
            spec = self._read()
        if file is None and bundle is None:
            return spec
        from msgspec.structs import replace

        from titan.ids import Digest

        return replace(
            spec,
            file=spec.file if file is None else file,
            bundle=spec.bundle if bundle is None else Digest(bundle),
        )

    def _read(self) -> JobSpec:
        """The declaration as it stands."""
        from titan.ids import Digest
        from titan.spec import gates
        from titan.spec.model import JobSpec
        from titan.spec.problems import Problems

        problems = Problems(f"job {self.id!r}")
        attrs = self._attrs(problems)
        self._check_work(problems, kind=attrs.get("type", "run"))
        why = gates.why_not_declared(attrs)
        if why:
            problems.add(why)
        problems.raise_if_any()
        if self.bundle:
            attrs["bundle"] = Digest(self.bundle)
        spec = JobSpec(**attrs)
        self._check_isolation(spec, problems)
        return spec

    def _attrs(self, problems: Any) -> dict[str, Any]:
        from titan.spec import unavailable
        from titan.spec.service_values import service_faults

        given = self.__dict__
        attrs: dict[str, Any] = {}
        closed, table = _fields()
        for name, default in closed:
            if given[name] is not default:
                self._refuse(problems, name, unavailable.field_refusal(name, given[name]))
        for field, name, default in table:
            value = given[name]
            if value is default or value is None:
                continue  # the model has the same defaults
            if name != "foreach" and value in (default, []):
                continue  # given, and yet the default; for each of an empty list is something else
            if name == "delay":
                value = value / 1000  # the table counts in seconds
            try:
                read = field.read(self._given(name, value))
            except (ValueError, TypeError) as why:
                problems.add(str(why), field=name)
                continue
            self._refuse(problems, name, unavailable.value_refusal(field.name, read))
            attrs.update({field.attr: read} if field.attr else read)
        for fault in service_faults(attrs, needs_port=False):
            problems.add(fault.message, field=fault.field)
        return attrs

    def _given(self, name: str, value: Any) -> Any:
        if name == "filename":
            return os.fspath(value)
        if name == "requirements" and isinstance(value, str | os.PathLike):
            if self.bundle is not None:
                return os.fspath(value)
            from titan.spec.requirements import lines_of

            return lines_of(Path(value).read_text())  # it does not travel, so its lines do
        return value

    @staticmethod
    def _check_isolation(spec: JobSpec, problems: Any) -> None:
        from titan.spec import conditions, isolation, requirements

        if fault := isolation.problem_of(spec) or conditions.why_not(spec):
            problems.add(fault)
        if spec.requirements:
            try:
                requirements.check(spec.requirements)
            except ValueError as why:
                problems.add(str(why), field="requirements")
        problems.raise_if_any()

    @staticmethod
    def _refuse(problems: Any, name: str, why: str | None) -> None:
        if why is not None:
            problems.add(why, field=name)

    def _check_work(self, problems: Any, *, kind: str) -> None:
        from titan.ids import is_digest
        from titan.spec.model import UNATTENDED

        ways = [
            name
            for name in ("filename", "command", "script_content")
            if getattr(self, name) is not None
        ]
        if self.is_archive and "command" in ways and "filename" in ways:
            ways.remove("filename")  # the archive is where the command runs
        if (kind == "pipeline") != (self.pipeline is not None):
            problems.add("belongs to jobs of type pipeline, and to each of them", field="pipeline")
        if kind in UNATTENDED and ways:
            problems.add(f"a job of type {kind} runs nothing itself", field=ways[0])
        if kind not in UNATTENDED and len(ways) != 1:
            problems.add("needs exactly one of filename, command and script_content")
        if self.is_archive and self.filename is None:
            problems.add("is_archive needs a filename")
        if self.bundle is not None and not is_digest(self.bundle):
            problems.add("must be the digest of an uploaded bundle", field="bundle")

    def _check_file(self) -> None:
        source = self.source
        if source is not None and not source.is_file():
            raise FileNotFoundError(f"job {self.id!r}: no such file: {source}")


def _defaults() -> dict[str, Any]:
    init: Any = TitanJob.__init__
    code = init.__code__
    positional = code.co_varnames[: code.co_argcount]
    with_default = positional[-len(init.__defaults__) :]
    return {**dict(zip(with_default, init.__defaults__, strict=True)), **init.__kwdefaults__}


_DEFAULTS: Final = _defaults()


@functools.cache
def _fields() -> tuple[list[tuple[str, Any]], list[tuple[Field, str, Any]]]:
    """What `TitanJob` reads of itself: names and defaults of what this version does not run, then of the
    fields of the table. Made once, since a run may have 100,000 jobs."""
    from titan.spec import unavailable
    from titan.spec.fields import JOB_FIELDS

    names = [_SDK_NAMES.get(field.name, field.name) for field in JOB_FIELDS]
    return (
        [(name, _DEFAULTS[name]) for name in unavailable.FIELDS],
        [(field, name, _DEFAULTS.get(name)) for field, name in zip(JOB_FIELDS, names, strict=True)],
    )
