"""Interpreters on the worker: found by what a job names, asked once what they are."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from titan.exec.drivers import CannotStart
from titan.exec.isolation.limits import NotPrepared
from titan.exec.tools import Tools, reason_in

_PROBE_TIMEOUT_S: Final = 20.0
_PIP_WITH_PYTHON: Final = (22, 3)  # the first that installs for another interpreter
_PROBE: Final = """
import json, sys
try:
    import pip
    v = [int(n) for n in pip.__version__.split(".")[:2]]
except Exception:
    v = [0, 0]
print(json.dumps([sys.version, sys.prefix, sys.base_prefix, sys.exec_prefix, v]))
"""


class Python(NamedTuple):
    """An interpreter as it describes itself."""

    path: str
    version: str
    prefixes: tuple[Path, ...]  # what it needs to run
    has_pip: bool  # one that installs for other interpreters


class Pythons:
    """Finds interpreters; remembers what they said until their file changes."""

    def __init__(self, tools: Tools, *, env: Mapping[str, str]) -> None:
        self._tools = tools
        self._env = dict(env)
        self._known: dict[tuple[str, int, int], Python] = {}

    async def ask(self, path: str) -> Python:
        """What the interpreter is. Raises `NotPrepared`."""
        try:
            seen = Path(path).stat()
        except OSError as error:
            raise NotPrepared(f"the Python {path} cannot be used: {error.strerror}") from None
        key = path, seen.st_ino, seen.st_mtime_ns
        if key not in self._known:
            argv = [path, "-c", _PROBE]
            code, said = await self._tools.ask(argv, env=self._env, timeout_s=_PROBE_TIMEOUT_S)
            self._known[key] = _read(path, code, said)
        return self._known[key]


def find(name: str, *, search: str) -> str:
    """The interpreter that a job names: a path, a virtual environment, or a program of PATH.

    Raises `CannotStart` for what can be none, `NotPrepared` for what this worker does not have.
    """
    if "/" not in name:
        found = shutil.which(name, path=search)
        if found is None:
            raise NotPrepared(f"this worker has no Python {name!r} in PATH={search}")
        return found
    path = Path(name)
    if not path.is_absolute():
        raise CannotStart(
            f"python {name!r} is not an absolute path", hint="it is a path on the worker"
        )
    if path.is_dir():
        path = path / "bin" / "python"
    if not path.is_file() or not os.access(path, os.X_OK):
        raise NotPrepared(f"this worker has no Python {path}")
    return str(path)


def _read(path: str, code: int, said: str) -> Python:
    try:
        version, prefix, base, executables, pip = json.loads(said.splitlines()[-1])
    except (ValueError, IndexError, TypeError):
        raise NotPrepared(
            f"{path} does not answer as a Python: exit code {code}, {reason_in(said)}"
        ) from None
    prefixes = tuple(dict.fromkeys(Path(folder) for folder in (prefix, base, executables)))
    return Python(path, version, prefixes, tuple(pip) >= _PIP_WITH_PYTHON)
