"""Unpacking an archive that nobody vouches for.

Owns the rules: a member stays inside the target, is a file, a folder or a link that stays inside, and
all of them together stay under the limits for bundles. A refusal names the member. Zip and tar, plain
or gzipped, are told apart by their first bytes.
"""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, Final

from titan.errors import UserError
from titan.limits import BUNDLE_FILES_MAX, BUNDLE_UNPACKED_BYTES_MAX, MIB

_CHUNK_BYTES: Final = 256 * 1024
_METADATA_BYTES_MAX: Final = 1 * MIB  # one tar header extension; the library reads it whole
_LINK_CHARS_MAX: Final = 4096  # PATH_MAX
_NAME_BYTES_MAX: Final = 255  # NAME_MAX
_PATH_BYTES_MAX: Final = 3072  # leaves room for the folder it goes into
_GZIP: Final = b"\x1f\x8b"
_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
_DAMAGED: Final = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    gzip.BadGzipFile,
    NotImplementedError,  # a compression that zipfile does not have
    UnicodeDecodeError,
)


class ArchiveRefused(UserError):
    """The archive is damaged or not safe to unpack."""

    code = "archive_refused"


def unpack(
    archive: Path,
    target: Path,
    *,
    bytes_max: int = BUNDLE_UNPACKED_BYTES_MAX,
    files_max: int = BUNDLE_FILES_MAX,
) -> int:
    """Unpack into the existing empty folder `target`; the bytes that its files take.

    Raises `ArchiveRefused`; what was unpacked until then is left for the caller to remove.
    """
    tree = _Tree(target, bytes_max=bytes_max, files_max=files_max)
    try:
        with archive.open("rb") as file:
            head = file.read(4)
            file.seek(0)
            if head in _ZIP:
                _unpack_zip(file, tree)
            elif head.startswith(_GZIP):
                with gzip.open(file) as plain:
                    _unpack_tar(_Frugal(plain), tree)
            else:
                _unpack_tar(_Frugal(file), tree)
    except _DAMAGED as error:
        raise ArchiveRefused(f"the bundle is damaged: {error}") from None
    tree.check_links()
    return tree.written_bytes


class _Frugal(io.RawIOBase):
    """A file that refuses to be read in huge pieces, which only a hostile header asks for."""

    def __init__(self, inner: IO[bytes] | gzip.GzipFile) -> None:
        self._inner = inner

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > _METADATA_BYTES_MAX:
            raise ArchiveRefused(f"a header of the bundle claims {size} bytes")
        return self._inner.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._inner.seek(offset, whence)

    def tell(self) -> int:
        return self._inner.tell()


class _Tree:
    """The folder being filled, and what has been spent of its limits."""

    def __init__(self, root: Path, *, bytes_max: int, files_max: int) -> None:
        self._root = root
        self._bytes_max, self._files_max = bytes_max, files_max
        self._members = 0
        self._links: list[tuple[Path, str]] = []
        self.written_bytes = 0

    def folder(self, name: str) -> None:
        self._make_folders(self._place(name), name)

    def file(self, name: str, source: IO[bytes], *, executable: bool) -> None:
        path = self._place(name)
        self._make_folders(path.parent, name)
        if path.is_symlink() or path.is_dir():
            raise ArchiveRefused(f"{name!r} replaces a link or a folder")
        with path.open("wb") as target:
            while piece := source.read(_CHUNK_BYTES):
                self.written_bytes += len(piece)
                if self.written_bytes > self._bytes_max:
                    raise ArchiveRefused(
                        f"unpacked to more than {self._bytes_max} bytes at {name!r}"
                    )
                target.write(piece)
        path.chmod(0o755 if executable else 0o644)

    def link(self, name: str, destination: str) -> None:
        path = self._place(name)
        joined = os.path.normpath(path.parent.relative_to(self._root) / destination)
        if os.path.isabs(destination) or joined.split("/")[0] == "..":  # noqa: PTH117
            raise ArchiveRefused(f"the link {name!r} leads out of the bundle, to {destination!r}")
        self._make_folders(path.parent, name)
        if os.path.lexists(path):
            raise ArchiveRefused(f"the link {name!r} replaces another member")
        path.symlink_to(destination)
        self._links.append((path, name))

    def check_links(self) -> None:
        """Links through links can lead further than their text says: look again with all in place."""
        root = self._root.resolve()
        for path, name in self._links:
            try:
                inside = path.resolve().is_relative_to(root)
            except (OSError, RuntimeError):  # a loop
                inside = False
            if not inside:
                raise ArchiveRefused(f"the link {name!r} leads out of the bundle")

    def _place(self, name: str) -> Path:
        self._members += 1
        if self._members > self._files_max:
            raise ArchiveRefused(f"more than {self._files_max} members, at {name!r}")
        pure = PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts or "\0" in name:
            raise ArchiveRefused(f"{name[:200]!r} is not a path inside the bundle")
        longest = max((len(os.fsencode(part)) for part in pure.parts), default=0)
        if longest > _NAME_BYTES_MAX or len(os.fsencode(name)) > _PATH_BYTES_MAX:
            raise ArchiveRefused(f"{name[:200]!r}… is too long a name")
        return self._root / pure

    def _make_folders(self, folder: Path, name: str) -> None:
        """Like mkdir -p, but never through a link."""
        at = self._root
        for part in folder.relative_to(self._root).parts:
            at /= part
            try:
                at.mkdir(0o755)
            except FileExistsError:
                if at.is_symlink() or not at.is_dir():
                    raise ArchiveRefused(f"{name!r} goes through a link or a file") from None


def _unpack_tar(file: _Frugal, tree: _Tree) -> None:
    with tarfile.open(fileobj=file, mode="r:") as archive:
        for member in archive:
            if member.isdir():
                tree.folder(member.name)
            elif member.issym():
                tree.link(member.name, member.linkname)
            elif member.isreg() or member.islnk():  # a hard link becomes a copy of its target
                source = _tar_content(archive, member)
                tree.file(member.name, source, executable=bool(member.mode & 0o111))
            else:
                raise ArchiveRefused(f"{member.name!r} is neither a file, a folder nor a link")


def _tar_content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    try:
        source = archive.extractfile(member)
    except KeyError:
        source = None
    if source is None:
        raise ArchiveRefused(f"the link {member.name!r} leads out of the bundle")
    return source


def _unpack_zip(file: IO[bytes], tree: _Tree) -> None:
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            mode = member.external_attr >> 16
            kind = stat.S_IFMT(mode)
            if member.flag_bits & 1:
                raise ArchiveRefused(f"{member.filename!r} is encrypted")
            if member.is_dir():
                tree.folder(member.filename)
            elif kind == stat.S_IFLNK:
                with archive.open(member) as source:
                    text = os.fsdecode(source.read(_LINK_CHARS_MAX))
                tree.link(member.filename, text)
            elif kind in (0, stat.S_IFREG):
                with archive.open(member) as source:
                    tree.file(member.filename, source, executable=bool(mode & 0o111))
            else:
                raise ArchiveRefused(f"{member.filename!r} is neither a file, a folder nor a link")
