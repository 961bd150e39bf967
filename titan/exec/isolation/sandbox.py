"""Jobs in a root of their own, by bubblewrap: what they see, and how they come to see it.

A sandboxed job sees the system's programs read-only, its own folder as `/job`, a `/tmp` of its own, its
own processes, and no network unless it asked. It sees no other job, nothing of the worker's data, no
home folders. What bubblewrap is told travels in a file that only the worker can read: the job's
environment must not be in the arguments, which everybody can read, nor in the environment of a program
that runs outside, which a job could bend by `LD_PRELOAD`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import titan
from titan.exec.isolation.limits import NotPrepared
from titan.exec.workspace import Workspace

ARGUMENTS_FD: Final = 3
JOB_ROOT: Final = Path("/job")  # the workspace, as the job sees it
TMP: Final = Path("/tmp")  # noqa: S108 - the job's own
_PROBE_TIMEOUT_S: Final = 10.0
_SYSTEM: Final = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")  # often links into /usr
_OF_ETC: Final = (  # no more: each costs about a millisecond, for the kernel waits at every mount
    "alternatives", "group", "hosts", "ld.so.cache", "localtime", "nsswitch.conf", "os-release",
    "passwd", "pki", "protocols", "resolv.conf", "services", "ssl",
)  # fmt: skip


class Sandbox:
    """Bubblewrap as this worker uses it."""

    def __init__(self, program: str, *, binds: Iterable[Path], data_dir: Path) -> None:
        self.program = program
        package = Path(titan.__file__).parent
        self._seen = [Path("/usr"), package, *binds]
        self._data_dir = data_dir.resolve()

    def command(
        self,
        argv: Sequence[bytes],
        *,
        arguments: Path,
        workspace: Workspace,
        env: Mapping[bytes, bytes],
        binds: Iterable[Path],
        has_network: bool,
    ) -> list[bytes]:
        """The command that runs `argv` in a sandbox. Writes `arguments`, to be its descriptor 3.

        Raises `NotPrepared` when the program is not to be seen from inside.
        """
        seen = [*self._seen, *binds]
        inside = [*_moved(argv[:2], workspace.cwd), *argv[2:]]
        self._check_visible(inside[0], seen)
        told: list[bytes] = [
            *map(os.fsencode, self._view(seen, workspace, has_network=has_network)),
            b"--clearenv",
        ]
        for name, value in env.items():
            told += [b"--setenv", name, value]
        _write_private(arguments, b"".join(word + b"\0" for word in told))
        return [os.fsencode(self.program), b"--args", b"%d" % ARGUMENTS_FD, b"--", *inside]

    def _view(
        self, seen: Iterable[Path], workspace: Workspace | None, *, has_network: bool
    ) -> list[str]:
        told = ["--unshare-all", "--die-with-parent", "--cap-drop", "ALL", "--hostname", "job"]
        if has_network:
            told.append("--share-net")
        told += ["--proc", "/proc", "--dev", "/dev"]
        for folder in _SYSTEM:
            told += _link_or_bind(Path(folder))
        for name in _OF_ETC:
            told += _show_of_etc(Path("/etc", name))
        if workspace is not None:
            told += ["--bind", str(workspace.root), str(JOB_ROOT)]
            told += ["--bind", str(workspace.tmp), str(TMP), "--chdir", str(seen_at("cwd"))]
        for path in dict.fromkeys(seen):  # after /tmp, where some of them may lie
            told += ["--ro-bind", str(path), str(path)]
        if any(self._data_dir.is_relative_to(path) for path in seen):
            told += ["--tmpfs", str(self._data_dir)]  # it lies in something that is shown
        return told

    def _check_visible(self, program: bytes, seen: Iterable[Path]) -> None:
        path = Path(os.fsdecode(program))
        if path.is_relative_to(JOB_ROOT):
            return
        if not all(_is_shown(one, seen) for one in (path, path.resolve())):
            raise NotPrepared(
                f"{path} is not to be seen from inside a sandbox",
                hint=f"titan worker --sandbox-bind {path.parent}",
            )

    def search(self, path: bytes, binds: Iterable[Path]) -> bytes:
        """The folders of a PATH that are to be seen from inside."""
        seen = [*self._seen, *binds]
        folders = path.split(b":")
        return b":".join(f for f in folders if _is_shown(Path(os.fsdecode(f)), seen))

    def probe(self) -> str:
        """Why it does not work here, "" when it does. Blocks: for the worker's start."""
        argv = [self.program, *self._view([Path("/usr")], None, has_network=False), "true"]
        try:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=_PROBE_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        return "" if done.returncode == 0 else done.stderr.decode(errors="replace").strip()


def find_sandbox(*, binds: Iterable[Path], data_dir: Path) -> tuple[Sandbox | None, str]:
    """The sandbox of this machine, or None and why there is none."""
    program = shutil.which("bwrap")
    if program is None:
        return None, "bubblewrap (bwrap) is not installed"
    sandbox = Sandbox(program, binds=binds, data_dir=data_dir)
    problem = sandbox.probe()
    return (None, f"bubblewrap does not work here: {problem}") if problem else (sandbox, "")


def seen_at(name: str) -> Path:
    """Where a job finds a part of its workspace: `cwd`, `output`."""
    return JOB_ROOT / name


def _is_shown(path: Path, seen: Iterable[Path]) -> bool:
    return any(path.is_relative_to(root) for root in (*map(Path, _SYSTEM), *seen))


def _moved(words: Sequence[bytes], cwd: Path) -> list[bytes]:
    """Paths in the workspace as they are called inside."""
    outside = os.fsencode(cwd) + b"/"
    inside = os.fsencode(seen_at("cwd")) + b"/"
    return [inside + w[len(outside) :] if w.startswith(outside) else w for w in words]


def _link_or_bind(folder: Path) -> list[str]:
    if folder.is_symlink():
        return ["--symlink", str(folder.readlink()), str(folder)]
    return ["--ro-bind-try", str(folder), str(folder)]


def _show_of_etc(path: Path) -> list[str]:
    """As a link where it is one to something that is seen, which needs no mount."""
    real = path.resolve()
    if path.is_symlink() and real.is_relative_to("/usr"):
        return ["--symlink", str(real), str(path)]
    return ["--ro-bind", str(real), str(path)] if real.exists() else []


def _write_private(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.write(data)
