"""What each peer needs, and its own environment under `bench/out/venvs`.

A peer that cannot be had on this machine is left out by name, with the reason.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
OUT = ROOT / "bench" / "out"
INSTALL_TIMEOUT_S = 900
TITAN = "titan"


class Missing(Exception):
    """This peer cannot take part; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A system to compare with."""

    name: str
    requirements: tuple[str, ...]  # for pip
    programs: tuple[tuple[str, str], ...] = ()  # on the PATH, and the Debian package of each
    durability: str  # what has to have happened before work counts as taken


PEERS = {
    peer.name: peer
    for peer in (
        Peer(
            name="ray",
            requirements=("ray==2.*",),
            durability="memory of one head process; lost with it",
        ),
        Peer(
            name="dask",
            requirements=("distributed",),
            durability="memory of one scheduler; lost with it",
        ),
        Peer(
            name="celery",
            requirements=("celery[redis]==5.*",),
            programs=(("redis-server", "redis-server"),),
            durability="memory of one Redis, written to disk now and then (its built-in default)",
        ),
        Peer(
            name="hyperqueue",
            requirements=("hyperqueue",),
            durability="memory of one server; lost with it (its journal is off by default)",
        ),
        Peer(
            name="prefect",
            requirements=("prefect==3.*", "fastapi<0.120"),
            durability="one SQLite file of one server",
        ),
        Peer(
            name="etcd",
            requirements=("uvloop",),
            programs=(("etcd", "etcd-server"),),
            durability="fsync on a majority of three members before the answer",
        ),
    )
}
TITAN_DURABILITY = "fdatasync on a majority of three masters before anything is acted on"


def python_of(name: str) -> Path:
    """The interpreter that runs a side's programs, made ready. Raises `Missing`."""
    if name == TITAN:
        return Path(sys.executable)
    peer = PEERS[name]
    for program, package in peer.programs:
        if shutil.which(program) is None:
            raise Missing(f"there is no {program} here (Debian: apt-get install {package})")
    folder = OUT / "venvs" / name
    stamp = folder / ".installed"
    wanted = "\n".join(peer.requirements)
    if not stamp.exists() or stamp.read_text() != wanted:
        _install(folder, peer.requirements)
        stamp.write_text(wanted)
    return folder / "bin" / "python"


def _install(folder: Path, requirements: tuple[str, ...]) -> None:
    print(f"installing {', '.join(requirements)} …", flush=True)
    python = folder / "bin" / "python"
    if not python.exists():
        _run(sys.executable, "-m", "venv", str(folder))
    _run(str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *requirements)


def _run(*argv: str) -> None:
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise Missing(f"it could not be installed within {INSTALL_TIMEOUT_S} s") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Missing(f"it could not be installed: {last}")
