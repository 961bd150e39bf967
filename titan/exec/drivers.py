"""From a job's declaration to the command that runs it.

Owns the choice of interpreter and the look-up of files inside the workspace. Starts nothing. Arguments
are bytes and stay as they are: no shell ever sees them unless the job is a shell line.
"""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

import titan
from titan.errors import UserError
from titan.spec.model import JobSpec

CALL_FILE_NAME: Final = (
    "call"  # in the attempt's private folder: what an isolated function is given
)
PACKAGE_ROOT: Final = str(Path(titan.__file__).parent.parent)
LIBRARY: Final = str(
    Path(msgspec.__file__).parent.parent
)  # of what Titan needs in a task's process
_ONE_CALL: Final = Path(__file__).parent / "functions" / "once.py"
_SEARCHES_MAX: Final = 256  # found programs remembered


class CannotStart(UserError):
    """The job cannot be started as it is declared; the text says what is missing and where."""

    code = "start_failed"


def command(spec: JobSpec, *, cwd: Path, env: Mapping[bytes, bytes], python: str) -> list[bytes]:
    """The argument list of the job; its first item is the path of the program.

    `cwd` is the attempt's folder with the bundle's files in it; `env` is the job's environment, whose
    PATH finds programs. Raises `CannotStart`.
    """
    _check_work(spec)
    if spec.call is not None:
        words = (python, _ONE_CALL, cwd.parent / CALL_FILE_NAME, PACKAGE_ROOT, LIBRARY)
        return [os.fsencode(word) for word in words]
    if spec.shell:
        return [_bash(), b"-c", spec.shell, b"titan", *spec.args]
    if spec.argv:
        name, *rest = spec.argv
        return [_program(name, cwd=cwd, env=env), *rest, *spec.args]
    return [*_file_command(spec, cwd=cwd, python=python), *spec.args]


def command_elsewhere(
    spec: JobSpec, *, cwd: Path, seen: Path, python: str, shell: bytes
) -> list[bytes]:
    """The same for a job whose programs are not this machine's: only its own files can be checked.

    `seen`: where the job finds `cwd`.
    """
    _check_work(spec)
    if spec.shell:
        return [shell, b"-c", spec.shell, b"titan", *spec.args]
    if spec.argv:
        return [*spec.argv, *spec.args]
    path = seen / inside(cwd, spec.file).relative_to(cwd)
    by = {".py": [os.fsencode(python)], ".sh": [shell]}.get(path.suffix, [])
    return [*by, os.fsencode(path), *spec.args]


def _check_work(spec: JobSpec) -> None:
    if spec.type not in ("run", "service"):
        raise CannotStart(f"this worker does not run jobs of type {spec.type!r}")
    given = [bool(spec.file), bool(spec.argv), bool(spec.shell), spec.call is not None]
    if sum(given) != 1:
        raise CannotStart("exactly one of file, argv, shell and call must be set")


def is_script(spec: JobSpec) -> bool:
    """Whether `command` runs the worker's Python with a script."""
    if spec.call is not None:
        return True
    return not spec.argv and not spec.shell and Path(spec.file).suffix == ".py"


def _file_command(spec: JobSpec, *, cwd: Path, python: str) -> list[bytes]:
    path = inside(cwd, spec.file)
    match path.suffix:
        case ".py":
            return [os.fsencode(python), os.fsencode(path)]
        case ".sh":
            return [_bash(), os.fsencode(path)]
    if not os.access(path, os.X_OK):
        raise CannotStart(
            f"{spec.file!r} is not executable", hint="chmod +x it, or name it .py or .sh"
        )
    with path.open("rb") as file:
        head = file.read(4)
    if head != b"\x7fELF" and not head.startswith(b"#!"):
        raise CannotStart(f"{spec.file!r} is neither a program nor a script with a #! line")
    return [os.fsencode(path)]


def _bash() -> bytes:
    """The worker's bash, whatever PATH the job has given itself."""
    found = shutil.which("bash")
    if found is None:
        raise CannotStart("there is no bash on this worker")
    return os.fsencode(found)


def inside(folder: Path, name: str) -> Path:
    """The file `name` of `folder`; refuses whatever leads out of it."""
    parts = Path(name).parts
    if "\0" in name or name.startswith("/") or ".." in parts:
        raise CannotStart(f"{name!r} is not a path inside the bundle")
    path = folder / name
    if _is_plain_file(folder, parts):
        return path
    if not path.resolve().is_relative_to(folder.resolve()):
        raise CannotStart(f"{name!r} leads out of the bundle")
    if not path.exists():
        raise CannotStart(f"there is no file {name!r} in the bundle; {_contents(folder)}")
    if not path.is_file():
        raise CannotStart(f"{name!r} is not a file")
    return path


def _is_plain_file(folder: Path, parts: tuple[str, ...]) -> bool:
    """Whether it is a file and no link is on the way to it, so that it can lead nowhere else."""
    at, mode = str(folder), 0
    try:
        for part in parts:
            at = f"{at}/{part}"
            mode = os.lstat(at).st_mode
            if stat.S_ISLNK(mode):
                return False
    except OSError:
        return False
    return stat.S_ISREG(mode)


def _contents(folder: Path) -> str:
    shown = 5
    names = sorted(entry.name for entry in folder.iterdir())
    if not names:
        return "the job has no bundle, or it is empty"
    more = ", …" if len(names) > shown else ""
    return f"it holds {', '.join(names[:shown])}{more}"


def _program(name: bytes, *, cwd: Path, env: Mapping[bytes, bytes]) -> bytes:
    """The path of program `name`, as a shell would find it in the job's folder and PATH."""
    if b"\0" in name or not name:
        raise CannotStart(f"{os.fsdecode(name)!r} is not the name of a program")
    if b"/" in name:
        path = os.path.join(os.fsencode(cwd), name)  # noqa: PTH118 - bytes
        _check_program(path, name)
        return path
    folders = env.get(b"PATH", b"")
    if _is_the_same_anywhere(folders):
        return _search_again(name, folders, int(time.monotonic()))
    return _search(name, folders, start=os.fsencode(cwd))


@lru_cache(maxsize=_SEARCHES_MAX)
def _is_the_same_anywhere(folders: bytes) -> bool:
    """Whether a PATH finds the same programs from every folder."""
    return all(folder.startswith(b"/") for folder in folders.split(b":"))


@lru_cache(maxsize=_SEARCHES_MAX)
def _search_again(name: bytes, folders: bytes, _second: int) -> bytes:
    """Look a name up once a second: most jobs run the same few programs. Misses are not remembered."""
    return _search(name, folders, start=b"")


def _search(name: bytes, folders: bytes, *, start: bytes) -> bytes:
    for folder in folders.split(b":"):
        path = os.path.join(start, folder, name)  # noqa: PTH118 - bytes
        if os.path.isfile(path) and os.access(path, os.X_OK):  # noqa: PTH113 - bytes
            return path
    shown = os.fsdecode(folders)
    raise CannotStart(f"there is no program {os.fsdecode(name)!r} in PATH={shown}")


def _check_program(path: bytes, name: bytes) -> None:
    shown = os.fsdecode(name)
    if not os.path.isfile(path):  # noqa: PTH113 - bytes
        raise CannotStart(f"there is no program {shown!r}")
    if not os.access(path, os.X_OK):
        raise CannotStart(f"{shown!r} is not executable")
