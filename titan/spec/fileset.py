"""Sets of files in a folder: found, hashed, stored, and listed in a manifest.

Only regular files and folders inside the folder count. A symbolic link is followed when it leads to a file
inside; any other is refused by name. Everything blocks and is for a thread, but for `store`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from titan.errors import TitanError
from titan.ids import Digest
from titan.limits import ARTIFACT_FILES_MAX, CHECKPOINT_FILES_MAX
from titan.spec.globs import first_match, fixed_folder, is_wild
from titan.spec.manifest import (
    FileEntry,
    Manifest,
    encode_listing,
    is_listable,
    manifest_of,
)

Store = Callable[[Digest, Path], Awaitable[None]]


class Incomplete(TitanError):
    """The job has not left what it has declared, or something that cannot be taken."""

    code = "artifact_missing"


class Found(NamedTuple):
    """A file or folder that is left: where it is, and how it is called in the manifest."""

    path: str
    source: Path
    mode: int
    size: int
    is_folder: bool


def find(folder: Path, patterns: Sequence[str]) -> list[Found]:
    """Everything that the patterns mean, with the folders on the way. Raises `Incomplete`."""
    root = folder.resolve()
    found: dict[str, Found] = {}
    unused = dict.fromkeys(patterns)
    for path, source, seen in _walk_all(root, patterns):
        pattern = first_match(patterns, path)
        if pattern is None:
            continue
        for each in [one for one in unused if first_match((one,), path)]:
            del unused[each]
        is_folder = stat.S_ISDIR(seen.st_mode)
        size = 0 if is_folder else seen.st_size
        found[path] = Found(path, source, stat.S_IMODE(seen.st_mode) & 0o777, size, is_folder)
        if len(found) > ARTIFACT_FILES_MAX:
            raise Incomplete(f"more than {ARTIFACT_FILES_MAX} files; put them into an archive")
    if unused:
        missing = ", ".join(repr(pattern) for pattern in unused)
        raise Incomplete(f"no file matches {missing}")
    for path in list(found):
        _add_folders(found, root, path)
    return [found[path] for path in sorted(found)]


def _add_folders(found: dict[str, Found], root: Path, path: str) -> None:
    """The folders above a file keep their modes too."""
    parts = path.split("/")[:-1]
    for end in range(1, len(parts) + 1):
        above = "/".join(parts[:end])
        if above not in found:
            source = root / above
            mode = stat.S_IMODE(source.stat().st_mode) & 0o777
            found[above] = Found(above, source, mode, 0, True)


def _walk_all(root: Path, patterns: Sequence[str]) -> Iterator[tuple[str, Path, os.stat_result]]:
    """What may match: each folder that a pattern begins with is walked once."""
    tops = {fixed_folder(pattern): is_wild(pattern) for pattern in patterns}
    walked: list[str] = []
    for top in sorted(tops):
        if any(not above or top == above or top.startswith(f"{above}/") for above in walked):
            continue
        walked.append(top)
        if not top:
            yield from _walk(root, root, "")
        elif (root / top).exists() or (root / top).is_symlink():
            yield from _one(root, root / top, top)


def _walk(root: Path, folder: Path, name: str) -> Iterator[tuple[str, Path, os.stat_result]]:
    for entry in sorted(os.scandir(folder), key=lambda one: one.name):
        path = f"{name}/{entry.name}" if name else entry.name
        yield from _one(root, folder / entry.name, path)


def _one(root: Path, source: Path, path: str) -> Iterator[tuple[str, Path, os.stat_result]]:
    seen = source.lstat()
    if stat.S_ISLNK(seen.st_mode):
        real = source.resolve()
        if not real.is_relative_to(root) or not real.is_file():
            raise Incomplete(f"{path!r} is a link that does not lead to a file inside the folder")
        yield path, real, real.stat()
    elif stat.S_ISREG(seen.st_mode):
        if not source.resolve().is_relative_to(root):
            raise Incomplete(f"{path!r} leads out of the job's folder")
        yield path, source, seen
    elif stat.S_ISDIR(seen.st_mode):
        yield path, source, seen
        yield from _walk(root, source, path)


def hashed(found: Sequence[Found]) -> list[FileEntry]:
    """The entries of a manifest, every file read once."""
    return [
        FileEntry(
            one.path,
            Digest("") if one.is_folder else Digest(sha256_of(one.source)),
            one.size,
            one.mode,
        )
        for one in found
    ]


async def store(
    found: Sequence[Found], entries: list[FileEntry], *, put: Store, scratch: Path
) -> Manifest:
    """Upload the files with `put` and answer their manifest. `scratch`: a folder for large sets."""
    if not is_listable(entries):
        return await _store_packed(found, entries, put=put, scratch=scratch)
    sent: dict[Digest, None] = {}
    for one, entry in zip(found, entries, strict=True):
        if entry.digest and entry.digest not in sent:
            sent[entry.digest] = None
            await put(entry.digest, one.source)
    return manifest_of(entries)


async def _store_packed(
    found: Sequence[Found], entries: list[FileEntry], *, put: Store, scratch: Path
) -> Manifest:
    """Many files: their bytes one after the other in one blob, their entries in another."""
    pack, listing = scratch / "pack", scratch / "listing"
    placed: list[FileEntry] = []
    with pack.open("wb") as out:
        for one, entry in zip(found, entries, strict=True):
            offset = out.tell()
            if not entry.is_folder:
                with one.source.open("rb") as source:
                    shutil.copyfileobj(source, out)
            placed.append(FileEntry(entry.path, entry.digest, entry.size, entry.mode, offset))
    listing.write_bytes(encode_listing(placed))
    digests = []
    for path in (listing, pack):
        digest = Digest(sha256_of(path))
        digests.append(digest)
        await put(digest, path)
        path.unlink(missing_ok=True)
    return Manifest(
        listing=digests[0],
        pack=digests[1],
        count=sum(not entry.is_folder for entry in entries),
        size=sum(entry.size for entry in entries),
    )


# --- a folder as it is ----------------------------------------------------------------------------


class Seen(NamedTuple):
    """What shows that a file has not changed. A folder has `size` -1."""

    inode: int
    size: int
    changed_ns: int
    mode: int


Look = dict[str, Seen]


def look_at(folder: Path) -> Look:
    """Every file and folder inside, without those whose names begin with a dot."""
    found: Look = {}
    queue = [""]
    for name in queue:
        for entry in os.scandir(folder / name):
            if entry.name.startswith("."):
                continue
            seen = entry.stat(follow_symlinks=False)
            path = f"{name}/{entry.name}" if name else entry.name
            mode = stat.S_IMODE(seen.st_mode) & 0o777
            if stat.S_ISDIR(seen.st_mode):
                found[path] = Seen(0, -1, 0, mode)
                queue.append(path)
            elif stat.S_ISREG(seen.st_mode):
                found[path] = Seen(seen.st_ino, seen.st_size, seen.st_mtime_ns, mode)
            if len(found) > CHECKPOINT_FILES_MAX:
                raise OSError(f"more than {CHECKPOINT_FILES_MAX} files in the checkpoint folder")
    return found


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
