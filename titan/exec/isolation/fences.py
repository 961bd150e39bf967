"""The runner's door to isolation: what must be ready before a job, how it is started, what its end was.

Owns, for each attempt between `prepare` and `forget`, the environment it uses, its control group, and
the file that tells the sandbox or the container what a process list must not show. Decides nothing
about results but their cause.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from titan.exec import drivers, environment, pythons
from titan.exec.drivers import CannotStart
from titan.exec.environments import Environment, Environments
from titan.exec.isolation.cgroups import Cgroup
from titan.exec.isolation.container import ENGINE_FAILED, Engine
from titan.exec.isolation.limits import Limits, NotPrepared, limits_of, rlimits_of
from titan.exec.isolation.sandbox import TMP, Sandbox, seen_at
from titan.exec.isolation.techniques import Techniques
from titan.exec.isolation.verdicts import Verdict, engine_words, killed_in_container
from titan.exec.pythons import Python, Pythons
from titan.exec.tools import Tools
from titan.exec.workspace import Workspace
from titan.ids import AttemptId
from titan.limits import MIB
from titan.spec import requirements
from titan.spec.model import JobSpec
from titan.wire.messages import RunAttempt

log = logging.getLogger(__name__)

_REMOVE_TRIES: Final = 100
_REMOVE_PAUSE_S: Final = 0.05  # five seconds in all, for processes that are being reaped
_KILLED: Final = 128 + 9
_CONTAINER_PYTHON: Final = "python3"
_CONTAINER_SHELL: Final = b"sh"
_CONTAINER_NAMES: Final = (b"TMPDIR", b"PYTHONUNBUFFERED", b"LANG")
_PLAIN: Final[dict[str, Any]] = {}
_SCRIPT: Final[dict[str, Any]] = {"is_script": True}


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start the job's process."""

    argv: list[bytes]
    env: Mapping[bytes, bytes]
    how: dict[str, Any]


@dataclass(slots=True)
class _Ground:
    """What one attempt stands on."""

    limits: Limits
    python: Python | None = None
    environment: Environment | None = None
    cgroup: Cgroup | None = None
    told: Path | None = None  # the file for the sandbox or the engine
    is_container: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Isolation:
    """What `Fences` are opened with, once there is something to run helpers by."""

    private: Path  # a folder that no job can read
    environments: Path
    techniques: Techniques
    env: Mapping[str, str]  # of helpers
    environments_max: int
    build_timeout_s: float
    has_left: (
        Path  # a file that exists once containers were started: an earlier life may have left some
    )

    def open(self, tools: Tools, *, python: str) -> Fences:
        """The fences of a worker whose own interpreter is `python`."""
        if self.techniques.engine is not None:
            self.techniques.engine.use(tools, must_sweep=self.has_left.exists())
        return Fences(
            self.private / "told",
            isolation=self,
            pythons=Pythons(tools, env=self.env),
            environments=Environments(
                self.environments,
                tools=tools,
                env=self.env,
                count_max=self.environments_max,
                build_s=self.build_timeout_s,
            ),
            python=python,
        )


