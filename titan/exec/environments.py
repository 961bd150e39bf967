"""Virtual environments on the worker: built once for a digest, shared by every job that asks for it.

Owns the folder of environments. A digest covers the interpreter, the lines of requirements and what a
job tells pip by its environment, so that no job can choose the packages of another. An environment is
built where it stays, since scripts in it name their folder, and counts only once its mark is written.
One build serves all that wait; it ends with the last of them. The least recently used are removed.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from titan.exec.isolation.limits import NotPrepared
from titan.exec.pythons import Python
from titan.exec.tools import ToolFailed, Tools, last_of, reason_in
from titan.limits import BUILD_LOG_BYTES_MAX

log = logging.getLogger(__name__)

_MARK: Final = "complete"
_LINES: Final = "requirements.txt"
_BUILD_LOG: Final = "build.log"
_VENV: Final = "venv"
_FOLLOW_S: Final = 0.1  # how late a line of the build reaches the job's log
# What a job may tell pip: where packages are and which. The rest names files of the worker.
_OF_JOBS: Final = (
    "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_NO_BINARY",
    "PIP_ONLY_BINARY", "PIP_PRE", "PIP_PREFER_BINARY", "PIP_RETRIES", "PIP_TIMEOUT",
    "PIP_TRUSTED_HOST",
)  # fmt: skip
_PIP_OPTIONS: Final = ("--disable-pip-version-check", "--no-input")


def of_pip(job_env: Mapping[str, str]) -> dict[str, str]:
    """What a job tells pip; it makes the environment the job's own."""
    return {name: value for name, value in job_env.items() if name in _OF_JOBS}


@dataclass(slots=True)
class Environment:
    """One built environment."""

    digest: str
    root: Path
    used: int = 0  # a counter, not a clock
    users: int = 0

    @property
    def folder(self) -> Path:
        """The virtual environment itself."""
        return self.root / _VENV

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(self.folder / "bin" / "python")


@dataclass(slots=True)
class _Build:
    root: Path
    task: asyncio.Task[Environment]
    waiters: int = 0


