"""How a function process comes to be: folder, bundle, interpreter, environment, socket, then the warden."""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from titan.exec import environment
from titan.exec.drivers import LIBRARY, PACKAGE_ROOT
from titan.exec.functions.process import FunctionProcess
from titan.exec.functions.protocol import CallEnd, output_file, value_file
from titan.exec.isolation.fences import Fences
from titan.exec.logs import LogStore
from titan.exec.warden_client import Warden
from titan.exec.workspace import Workspace
from titan.exec.workspaces import Workspaces
from titan.ids import AttemptId
from titan.wire.messages import RunAttempt

KEYS_BELOW: Final = -(1 << 40)  # the warden's keys of function processes; tools have those above
# Titan's part is imported before the bundle is in the way: a `socket.py` of the user's is not ours.
_PROGRAM: Final = (
    "import os, sys; sys.path[:1] = []; sys.path.append(sys.argv[1]); "
    "from titan.exec.functions.lending import borrow; borrow(*sys.argv[1:]); "
    "from titan.exec.functions.host import main; sys.path.insert(0, os.getcwd()); main()"
)
OnEnd = Callable[[FunctionProcess, CallEnd], None]


class Around(Protocol):
    """What function processes are started with."""

    @property
    def python(self) -> str:
        """The worker's own interpreter."""

    @property
    def base_env(self) -> dict[str, str]:
        """What every job gets."""

    @property
    def masters(self) -> Callable[[], tuple[str, ...]]:
        """Addresses of all masters."""


class Filler(Protocol):
    """Copies an order's bundle to where it is started."""

    def __call__(self, order: RunAttempt, workspace: Workspace, /) -> Awaitable[None]:
        """Fill the workspace."""


class _Python(NamedTuple):
    path: str
    env: dict[bytes, bytes]


class Starter:
    """Starts function processes and clears away what they leave."""

    def __init__(
        self,
        *,
        warden: Warden,
        workspaces: Workspaces,
        logs: LogStore,
        fences: Fences,
        around: Around,
        fill: Filler,
        folder: Path,
        remove: Callable[[Workspace], None],
    ) -> None:
        self._warden = warden
        self._workspaces = workspaces
        self._logs = logs
        self._fences = fences
        self._around = around
        self._fill = fill
        self._folder = folder
        self._remove = remove
        self._last_key = KEYS_BELOW
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in folder.iterdir():
            left.unlink()

    @property
    def masters(self) -> tuple[str, ...]:
        """Addresses of all masters, which a process is told once."""
        return self._around.masters()

    async def start(
        self, order: RunAttempt, *, on_end: OnEnd, on_hang_up: Callable[[], None]
    ) -> FunctionProcess:
        """A new process that can make the order's call. Raises what keeps it from being made."""
        workspace = self._workspaces.take()
        self._last_key -= 1
        key = AttemptId(self._last_key)
        try:
            if order.bundle:
                await self._fill(order, workspace)
            python = await self._python(order, workspace, key)
            return self._spawn(order, workspace, key=key, python=python, ends=(on_end, on_hang_up))
        except BaseException:
            self._fences.forget(key)
            self._remove(workspace)
            raise

    def clear(self, process: FunctionProcess) -> None:
        """It has ended: remove what was its own."""
        self._fences.forget(process.key)
        process.output.unlink(missing_ok=True)
        Path(value_file(process.logs)).unlink(missing_ok=True)
        self._remove(process.workspace)

    async def _python(self, order: RunAttempt, workspace: Workspace, key: AttemptId) -> _Python:
        """The interpreter that the job asks for; its environment is kept as long as the process."""
        env: dict[bytes, bytes] = {}
        if not self._fences.takes_time(order.spec):
            return _Python(self._around.python, env)
        stand_in = RunAttempt(
            attempt=key,
            fence=0,
            epoch=0,
            run=order.run,
            number=1,
            spec=order.spec,
            env=order.env,
        )
        where = self._logs.begin(order.run, order.spec.id, order.attempt)
        await self._fences.prepare(stand_in, workspace, log_to=where)
        return _Python(self._fences.interpreter(stand_in, env), env)

    def _spawn(
        self,
        order: RunAttempt,
        workspace: Workspace,
        *,
        key: AttemptId,
        python: _Python,
        ends: tuple[OnEnd, Callable[[], None]],
    ) -> FunctionProcess:
        logs = str(self._folder / str(-key))
        env = environment.of_process(
            self._around.base_env,
            key=key,
            masters=",".join(self._around.masters()),
            tmp=workspace.tmp,
            cwd=workspace.cwd,
            bundle=order.bundle,
        )
        env[b"TITAN_CALL_LOGS"] = os.fsencode(logs)
        env[os.fsencode(environment.OUTPUT_FILE_NAME)] = os.fsencode(value_file(logs))
        if b"VIRTUAL_ENV" in python.env:
            env[b"VIRTUAL_ENV"] = python.env[b"VIRTUAL_ENV"]
            env[b"PATH"] = os.fsencode(Path(python.path).parent) + b":" + env.get(b"PATH", b"")
        ours, theirs = socket.socketpair()
        with theirs:
            self._warden.spawn(
                key,
                argv=[
                    os.fsencode(word)
                    for word in (python.path, "-c", _PROGRAM, PACKAGE_ROOT, LIBRARY)
                ],
                cwd=workspace.cwd,
                env=env,
                log=Path(output_file(logs, 0)),
                door=theirs,
            )
        process = FunctionProcess(
            key,
            ours,
            workspace=workspace,
            logs=logs,
            on_end=ends[0],
            on_hang_up=ends[1],
        )
        process.masters = self._around.masters()
        return process