class Fences:
    """See the module."""

    def __init__(
        self,
        folder: Path,
        *,
        isolation: Isolation,
        pythons: Pythons,
        environments: Environments,
        python: str,
    ) -> None:
        self._folder = folder
        self._has = isolation.techniques
        self._has_left = isolation.has_left
        self._pythons = pythons
        self._environments = environments
        self._python = python  # the worker's own, for jobs that name none
        self._search = isolation.env.get("PATH", os.defpath)
        self._grounds: dict[AttemptId, _Ground] = {}
        self._removals: set[asyncio.Task[None]] = set()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in folder.iterdir():
            left.unlink()

    # --- before -------------------------------------------------------------------------------

    @staticmethod
    def takes_time(spec: JobSpec) -> bool:
        """Whether something must be looked for or made before the job can start."""
        return bool(
            spec.isolation != "process"
            or spec.python
            or spec.requirements
            or spec.requirements_file
        )

    async def prepare(self, order: RunAttempt, workspace: Workspace, *, log_to: Path) -> None:
        """Have everything that the job needs. Raises `CannotStart`, `NotPrepared`."""
        spec = order.spec
        ground = self._grounds[order.attempt] = _Ground(limits_of(spec))
        if spec.isolation == "container":
            await self._engine().ensure(spec.image, log_to=log_to)
            return
        if spec.isolation == "sandbox":
            self._sandbox()
        lines = _lines(spec, workspace)
        if not (lines or spec.python or spec.isolation == "sandbox"):
            return
        path = pythons.find(spec.python, search=self._search) if spec.python else self._python
        ground.python = await self._pythons.ask(path)
        if lines:
            ground.environment = await self._environments.acquire(
                ground.python,
                lines,
                job_env={**order.env, **spec.env},
                log_to=log_to,
                wheels_only=spec.isolation == "sandbox",
            )

    def launch(self, order: RunAttempt, workspace: Workspace, *, env: dict[bytes, bytes]) -> Launch:
        """The command and its limits. Raises `CannotStart`, `NotPrepared`, `OSError`."""
        spec = order.spec
        if order.attempt not in self._grounds and not (spec.limits or spec.resources):
            argv = drivers.command(spec, cwd=workspace.cwd, env=env, python=self._python)
            return Launch(argv, env, _SCRIPT if drivers.is_script(spec) else _PLAIN)
        ground = self._grounds.setdefault(order.attempt, _Ground(limits_of(spec)))
        if spec.isolation == "container":
            return self._in_container(order, workspace, ground, env=env)
        python = _environment(spec, ground, env) or self._python
        if spec.isolation == "sandbox":
            return self._in_sandbox(order, workspace, ground, python=python, env=env)
        argv = drivers.command(spec, cwd=workspace.cwd, env=env, python=python)
        how = self._confine(order.attempt, ground)
        if drivers.is_script(spec):
            how["is_script"] = True
        return Launch(argv, env, how)

    def interpreter(self, order: RunAttempt, env: dict[bytes, bytes]) -> str:
        """The prepared Python of the job; puts its environment into `env`."""
        ground = self._grounds.get(order.attempt)
        return (_environment(order.spec, ground, env) if ground else "") or self._python

    def output_bytes_max(self, attempt: AttemptId) -> int | None:
        """How much the job may print, when its declaration says so."""
        ground = self._grounds.get(attempt)
        return ground.limits.output_mb * MIB or None if ground is not None else None

    def _confine(self, attempt: AttemptId, ground: _Ground) -> dict[str, Any]:
        limits = ground.limits
        how: dict[str, Any] = {}
        rlimits = rlimits_of(limits, has_memory_cgroup=self._has.cgroups.has("memory"))
        if rlimits:
            how["rlimits"] = list(rlimits)
        if limits.wants_cgroup:
            ground.cgroup = self._has.cgroups.make(str(attempt), limits)
        if ground.cgroup is not None:
            how["doors"] = ground.cgroup.doors
        return how

    def _in_sandbox(
        self,
        order: RunAttempt,
        workspace: Workspace,
        ground: _Ground,
        *,
        python: str,
        env: dict[bytes, bytes],
    ) -> Launch:
        binds = [] if ground.python is None else list(ground.python.prefixes)
        if ground.environment is not None:
            binds.append(ground.environment.folder)
        found_by = {**env, b"PATH": self._sandbox().search(env.get(b"PATH", b""), binds)}
        argv = drivers.command(order.spec, cwd=workspace.cwd, env=found_by, python=python)
        how = self._confine(order.attempt, ground)
        ground.told = self._folder / str(order.attempt)
        command = self._sandbox().command(
            argv,
            arguments=ground.told,
            workspace=workspace,
            env=_inside(order.spec, env),
            binds=binds,
            has_network=bool(order.spec.network),
        )
        how.update(reach="inside", extra=os.fsencode(ground.told))
        return Launch(command, _marks(env), how)

    def _in_container(
        self, order: RunAttempt, workspace: Workspace, ground: _Ground, *, env: dict[bytes, bytes]
    ) -> Launch:
        spec, engine = order.spec, self._engine()
        declared = {os.fsencode(name) for name in (*order.env, *spec.env)}
        inner = {
            name: value
            for name, value in _inside(spec, env).items()
            if name in declared or name.startswith(b"TITAN_") or name in _CONTAINER_NAMES
        }
        ground.told = self._folder / str(order.attempt)
        ground.is_container = True
        self._has_left.touch()
        command = engine.command(
            drivers.command_elsewhere(
                spec,
                cwd=workspace.cwd,
                seen=seen_at("cwd"),
                python=spec.python or _CONTAINER_PYTHON,
                shell=_CONTAINER_SHELL,
            ),
            attempt=order.attempt,
            image=spec.image,
            workspace=workspace,
            env_file=ground.told,
            env=inner,
            has_network=bool(spec.network),
            limits=ground.limits,
        )
        own = {os.fsencode(name): os.fsencode(value) for name, value in engine.env.items()}
        return Launch(command, {**own, **_marks(env)}, {"reach": "main"})

    def _sandbox(self) -> Sandbox:
        if self._has.sandbox is None:
            raise NotPrepared(f"no sandbox on this worker: {self._has.missing.get('sandbox', '')}")
        return self._has.sandbox

    def _engine(self) -> Engine:
        if self._has.engine is None:
            why = self._has.missing.get("container", "")
            raise NotPrepared(f"no containers on this worker: {why}")
        return self._has.engine

    # --- after --------------------------------------------------------------------------------

    def farewell(self) -> tuple[list[bytes], dict[bytes, bytes]]:
        """What removes the containers of this worker when it cannot do so any more."""
        return self._engine().farewell(), self._engine().farewell_env()

    def needs_look(self, attempt: AttemptId) -> bool:
        """Whether the end has to be looked into by `look` before it is told."""
        ground = self._grounds.get(attempt)
        return ground is not None and ground.is_container

    async def look(
        self, attempt: AttemptId, *, exit_code: int, was_killed: bool, log_file: Path | None
    ) -> Verdict:
        """Clean up after a container; what its end was."""
        ground, engine = self._grounds[attempt], self._engine()
        verdict = Verdict()
        try:
            if ground.limits.memory_mb and exit_code == _KILLED and not was_killed:
                is_told = await engine.was_out_of_memory(attempt)
                verdict = killed_in_container(ground.limits.memory_mb, is_told=is_told)
            elif exit_code == ENGINE_FAILED and log_file is not None:
                verdict = engine_words(log_file)
            if ground.limits.memory_mb or was_killed or exit_code >= ENGINE_FAILED:
                await engine.remove(engine.name_of(attempt))
        except NotPrepared as error:
            log.warning("cannot clean up after attempt %d: %s", attempt, error)
        return verdict

    def verdict(self, attempt: AttemptId, *, exit_code: int) -> Verdict:
        """What the end of a process was, as its control group tells it."""
        ground = self._grounds.get(attempt)
        if ground is None or ground.cgroup is None or not exit_code:
            return Verdict()
        if not ground.limits.memory_mb or not ground.cgroup.oom_kills():
            return Verdict()
        peak = ground.cgroup.peak_mb()
        known = f"; it had {peak} MiB at most" if peak else ""
        return Verdict("out_of_memory", f"its limit is {ground.limits.memory_mb} MiB{known}")

    def forget(self, attempt: AttemptId) -> None:
        """The attempt is over: let go of what it had."""
        ground = self._grounds.pop(attempt, None)
        if ground is None:
            return
        if ground.environment is not None:
            self._environments.release(ground.environment)
        if ground.told is not None:
            ground.told.unlink(missing_ok=True)
        if ground.cgroup is not None and not ground.cgroup.remove():
            task = asyncio.create_task(
                _remove(ground.cgroup), name=f"remove control group of attempt {attempt}"
            )
            self._removals.add(task)
            task.add_done_callback(self._removals.discard)

    async def close(self) -> None:
        """Stop preparing; every process of a job is gone already."""
        await self._environments.close()
        if self._has.engine is not None:
            await self._has.engine.close()
        await asyncio.gather(*self._removals, return_exceptions=True)
        await asyncio.to_thread(self._has.cgroups.close)


