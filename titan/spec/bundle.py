"""A project folder, or a few files, as one deterministic archive named by its SHA-256.

The same files give the same bytes on every machine: sorted names, no times, no owners, only the
executable bit kept. The archive is a tar, gzipped when that saves a fifth or more. Memory is bounded:
small bundles stay in memory, larger ones are written to a temporary file. What is left out of a folder
is decided by `ignore.py`. Unpacking is the worker's.
"""

from __future__ import annotations

import gzip
import hashlib
import heapq
import io
import os
import stat
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Final, NamedTuple

from titan.errors import Conflict, InvalidSpec, LimitExceeded
from titan.ids import Digest
from titan.limits import (
    BUNDLE_BYTES_MAX,
    BUNDLE_FILES_MAX,
    BUNDLE_UNPACKED_BYTES_MAX,
    LARGEST_FILES_SHOWN,
    MIB,
)
from titan.spec.ignore import walk

_IN_MEMORY_BYTES_MAX: Final = 4 * MIB
_COPY_BYTES: Final = MIB
_GZIP_LEVEL: Final = 6
_PAYS_BELOW: Final = 0.8  # of the plain size; less is not worth the worker's time


class Entry(NamedTuple):
    """One thing in a bundle: a local file, given bytes, a link (`target`) or an empty directory."""

    name: str  # relative, with "/"
    source: Path | bytes | None = None
    size: int = 0
    is_executable: bool = False
    target: str = ""


class Bundle:
    """A packed bundle. Owns its temporary file: close it, or use it in a `with` block."""

    def __init__(self, stream: IO[bytes], digest: Digest, size: int, names: frozenset[str]) -> None:
        self.digest = digest
        self.size = size  # of the archive, in bytes
        self.names = names  # of the files in it
        self._stream = stream

    def rewind(self) -> IO[bytes]:
        """The archive's bytes from the beginning."""
        self._stream.seek(0)
        return self._stream

    def close(self) -> None:
        """Remove the temporary file; again does nothing."""
        self._stream.close()

    def __enter__(self) -> Bundle:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()


def bundle_project(folder: str | os.PathLike[str]) -> Bundle:
    """Pack a folder without what its ignore files name.

    Raises `NotADirectoryError`, `LimitExceeded` (with the largest files), `InvalidSpec` for symbolic
    links that leave the folder and for what is neither file, link nor directory, and `Conflict` when a
    file changes while it is packed.
    """
    root = Path(os.path.abspath(folder))  # noqa: PTH100 - a link to a project is fine
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is not a directory")
    return _pack(_project_entries(root))


def bundle_files(files: Mapping[str, Path | bytes]) -> Bundle:
    """Pack single files: path in the bundle → local file or its content. Links are followed.

    Raises `FileNotFoundError`, `LimitExceeded`, `Conflict`; `InvalidSpec` for a path that leaves the
    bundle.
    """
    return _pack(_file_entry(name, source) for name, source in files.items())


def _file_entry(name: str, source: Path | bytes) -> Entry:
    parts = name.split("/")
    if not name or name.startswith("/") or {"", ".", ".."} & set(parts) or "\0" in name:
        raise InvalidSpec(f"{name!r} cannot be a path in a bundle")
    if isinstance(source, bytes):
        return Entry(name, source, len(source))
    about = source.stat()
    if not stat.S_ISREG(about.st_mode):
        raise InvalidSpec(f"{source} is not a regular file")
    return Entry(name, source, about.st_size, bool(about.st_mode & 0o111))


def _project_entries(root: Path) -> list[Entry]:
    entries: list[Entry] = []
    problems: list[str] = []
    for name, about in walk(root):
        path = root / name
        if stat.S_ISREG(about.st_mode):
            entries.append(Entry(name, path, about.st_size, bool(about.st_mode & 0o111)))
        elif stat.S_ISDIR(about.st_mode):
            entries.append(Entry(name))
        elif stat.S_ISLNK(about.st_mode):
            target = _inner_target(root, path)
            if target is None:
                problems.append(f"{name}: the link to {path.readlink()} leaves the project")
            else:
                entries.append(Entry(name, target=target))
        else:
            problems.append(f"{name}: is neither a file, a link nor a directory")
        if len(entries) > BUNDLE_FILES_MAX:
            break  # refused by `_check_limits`; a folder without end must not be walked to its end
    if problems:
        raise InvalidSpec(
            problems=tuple(problems), hint="remove them, or name them in .titanignore"
        )
    return entries