class Environments:
    """See the module."""

    def __init__(
        self, root: Path, *, tools: Tools, env: Mapping[str, str], count_max: int, build_s: float
    ) -> None:
        self._root = root
        self._tools = tools
        self._env = dict(env)  # of builds: the worker's own settings for pip and proxies
        self._count_max = count_max
        self._build_s = build_s
        self._built: dict[str, Environment] = {}
        self._builds: dict[str, _Build] = {}
        self._removals: set[asyncio.Task[None]] = set()
        self._uses = 0
        root.mkdir(parents=True, exist_ok=True)
        self._load()

    async def acquire(
        self,
        python: Python,
        lines: Sequence[str],
        *,
        job_env: Mapping[str, str],
        log_to: Path,
        wheels_only: bool = False,
    ) -> Environment:
        """The environment with these requirements, kept until `release`. Raises `NotPrepared`.

        What a build prints is appended to `log_to` while it goes on. With `wheels_only` no code of
        a package runs while it is built.
        """
        own = of_pip(job_env)
        if wheels_only:
            own.pop("PIP_NO_BINARY", None)
            own["PIP_ONLY_BINARY"] = ":all:"
        digest = digest_of(python, lines, own)
        while digest not in self._built:  # it may go again before its waiter wakes up
            await self._join(digest, python, lines, own=own, log_to=log_to)
        found = self._built[digest]
        self._uses += 1
        found.used = self._uses
        found.users += 1
        os.utime(found.root / _MARK)  # the order of use survives the worker
        return found

    def release(self, environment: Environment) -> None:
        """A job that had it is over."""
        environment.users -= 1

    async def close(self) -> None:
        """Stop building and removing."""
        tasks = [*(build.task for build in self._builds.values()), *self._removals]
        for build in self._builds.values():
            build.task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- building -----------------------------------------------------------------------------

    async def _join(
        self,
        digest: str,
        python: Python,
        lines: Sequence[str],
        *,
        own: Mapping[str, str],
        log_to: Path,
    ) -> None:
        build = self._builds.get(digest)
        if build is None:
            build = self._begin(digest, python, lines, own=own)
        build.waiters += 1
        follower = asyncio.create_task(
            _follow(build.root / _BUILD_LOG, log_to), name=f"follow build {digest[:12]}"
        )
        try:
            await asyncio.shield(build.task)
        except asyncio.CancelledError:
            if build.task.cancelled():
                raise NotPrepared("the building of its environment was stopped") from None
            raise
        finally:
            build.waiters -= 1
            if not build.waiters and not build.task.done():
                build.task.cancel()  # nobody wants it any more
                self._builds.pop(digest, None)
            follower.cancel()
            await asyncio.gather(follower, return_exceptions=True)

    def _begin(
        self, digest: str, python: Python, lines: Sequence[str], *, own: Mapping[str, str]
    ) -> _Build:
        root = self._root / f"{digest[:24]}-{time.time_ns():x}"  # never the same place twice
        task = asyncio.create_task(
            self._build(digest, root, python, lines, own=own), name=f"build {digest[:12]}"
        )
        build = self._builds[digest] = _Build(root, task)
        task.add_done_callback(lambda done: self._build_over(digest, build, done))
        return build

    def _build_over(self, digest: str, build: _Build, done: asyncio.Task[Environment]) -> None:
        if self._builds.get(digest) is build:
            del self._builds[digest]
        if done.cancelled() or done.exception() is not None:
            self._remove_later(build.root)

    async def _build(
        self,
        digest: str,
        root: Path,
        python: Python,
        lines: Sequence[str],
        *,
        own: Mapping[str, str],
    ) -> Environment:
        root.mkdir()
        (root / _LINES).write_text("".join(f"{line}\n" for line in lines))
        deadline = time.monotonic() + self._build_s
        for argv in _steps(root, python):
            left_s = max(0.1, deadline - time.monotonic())
            code = await self._tools.run(
                argv, env={**self._env, **own}, log=root / _BUILD_LOG, timeout_s=left_s
            )
            if code:
                said = reason_in(last_of(root / _BUILD_LOG))
                raise ToolFailed(f"its Python environment could not be built: {said}")
        mark = root / f"{_MARK}.new"
        mark.write_text(json.dumps({"digest": digest, "python": python.path}))
        mark.replace(root / _MARK)
        environment = self._built[digest] = Environment(digest, root)
        self._make_room(besides=environment)
        return environment

    # --- the folder ---------------------------------------------------------------------------

    def _make_room(self, *, besides: Environment) -> None:
        idle = sorted(
            (one for one in self._built.values() if not one.users and one is not besides),
            key=lambda one: one.used,
        )
        for environment in idle[: max(0, len(self._built) - self._count_max)]:
            del self._built[environment.digest]
            self._remove_later(environment.root)

    def _remove_later(self, root: Path) -> None:
        with contextlib.suppress(OSError):
            (root / _MARK).unlink(missing_ok=True)  # half removed is not built
        task = asyncio.create_task(
            asyncio.to_thread(shutil.rmtree, root, ignore_errors=True), name=f"remove {root.name}"
        )
        self._removals.add(task)
        task.add_done_callback(self._removals.discard)

    def _load(self) -> None:
        """Take over what an earlier life built, the least recently used first; remove the rest."""
        found: list[tuple[float, Path, str]] = []
        for root in self._root.iterdir():
            try:
                mark = root / _MARK
                found.append((mark.stat().st_mtime, root, json.loads(mark.read_text())["digest"]))
            except (OSError, ValueError, KeyError):
                shutil.rmtree(root, ignore_errors=True)
        for _used, root, digest in sorted(found):
            self._uses += 1
            self._built[digest] = Environment(digest, root, used=self._uses)


def digest_of(python: Python, lines: Iterable[str], own: Mapping[str, str]) -> str:
    """What makes two environments the same."""
    parts = [python.version, python.path, sorted(set(lines)), sorted(own.items())]
    return hashlib.sha256(json.dumps(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _steps(root: Path, python: Python) -> list[list[str]]:
    """The commands that build one. An installed pip is faster than a copy in every environment."""
    venv = root / _VENV
    lines = str(root / _LINES)
    if python.has_pip:
        return [
            [python.path, "-m", "venv", "--without-pip", str(venv)],
            [python.path, "-m", "pip", "--python", str(venv / "bin" / "python"), "install",
             *_PIP_OPTIONS, "-r", lines],
        ]  # fmt: skip
    return [
        [python.path, "-m", "venv", str(venv)],
        [str(venv / "bin" / "python"), "-m", "pip", "install", *_PIP_OPTIONS, "-r", lines],
    ]


async def _follow(source: Path, target: Path) -> None:
    """Append what is written to `source`, within bounds, until cancelled; then what is left of it."""
    at = 0
    try:
        while True:
            at += _copy_on(source, target, at=at)
            await asyncio.sleep(_FOLLOW_S)
    finally:
        _copy_on(source, target, at=at)


def _copy_on(source: Path, target: Path, *, at: int) -> int:
    if at >= BUILD_LOG_BYTES_MAX:
        return 0
    try:
        with source.open("rb") as file:
            file.seek(at)
            piece = file.read(BUILD_LOG_BYTES_MAX - at)
        if piece:
            with target.open("ab", buffering=0) as out:
                out.write(piece)
    except OSError:
        return 0  # not begun yet, or no space: the build itself says so
    return len(piece)
