"""Jobs in containers, by podman or docker: commands, images, and what has to be cleaned up.

The engine is a program with the same few verbs in both. It runs with the worker's environment, never
the job's. Containers carry the worker's id as a label: whatever bears it when the worker starts is a
left-over of an earlier life. An image is looked for, and fetched if the policy says so, before the job
starts; a container is never run with an image that is not there.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from titan.exec.isolation.limits import Limits, NotPrepared
from titan.exec.isolation.sandbox import JOB_ROOT, TMP, seen_at
from titan.exec.tools import Tools, last_of, reason_in
from titan.exec.workspace import Workspace
from titan.limits import IMAGES_REMEMBERED_MAX

log = logging.getLogger(__name__)

PULL_POLICIES: Final = ("missing", "always", "never")
ENGINES: Final = ("podman", "docker")
ENGINE_FAILED: Final = 125  # the exit code by which both engines speak of themselves
_ASK_TIMEOUT_S: Final = 30.0  # a busy disk; a daemon that hangs
_IMAGE_KNOWN_S: Final = 30.0  # an image that was there so recently is not looked for again
_LABEL: Final = "titan.worker"
_ENGINE_NAMES: Final = ("HOME", "LANG", "LOGNAME", "PATH", "USER", "XDG_RUNTIME_DIR", "TMPDIR")
_ENGINE_PREFIXES: Final = ("CONTAINER", "DOCKER_", "REGISTRY_", "STORAGE_", "SSL_")


class Engine:
    """A container engine as this worker uses it."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        worker: str,
        options: Sequence[str],
        network: str,
        pull: str,
        pull_s: float,
    ) -> None:
        self._tools: Tools | None = None
        self._worker = worker
        self._network = network  # when a job asks for one; "" leaves it to the engine
        self._pull = pull
        self._pull_s = pull_s
        self._base = list(command)  # the program and options of its own, such as `--runtime`
        self._options = list(options)  # of `run`
        self._images: dict[str, float] = {}  # known to be there → when it was seen
        self._pulls: dict[str, asyncio.Task[None]] = {}
        self._sweep: asyncio.Task[int] | None = None
        self.env = _engine_env(os.environ)

    def use(self, tools: Tools, *, must_sweep: bool) -> None:
        """What runs the engine for the worker itself; removes what an earlier life left."""
        self._tools = tools
        if must_sweep:
            self._sweep = asyncio.create_task(self.sweep(), name="remove left containers")
            self._sweep.add_done_callback(_note_sweep)

    @property
    def title(self) -> str:
        """For people."""
        return " ".join(self._base)

    def name_of(self, attempt: int) -> str:
        """The name of the attempt's container."""
        return f"titan-{self._worker}-{attempt}"

    # --- the job ------------------------------------------------------------------------------

    def command(
        self,
        argv: Sequence[bytes],
        *,
        attempt: int,
        image: str,
        workspace: Workspace,
        env_file: Path,
        env: Mapping[bytes, bytes],
        has_network: bool,
        limits: Limits,
    ) -> list[bytes]:
        """The command that runs `argv` in a container. Writes `env_file`."""
        words = [*self._base, "run", *self._options]
        words += ["--name", self.name_of(attempt), "--label", f"{_LABEL}={self._worker}"]
        words += ["--pull", "never", "--entrypoint", ""]
        words += ["--volume", f"{workspace.root}:{JOB_ROOT}", "--volume", f"{workspace.tmp}:{TMP}"]
        words += ["--workdir", str(seen_at("cwd")), *_limit_options(limits)]
        if not limits.memory_mb:
            words.append("--rm")  # else it is asked first how it ended
        if not has_network:
            words += ["--network", "none"]
        elif self._network:
            words += ["--network", self._network]
        long = _write_env(env_file, env)
        told = [os.fsencode(word) for word in [*words, "--env-file", str(env_file)]]
        return [*told, *long, os.fsencode(image), *argv]

    # --- images -------------------------------------------------------------------------------

    async def ensure(self, image: str, *, log_to: Path) -> None:
        """Have the image here. Raises `NotPrepared` when it cannot be had in time."""
        if image.startswith("-") or not image.isprintable():
            raise NotPrepared(f"{image!r} is not the name of an image")
        if self._sweep is not None:  # it would take a new container for an old one
            await asyncio.wait({self._sweep})
        seen_s = self._images.get(image)
        if seen_s is not None and time.monotonic() - seen_s < _IMAGE_KNOWN_S:
            return
        if self._pull == "always" or not await self._has(image):
            if self._pull == "never":
                raise NotPrepared(
                    f"there is no image {image!r} on this worker, and it does not fetch any",
                    hint=f"{Path(self._base[0]).name} pull {image}, or --container-pull missing",
                )
            await self._pulled(image, log_to)
        if len(self._images) >= IMAGES_REMEMBERED_MAX:
            self._images.clear()
        self._images[image] = time.monotonic()

    async def _has(self, image: str) -> bool:
        argv = [*self._base, "image", "inspect", "--format", "{{.Id}}", image]
        code, said = await self._ask(argv)
        if code and not _says_missing(said):
            raise NotPrepared(f"the container engine does not work: {reason_in(said)}")
        return code == 0

    async def _pulled(self, image: str, log_to: Path) -> None:
        """Join the one task that fetches this image. A waiter that gives up leaves it running."""
        task = self._pulls.get(image)
        if task is None:
            task = asyncio.create_task(self._fetch(image, log_to), name=f"pull {image}")
            self._pulls[image] = task
            task.add_done_callback(lambda done: self._pull_over(image, done))
        await asyncio.shield(task)

    def _pull_over(self, image: str, done: asyncio.Task[None]) -> None:
        self._pulls.pop(image, None)
        if not done.cancelled():
            done.exception()  # every waiter may have given up

    async def _fetch(self, image: str, log_to: Path) -> None:
        assert self._tools is not None
        argv = [*self._base, "pull", "--quiet", image]
        code = await self._tools.run(argv, env=self.env, log=log_to, timeout_s=self._pull_s)
        if code:
            why = reason_in(last_of(log_to))
            raise NotPrepared(f"the image {image!r} cannot be had: {why}")

    # --- afterwards ---------------------------------------------------------------------------

    async def was_out_of_memory(self, attempt: int) -> bool:
        """Whether the kernel ended it for its memory; only for containers that were kept."""
        argv = [*self._base, "inspect", "--format", "{{.State.OOMKilled}}", self.name_of(attempt)]
        code, said = await self._ask(argv)
        return code == 0 and said.strip().lower().endswith("true")

    async def remove(self, *names: str) -> None:
        """Remove containers, running or not; those that are gone are no trouble."""
        await self._ask([*self._base, "rm", "--force", "--volumes", *names])

    async def sweep(self) -> int:
        """Remove what an earlier life of this worker left; how many containers that were."""
        code, said = await self._ask(self._list_argv())
        left = said.split() if code == 0 else []
        if left:
            await self.remove(*left)
        return len(left)

    def farewell(self) -> list[bytes]:
        """What removes every container of this worker when the worker cannot."""
        script = 'left=$("$@") && [ -n "$left" ] && exec $REMOVE $left'
        return [os.fsencode(w) for w in ("/bin/sh", "-c", script, "titan", *self._list_argv())]

    def farewell_env(self) -> dict[bytes, bytes]:
        """The environment of `farewell`."""
        remove = " ".join([*self._base, "rm", "--force", "--volumes"])
        return {os.fsencode(k): os.fsencode(v) for k, v in {**self.env, "REMOVE": remove}.items()}

    async def close(self) -> None:
        """Stop fetching."""
        tasks = [*self._pulls.values(), *([self._sweep] if self._sweep is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _list_argv(self) -> list[str]:
        return [*self._base, "ps", "--all", "--quiet", "--filter", f"label={_LABEL}={self._worker}"]

    async def _ask(self, argv: Sequence[str]) -> tuple[int, str]:
        assert self._tools is not None
        return await self._tools.ask(argv, env=self.env, timeout_s=_ASK_TIMEOUT_S)


def _note_sweep(done: asyncio.Task[int]) -> None:
    if done.cancelled():
        return
    if (error := done.exception()) is not None:
        log.warning("containers of an earlier life may be left: %s", error)
    elif done.result():
        log.warning("removed %d containers that an earlier life left", done.result())


def find_engine(command: str) -> tuple[list[str], str]:
    """The engine's program and options, or nothing and why. "" takes the first engine there is."""
    name, *options = shlex.split(command) or [""]
    for candidate in (name,) if name else ENGINES:
        found = shutil.which(candidate)
        if found is not None:
            return [found, *options], ""
    return [], f"there is no {name or ' or '.join(ENGINES)} in PATH"


def _limit_options(limits: Limits) -> list[str]:
    words: list[str] = []
    if limits.cpu_milli:
        words += ["--cpus", f"{limits.cpu_milli / 1000:.3f}"]
    if limits.memory_mb:
        words += ["--memory", f"{limits.memory_mb}m", "--memory-swap", f"{limits.memory_mb}m"]
    if limits.processes:
        words += ["--pids-limit", str(limits.processes)]
    if limits.open_files:
        words += ["--ulimit", f"nofile={limits.open_files}:{limits.open_files}"]
    return words


def _says_missing(said: str) -> bool:
    text = said.lower()
    return "no such" in text or "not known" in text or "not found" in text


def _write_env(path: Path, env: Mapping[bytes, bytes]) -> list[bytes]:
    """Variables into the file; the options for those that no line can hold, which `ps` shows."""
    lines, long = [], []
    for name, value in env.items():
        if b"\n" in value or b"\r" in value:
            long += [b"--env", name + b"=" + value]
        else:
            lines.append(name + b"=" + value + b"\n")
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.writelines(lines)
    return long


def _engine_env(source: Mapping[str, str]) -> dict[str, str]:
    """What an engine reads of the worker's own environment."""
    kept = {
        name: value
        for name, value in source.items()
        if name in _ENGINE_NAMES
        or name.startswith(_ENGINE_PREFIXES)
        or name.lower().endswith("_proxy")
    }
    return {"PATH": os.defpath, **kept}
