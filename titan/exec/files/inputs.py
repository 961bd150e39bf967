"""What a job takes from others, and what its checkpoint holds: chosen, fetched, put into its folder."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from titan.exec.drivers import CannotStart
from titan.exec.files.cache import FileCache
from titan.ids import Digest, JobId
from titan.limits import BLOB_BLOCK_BYTES
from titan.spec.globs import Input, fixed_folder, matches, placed, read_input
from titan.spec.manifest import FileEntry, Manifest, decode_listing


class Placed(NamedTuple):
    """An entry, where it goes, and the blob that holds it (at the entry's offset in a pack)."""

    entry: FileEntry
    target: str
    blob: Digest


async def choose(
    texts: Sequence[str], manifests: Mapping[JobId, Manifest], *, cache: FileCache
) -> list[Placed]:
    """What the inputs mean. Raises `CannotStart` for one that means nothing."""
    chosen: dict[str, Placed] = {}
    listed = {
        str(job): await entries_of(manifest, cache=cache) for job, manifest in manifests.items()
    }
    for text in texts:
        wanted = read_input(text)
        entries = listed.get(wanted.job, ())
        hits = [entry for entry in entries if matches(wanted.pattern, entry.path)]
        if not any(not entry.is_folder for entry in hits):
            left = "it has left nothing" if not entries else f"it has left {_names(entries)}"
            raise CannotStart(
                f"job {wanted.job!r} has left no file {wanted.pattern!r}; {left}",
                hint="its artifacts: {out: […]} say what it leaves",
            )
        pack = manifests[JobId(wanted.job)].pack
        for entry in (*_above(wanted, entries, hits), *hits):
            target = placed(wanted, entry.path)
            chosen[target] = Placed(entry, target, pack or entry.digest)
    return [chosen[target] for target in sorted(chosen)]


def _above(
    wanted: Input, entries: Iterable[FileEntry], hits: Iterable[FileEntry]
) -> list[FileEntry]:
    """The folders that the hits lie in, so that they keep their modes; with a target, those that are
    still there below it."""
    names = {
        "/".join(parts[:end])
        for parts in (hit.path.split("/") for hit in hits)
        for end in range(1, len(parts))
    }
    if wanted.target:
        base = fixed_folder(wanted.pattern)
        names = {name for name in names if not base or name.startswith(f"{base}/")}
    return [entry for entry in entries if entry.is_folder and entry.path in names]


def _names(entries: Iterable[FileEntry]) -> str:
    shown = 5
    names = [entry.path for entry in entries if not entry.is_folder]
    more = ", …" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


async def entries_of(manifest: Manifest, *, cache: FileCache) -> tuple[FileEntry, ...]:
    """All entries, of a large set too."""
    if not manifest.listing:
        return manifest.files
    async with cache.use(manifest.listing) as path:
        try:
            return decode_listing(await asyncio.to_thread(path.read_bytes))
        except ValueError as error:
            raise CannotStart(str(error)) from None


async def place(chosen: Sequence[Placed], folder: Path, *, cache: FileCache) -> None:
    """Copy everything into the folder, which nothing leaves. Folders get their modes last."""
    folders = [one for one in chosen if one.entry.is_folder]
    for one in folders:
        await asyncio.to_thread(_make_folder, folder, one.target)
    for one in chosen:
        if one.entry.is_folder:
            continue
        if not one.entry.size:
            await asyncio.to_thread(_copy, None, folder, one)
            continue
        async with cache.use(one.blob) as blob:
            copying = asyncio.ensure_future(asyncio.to_thread(_copy, blob, folder, one))
            try:
                await asyncio.shield(copying)
            except asyncio.CancelledError:
                await asyncio.wait({copying})  # the folder is removed next: let the thread leave it
                raise
    for one in reversed(folders):
        (folder / one.target).chmod(one.entry.mode | 0o700)


async def place_all(manifest: Manifest, folder: Path, *, cache: FileCache) -> None:
    """Copy a whole set into the folder."""
    entries = await entries_of(manifest, cache=cache)
    everything = [Placed(one, one.path, manifest.pack or one.digest) for one in entries]
    await place(everything, folder, cache=cache)


def _make_folder(root: Path, name: str) -> None:
    path = root / name
    _refuse_links(root, path)
    path.mkdir(parents=True, exist_ok=True)


def _refuse_links(root: Path, path: Path) -> None:
    """What the bundle brought must not lead an input out of the job's folder."""
    if not path.resolve().is_relative_to(root.resolve()):
        raise CannotStart(f"{path.relative_to(root)} leads out of the job's folder")


def _copy(blob: Path | None, root: Path, one: Placed) -> None:
    target = root / one.target
    _refuse_links(root, target.parent)
    target.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        target.unlink()  # it replaces what the bundle brought
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        if blob is not None:
            _copy_range(blob, fd, offset=one.entry.offset, size=one.entry.size)
        os.fchmod(fd, one.entry.mode | 0o600)
    finally:
        os.close(fd)


def _copy_range(blob: Path, target: int, *, offset: int, size: int) -> None:
    source = os.open(blob, os.O_RDONLY | os.O_CLOEXEC)
    try:
        at, end = offset, offset + size
        while at < end:
            sent = os.sendfile(target, source, at, min(end - at, 64 * BLOB_BLOCK_BYTES))
            if not sent:
                raise CannotStart(f"the blob {blob.name} is shorter than its manifest says")
            at += sent
    finally:
        os.close(source)
