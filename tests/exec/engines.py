"""Bubblewrap and a container engine for tests, with an image made of the machine's own files."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

IMAGE = "titan-tests:busybox"
# No right to raise limits, and mixed control groups, are common on test machines.
OPTIONS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000", "--pids-limit=0")


def _why_no_bubblewrap() -> str:
    """Asked without the code under test: what is wrong there must not skip its tests."""
    if shutil.which("bwrap") is None:
        return "no bubblewrap on this machine: apt-get install bubblewrap"
    words = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "true"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=20)
    return "" if done.returncode == 0 else f"bubblewrap does not work here: {done.stderr.strip()}"


_NO_BUBBLEWRAP = _why_no_bubblewrap()
needs_bubblewrap = pytest.mark.skipif(bool(_NO_BUBBLEWRAP), reason=_NO_BUBBLEWRAP)


@dataclass(frozen=True)
class TestEngine:
    """Podman with a storage that goes with the tests."""

    __test__ = False
    command: str

    def run(self, *words: str) -> str:
        """What a command of the engine prints."""
        done = subprocess.run(
            [*self.command.split(), *words], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def containers(self) -> list[str]:
        """The names of all containers, running or not."""
        return self.run("ps", "--all", "--format", "{{.Names}}").split()


def make_engine(folder: Path) -> TestEngine:
    """An engine with the image, or a skip that says what the machine lacks."""
    for program, package in (("podman", "podman"), ("runc", "runc"), ("busybox", "busybox-static")):
        if shutil.which(program) is None:
            pytest.skip(f"no {program} on this machine: apt-get install {package}")
    if os.getuid() != 0:
        pytest.skip("containers are tested as root")
    command = f"podman --root {folder}/storage --runroot {folder}/run --runtime runc"
    engine = TestEngine(f"{command} --cgroup-manager cgroupfs --storage-driver vfs")
    archive = _archive(folder)
    engine.run("import", str(archive), IMAGE)
    return engine


def _archive(folder: Path) -> Path:
    """A root file system with one static program under its many names."""
    busybox = shutil.which("busybox")
    assert busybox is not None
    listed = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
    path = folder / "image.tar"
    with tarfile.open(path, "w") as tar:
        tar.add(busybox, "bin/busybox")
        for name in listed.stdout.split():
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            if name != "busybox":
                tar.addfile(link)
        for name in ("proc", "sys", "dev", "tmp", "etc"):
            member = tarfile.TarInfo(name)
            member.type, member.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(member)
    return path
