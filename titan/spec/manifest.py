"""A set of files with their contents' digests: what a job hands to its children, or a checkpoint.

An output that is too large for the state is in a blob beside those files.

Plain values that travel and are kept in the state, so they are bounded. A set with more files than
`MANIFEST_FILES_MAX` has its listing in a blob, and its contents one after the other in another one, the
pack: then two digests stand for all of it, and collecting garbage needs to know no more than those.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from titan.ids import Digest, is_digest
from titan.limits import MANIFEST_BYTES_MAX, MANIFEST_FILES_MAX

_PATH_BYTES_MAX = 4096


class FileEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One file, or a folder when `digest` is "". In a pack its bytes begin at `offset`."""

    path: str  # relative, with "/", never leading out
    digest: Digest
    size: int
    mode: int  # permission bits
    offset: int = 0

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return not self.digest


class Manifest(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The files of a set, sorted by path; `listing` and `pack` instead when they are too many."""

    files: tuple[FileEntry, ...] = ()
    listing: Digest = Digest("")
    pack: Digest = Digest("")
    count: int = 0  # files, folders not counted
    size: int = 0  # bytes of all files
    output: Digest = Digest("")  # what the job put out, when that is too large for the state
    output_size: int = 0

    @property
    def output_reference(self) -> bytes:
        """What stands for such an output in the state, and for people who look there: JSON."""
        return msgspec.json.encode({"$blob": self.output, "size": self.output_size})

    @property
    def digests(self) -> Iterator[Digest]:
        """The blobs it needs, each once."""
        own = (self.listing, self.pack) if self.listing else (one.digest for one in self.files)
        return iter(dict.fromkeys(digest for digest in (*own, self.output) if digest))


_encoder = msgspec.msgpack.Encoder()
_listing_decoder = msgspec.msgpack.Decoder(tuple[FileEntry, ...])


def manifest_of(files: Iterator[FileEntry] | list[FileEntry]) -> Manifest:
    """The manifest of these entries, which are few enough to be listed."""
    listed = tuple(sorted(files, key=lambda entry: entry.path))
    return Manifest(
        files=listed,
        count=sum(not entry.is_folder for entry in listed),
        size=sum(entry.size for entry in listed),
    )


def is_listable(files: list[FileEntry]) -> bool:
    """Whether a set is small enough to be kept in the state entry by entry."""
    if len(files) > MANIFEST_FILES_MAX:
        return False
    return sum(len(entry.path.encode()) + 100 for entry in files) <= MANIFEST_BYTES_MAX


def encode_listing(files: list[FileEntry]) -> bytes:
    """The blob that lists a large set."""
    return _encoder.encode(sorted(files, key=lambda entry: entry.path))


def decode_listing(data: bytes) -> tuple[FileEntry, ...]:
    """What `encode_listing` made; raises `ValueError` for anything else."""
    try:
        found = _listing_decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(f"not a listing of files: {error}") from None
    wrong = next((entry.path for entry in found if not is_inside(entry.path)), None)
    if wrong is not None:
        raise ValueError(f"the listing has {wrong!r}, which leads out of its folder")
    return found


def is_inside(path: str) -> bool:
    """Whether a relative path stays in its folder, whatever it is joined to."""
    if not path or "\0" in path or path.startswith("/") or len(path) > _PATH_BYTES_MAX:
        return False
    return all(part not in ("", ".", "..") for part in path.split("/"))


def why_not_manifest(manifest: Manifest) -> str:
    """What is wrong with a manifest that claims to be small enough for the state; "" when nothing is."""
    if bool(manifest.listing) != bool(manifest.pack):
        return "a listing comes with a pack"
    if manifest.listing and (manifest.files or not is_digest(manifest.listing)):
        return "a listing is one blob and nothing else"
    if manifest.output and (not is_digest(manifest.output) or manifest.output_size < 0):
        return "an output is a blob"
    if manifest.pack and not is_digest(manifest.pack):
        return "a pack is a blob"
    if not is_listable(list(manifest.files)):
        return f"more than {MANIFEST_FILES_MAX} files; a larger set has its listing in a blob"
    for entry in manifest.files:
        if not is_inside(entry.path):
            return f"{entry.path[:200]!r} leads out of its folder"
        if entry.digest and not is_digest(entry.digest):
            return f"{entry.path[:200]!r} has no digest"
        if entry.size < 0 or not 0 <= entry.mode <= 0o7777:
            return f"{entry.path[:200]!r} has a wrong size or mode"
    return ""
