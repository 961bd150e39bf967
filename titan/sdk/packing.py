"""What the files of a submission become: one bundle for the run, and zip archives as they are."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from titan.errors import InvalidSpec, LimitExceeded
from titan.ids import Digest
from titan.limits import BUNDLE_BYTES_MAX, BUNDLE_FILES_MAX, BUNDLE_UNPACKED_BYTES_MAX, MIB
from titan.sdk.jobs import TitanJob
from titan.spec.bundle import Bundle, bundle_files
from titan.spec.layout import lay_out
from titan.spec.model import JobSpec

_INLINE: Final = ".titan"  # folder of scripts that were given as text
_SCRIPTS: Final = (".py", ".sh")
_ENTRY_POINTS: Final = ("main.py", "__main__.py")


class Packed(NamedTuple):
    """Jobs ready to be sent, and the blobs that they need first."""

    specs: tuple[JobSpec, ...]
    bundle: Bundle | None
    archives: dict[Digest, Path]


def pack(jobs: Sequence[TitanJob], *, per_job: bool = False) -> Packed:
    """Pack every file that the jobs name into one bundle.

    Files that share a folder keep their places relative to it. With `per_job` each job names the
    bundle itself: so it is for jobs added to a run that has a bundle already. Raises
    `FileNotFoundError`, `InvalidSpec`, `LimitExceeded`.
    """
    archives: dict[Digest, Path] = {}
    placed = lay_out({job.source for job in jobs if job.source is not None and not job.is_archive})
    contents: dict[str, Path | bytes] = {path: source for source, path in placed.items()}
    files: dict[int, tuple[str | None, str | None]] = {}  # job → file and bundle in its spec
    for position, job in enumerate(jobs):
        if job.script_content is not None:
            name = _inline_name(job, taken=contents)
            contents[name] = job.script_content.encode("utf-8", "surrogateescape")
            files[position] = (name, None)
        elif job.is_archive and job.source is not None:
            digest = digest_of(job.source)
            archives[digest] = job.source
            entry = "" if job.command is not None else entry_point(job.source)
            files[position] = (entry, digest)
        elif job.source is not None:
            files[position] = (placed[job.source], None)
    bundle = bundle_files(contents) if contents else None
    own = bundle.digest if bundle is not None and per_job else None
    specs = []
    for position, job in enumerate(jobs):
        file, archive = files.get(position, (None, None))
        specs.append(job.to_spec(file=file, bundle=archive or (own if file else None)))
    return Packed(tuple(specs), bundle, archives)


def _inline_name(job: TitanJob, *, taken: dict[str, Path | bytes]) -> str:
    first = (job.script_content or "").split("\n", 1)[0]
    suffix = ".sh" if first.startswith("#!") and first.rstrip().endswith("sh") else ".py"
    name = f"{_INLINE}/{job.id}{suffix}"
    while name in taken:
        name = f"{_INLINE}/{name}"
    return name


def digest_of(path: Path) -> Digest:
    """The SHA-256 of a local file, read piece by piece."""
    with path.open("rb") as stream:
        return Digest(hashlib.file_digest(stream, "sha256").hexdigest())


def entry_point(archive: Path) -> str:
    """What an archive job runs: `main.py`, else `__main__.py`, else the only script.

    Looked for at the top, or in the one folder that holds everything. Raises `InvalidSpec` when there
    is no such file or the zip cannot be unpacked safely, `LimitExceeded` when it is too large.
    """
    names = _checked_names(archive)
    tops = {name.split("/", 1)[0] for name in names}
    prefix = f"{tops.pop()}/" if len(tops) == 1 and all("/" in name for name in names) else ""
    for entry in _ENTRY_POINTS:
        if f"{prefix}{entry}" in names:
            return f"{prefix}{entry}"
    at_top = [name for name in names if "/" not in name[len(prefix) :]]
    for level in (at_top, names):
        scripts = [name for name in level if PurePosixPath(name).suffix in _SCRIPTS]
        if len(scripts) == 1:
            return scripts[0]
    raise InvalidSpec(
        f"{archive}: cannot tell which file to run",
        hint="name it main.py, or give the job a command",
    )


def _checked_names(archive: Path) -> list[str]:
    try:
        with zipfile.ZipFile(archive) as packed:
            members = packed.infolist()
    except zipfile.BadZipFile:
        raise InvalidSpec(f"{archive} is not a zip file") from None
    unpacked = sum(member.file_size for member in members)
    if (
        len(members) > BUNDLE_FILES_MAX
        or unpacked > BUNDLE_UNPACKED_BYTES_MAX
        or archive.stat().st_size > BUNDLE_BYTES_MAX
    ):
        raise LimitExceeded(
            f"{archive} holds {len(members)} files of {unpacked // MIB} MiB, which is too much",
            hint="keep data out of the archive",
        )
    names = [member.filename for member in members if not member.is_dir()]
    for name in names:
        if os.path.isabs(name) or ".." in PurePosixPath(name).parts or "\\" in name:  # noqa: PTH117
            raise InvalidSpec(f"{archive}: {name!r} would be unpacked outside of its folder")
    return names