def _environment(spec: JobSpec, ground: _Ground, env: dict[bytes, bytes]) -> str:
    """Put the job's own environment first in its PATH; its interpreter, "" when it has none."""
    if ground.environment is not None:
        folder, python = ground.environment.folder, ground.environment.python
    elif spec.python and ground.python is not None:
        folder, python = Path(ground.python.path).parent.parent, ground.python.path
        if not (folder / "pyvenv.cfg").exists():
            return python
    else:
        return ""
    env[b"VIRTUAL_ENV"] = os.fsencode(folder)
    env[b"PATH"] = os.fsencode(folder / "bin") + b":" + env.get(b"PATH", b"")
    return python


def _lines(spec: JobSpec, workspace: Workspace) -> tuple[str, ...]:
    """The requirements of the job, from wherever they are written."""
    lines = spec.requirements
    if spec.requirements_file:
        path = drivers.inside(workspace.cwd, spec.requirements_file)
        lines = requirements.lines_of(path.read_text(errors="replace"))
    try:
        requirements.check(lines)
        if spec.isolation == "sandbox":
            requirements.check_wheels_only(lines)
    except ValueError as error:
        raise CannotStart(str(error)) from None
    return lines


def _inside(spec: JobSpec, env: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """The environment with the paths that are true inside."""
    moved = {
        b"TMPDIR": os.fsencode(TMP),
        os.fsencode(environment.OUTPUT_FILE_NAME): os.fsencode(seen_at("output")),
        os.fsencode(environment.CHECKPOINT_DIR_NAME): os.fsencode(seen_at("checkpoint")),
    }
    if "HOME" not in spec.env:
        moved[b"HOME"] = os.fsencode(seen_at("cwd"))
    if "TMPDIR" in spec.env:
        del moved[b"TMPDIR"]
    return {**env, **moved}


def _marks(env: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """By which the warden and a later life of the worker know what runs outside for the job."""
    return {name: env[name] for name in (b"TITAN_ATTEMPT", b"TITAN_WORKER_DIR") if name in env}


async def _remove(cgroup: Cgroup) -> None:
    for _ in range(_REMOVE_TRIES):
        cgroup.kill()
        await asyncio.sleep(_REMOVE_PAUSE_S)
        with contextlib.suppress(OSError):
            if cgroup.remove():
                return
