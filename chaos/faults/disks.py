"""Disks that are full and disks that lie."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from typing import Final

from chaos.control import Member
from chaos.faults.base import Injected, World
from chaos.network.namespaces import run

TMPFS_BYTES: Final = 192 << 20  # above a master's reserve by some segments
LEFT_FREE_BYTES: Final = (0, 4 << 20, 40 << 20)  # all below its reserve
FATAL_EXIT: Final = 70
JUDGED_AFTER_S: Final = 8.0
JOURNALS: Final = "*.titan"


async def mount(folder: Path) -> None:
    """Put a small file system of its own under a data directory."""
    folder.mkdir(parents=True, exist_ok=True)
    await run("mount", "-t", "tmpfs", "-o", f"size={TMPFS_BYTES}", "titan-chaos", str(folder))


async def unmount(folder: Path) -> None:
    """Take it away; what is not mounted is passed over."""
    await run("umount", "-l", str(folder), check=False)


async def fill_disk(world: World) -> Injected:
    """Fill the disk of the master that has one of its own."""
    master = _on_own_disk(world)
    ballast = master.data / "ballast"
    keep = world.rng.choice(LEFT_FREE_BYTES)
    await asyncio.to_thread(_fill, ballast, keep)

    async def heal() -> None:
        ballast.unlink(missing_ok=True)

    return Injected(f"{master.name}, {keep >> 20} MiB left", heal)


def _fill(ballast: Path, keep: int) -> None:
    size = shutil.disk_usage(ballast.parent).free - keep
    with ballast.open("wb") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, max(1, size))
        except OSError:
            file.write(b"x")  # the master took the last bytes meanwhile: full enough


def _on_own_disk(world: World) -> Member:
    return next(m for m in world.cluster.masters if os.path.ismount(m.data))


async def flip_byte(world: World) -> Injected:
    """Kill a master, flip one bit in the middle of its log, start it: it must leave or have repaired it.

    Undone by flipping the bit back, since a disk that lost data must not vote again under its old name.
    """
    master = await world.follower()
    await master.kill()
    path, offset = _victim_byte(master, world)
    _flip(path, offset, bit := 1 << world.rng.randrange(8))
    target = f"{master.name} {path.name} offset {offset}"
    master.start()
    master.is_hurt = True
    for _ in range(int(JUDGED_AFTER_S / 0.1)):
        if not master.is_alive:
            break
        await asyncio.sleep(0.1)
    if master.exit_code not in (None, FATAL_EXIT):
        what = f"with a damaged log {target} ended with {master.exit_code} instead of {FATAL_EXIT}"
        world.broken("fail-stop", what, *master.last_words())

    async def heal() -> None:
        await master.kill()
        if path.exists():
            _flip(path, offset, bit)
        master.start()

    return Injected(target, heal)


def _victim_byte(master: Member, world: World) -> tuple[Path, int]:
    """A byte of the newest segment of the log that is in use and has others behind it."""
    path = max(
        master.data.rglob(JOURNALS), key=lambda p: (p.name.startswith("log"), p.stat().st_size)
    )
    used = len(path.read_bytes().rstrip(b"\0"))
    return path, world.rng.randrange(used // 2)


def _flip(path: Path, offset: int, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ bit]))