def _inner_target(root: Path, link: Path) -> str | None:
    """The link's target relative to the link, or None when it leads out of `root` anywhere."""
    target = os.path.normpath(link.parent / link.readlink())
    lexical = target == str(root) or target.startswith(f"{root}{os.sep}")
    real_root = os.path.realpath(root)
    real = os.path.realpath(link)
    if not lexical or not (real == real_root or real.startswith(f"{real_root}{os.sep}")):
        return None
    return os.path.relpath(target, link.parent).replace(os.sep, "/")


def _check_limits(entries: list[Entry]) -> None:
    total = sum(entry.size for entry in entries)
    if len(entries) <= BUNDLE_FILES_MAX and total <= BUNDLE_UNPACKED_BYTES_MAX:
        return
    if len(entries) > BUNDLE_FILES_MAX:
        message = f"the bundle would hold more than {BUNDLE_FILES_MAX} files"
    else:
        message = f"the bundle would hold {total} bytes; at most {BUNDLE_UNPACKED_BYTES_MAX}"
    _refuse(message, entries)


def _refuse(message: str, entries: Iterable[Entry]) -> None:
    largest = heapq.nlargest(
        LARGEST_FILES_SHOWN, entries, key=lambda entry: (entry.size, entry.name)
    )
    shown = "".join(f"\n  {entry.size:>14,} {entry.name}" for entry in largest)
    raise LimitExceeded(
        f"{message}. The largest files:{shown}",
        hint="name what the jobs do not need in .titanignore; large data belongs outside the project",
    )


def _pack(found: Iterable[Entry]) -> Bundle:
    entries = sorted(found, key=lambda entry: os.fsencode(entry.name))
    _check_limits(entries)
    plain = _scratch()
    try:
        _write_tar(plain, entries)
        stream = _gzip_if_it_pays(plain)
        digest, size = _measure(stream)
        if size > BUNDLE_BYTES_MAX:
            stream.close()
            _refuse(f"the bundle is {size} bytes packed; at most {BUNDLE_BYTES_MAX}", entries)
    except BaseException:
        plain.close()
        raise
    names = frozenset(entry.name for entry in entries if entry.source is not None or entry.target)
    return Bundle(stream, digest, size, names)


def _scratch() -> IO[bytes]:
    return tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES_MAX, prefix="titan-bundle-")


def _write_tar(stream: IO[bytes], entries: list[Entry]) -> None:
    with tarfile.open(
        fileobj=stream,
        mode="w",
        format=tarfile.GNU_FORMAT,  # keeps long names and names that are not UTF-8
        encoding="utf-8",
        errors="surrogateescape",
    ) as archive:
        for entry in entries:
            _add(archive, entry)


def _add(archive: tarfile.TarFile, entry: Entry) -> None:
    info = tarfile.TarInfo(entry.name)  # no time, no owner
    info.mode = 0o755 if entry.is_executable else 0o644
    if entry.target:
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry.target, 0o777
        archive.addfile(info)
    elif entry.source is None:
        info.type, info.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(info)
    elif isinstance(entry.source, bytes):
        info.size = entry.size
        archive.addfile(info, io.BytesIO(entry.source))
    else:
        _add_file(archive, info, entry.source, size=entry.size)


def _add_file(archive: tarfile.TarFile, info: tarfile.TarInfo, source: Path, *, size: int) -> None:
    with source.open("rb") as stream:
        now = os.fstat(stream.fileno()).st_size
        info.size = size
        if now == size:
            try:
                archive.addfile(info, stream)
            except OSError as why:
                if why.errno is not None:  # the disk; without a number it is tarfile's short read
                    raise
                now = -1
        if now != size:
            raise Conflict(f"{source} changed while it was packed", reason="file_changed")


def _gzip_if_it_pays(plain: IO[bytes]) -> IO[bytes]:
    size = plain.tell()
    packed = _scratch()
    plain.seek(0)
    with gzip.GzipFile("", "wb", _GZIP_LEVEL, packed, mtime=0) as target:
        while piece := plain.read(_COPY_BYTES):
            target.write(piece)
            if packed.tell() >= size * _PAYS_BELOW:
                break  # it cannot pay any more
    if packed.tell() < size * _PAYS_BELOW:
        plain.close()
        return packed
    packed.close()
    return plain


def _measure(stream: IO[bytes]) -> tuple[Digest, int]:
    stream.seek(0)
    sha = hashlib.sha256()
    size = 0
    while piece := stream.read(_COPY_BYTES):
        sha.update(piece)
        size += len(piece)
    return Digest(sha.hexdigest()), size
