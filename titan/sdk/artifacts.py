"""Files by name: under keys for everybody, and what the jobs of a run have left."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path
from typing import Final, NamedTuple

from titan.errors import Conflict, NotFound, UserError
from titan.fsm.commands import DeleteArtifact, PublishArtifact, PublishCheckpoint
from titan.fsm.queries import (
    ArtifactView,
    GetArtifact,
    GetOutputs,
    ListArtifacts,
    OutputsView,
)
from titan.ids import Digest, RunId, is_digest
from titan.limits import LIST_PAGE_MAX
from titan.sdk.blobs import BlobsApi
from titan.sdk.views import ViewsApi
from titan.spec.bundle import bundle_project
from titan.spec.fileset import Found, hashed, look_at, store
from titan.spec.globs import clean, matches
from titan.spec.manifest import FileEntry, Manifest, decode_listing

UPLOADS: Final = "uploads/"  # keys of files that were uploaded by their own names


class JobFile(NamedTuple):
    """A file that a job has left for others."""

    job: str
    path: str  # relative to the job's folder
    size: int
    mode: int  # permission bits
    digest: str
    pack: str = ""  # the blob that holds it at `offset`, when it has none of its own
    offset: int = 0


class ArtifactsApi(BlobsApi, ViewsApi):
    """Artifacts of a client. Arguments named `run` take a run id or a handle."""

    # --- uploading ------------------------------------------------------------------------------

    async def upload_file(self, path: str | os.PathLike[str]) -> str:
        """Store one file in the cluster; answers its digest. What is there already is not sent.

        It stays under the key `uploads/<name>` until another file of that name is uploaded; what
        runs use stays as long as they are remembered.
        """
        return await self.publish_artifact(f"{UPLOADS}{Path(path).name}", path)

    async def upload_project_folder(self, folder: str | os.PathLike[str]) -> str:
        """Pack a folder as a pipeline's project is packed and store it; answers its digest.

        Jobs use it by `TitanJob(..., bundle=digest)`. It stays under the key `uploads/<name>`.
        Raises as `titan.spec.bundle.bundle_project`.
        """
        name = Path(folder).resolve().name or "project"
        with await asyncio.to_thread(bundle_project, folder) as bundle:
            await self._put_bundle(bundle)
            await self._write(
                PublishArtifact(key=f"{UPLOADS}{name}", digest=bundle.digest, name=name)
            )
            return bundle.digest

    # --- keys -----------------------------------------------------------------------------------

    async def publish_artifact(self, key: str, file: str | os.PathLike[str]) -> str:
        """Store a file under a key, replacing what was there; answers its digest.

        Everybody finds it from then on, until it is replaced or deleted. Inside a task it is refused
        once the attempt is superseded.
        """
        publication = await self._publication(key, file)
        await self._write(publication)
        return publication.digest

    async def _publication(self, key: str, file: str | os.PathLike[str]) -> PublishArtifact:
        """Store a file; the command that puts it under a key."""
        path = Path(file)
        digest, _size = await self._put_file(path)
        mode = (await asyncio.to_thread(path.stat)).st_mode & 0o777
        return PublishArtifact(key=key, digest=digest, name=path.name, mode=mode)

    async def get_artifact(
        self, key: str, save_path: str | os.PathLike[str] | None = None
    ) -> Path | None:
        """Bring the file of a key here; its path, or None when there is no such key.

        `save_path`: the file to write, or a folder to put it into under its own name; by default
        the folder for temporary files.
        """
        found = await self._read(GetArtifact(key=key), ArtifactView | None)  # type: ignore[arg-type]
        if found is None:
            return None
        path = _target(save_path, found.name)
        await self._get(found.digest, path, mode=found.mode)
        return path

    async def delete_artifact(self, key: str) -> bool:
        """Remove a key; answers whether it was there."""
        return bool(await self._write(DeleteArtifact(key=key)))

    async def list_artifacts(self, prefix: str = "") -> list[ArtifactView]:
        """Every key with the prefix, sorted."""
        found: list[ArtifactView] = []
        while True:
            after = found[-1].key if found else ""
            query = ListArtifacts(prefix=prefix, limit=LIST_PAGE_MAX, after=after)
            page = await self._read(query, list[ArtifactView])
            found += page
            if len(page) < LIST_PAGE_MAX:
                return found

    async def fetch_artifact(
        self,
        name: str,
        save_path: str | os.PathLike[str] | None = None,
        run: object | None = None,
    ) -> Path | None:
        """Bring a file here by whatever name it has; its path, or None when there is none.

        `name`: a key, the name of a file that was uploaded, a digest, or `job:path` of a file that a
        job has left (of `run`, else of the newest run that has the job).
        """
        for key in (name, f"{UPLOADS}{name}"):
            path = await self.get_artifact(key, save_path)
            if path is not None:
                return path
        if is_digest(name):
            path = _target(save_path, name)
            try:
                await self._get(Digest(name), path)
            except NotFound:
                return None
            return path
        job, colon, inside = name.partition(":")
        if not colon:
            return None
        return await self._fetch_output(job, inside, save_path, run)

    async def _fetch_output(
        self, job: str, inside: str, save_path: str | os.PathLike[str] | None, run: object | None
    ) -> Path | None:
        try:
            files = await self.job_artifacts(job, run)
        except NotFound:
            return None
        found = next((file for file in files if file.path == inside), None)
        if found is None:
            return None
        path = _target(save_path, Path(found.path).name)
        await self._get_output(found, path)
        return path

    # --- checkpoints ----------------------------------------------------------------------------

    async def publish_checkpoint(self, folder: str | os.PathLike[str]) -> None:
        """Publish a folder as the checkpoint of the task that this code runs in, as a whole.

        Names that begin with a dot are left out. Raises `UserError` outside of a task, `Conflict` when the
        attempt is superseded or when files change meanwhile.
        """
        if not self._attempt:
            raise UserError("a checkpoint belongs to a task", hint="call it in a job of a run")
        root, taken_ms = Path(folder), time.time_ns() // 1_000_000
        look = await asyncio.to_thread(look_at, root)
        found = [
            Found(path, root / path, seen.mode, max(0, seen.size), seen.size < 0)
            for path, seen in sorted(look.items())
        ]
        entries = await asyncio.to_thread(hashed, found)
        with tempfile.TemporaryDirectory(prefix="titan-") as scratch:
            manifest = await store(found, entries, put=self._put_path, scratch=Path(scratch))
        if await asyncio.to_thread(look_at, root) != look:
            raise Conflict("files have changed while they were published", reason="changed")
        await self._write(
            PublishCheckpoint(attempt=self._attempt, manifest=manifest, taken_ms=taken_ms)
        )

    async def _put_path(self, digest: Digest, path: Path) -> None:
        with await asyncio.to_thread(path.open, "rb") as stream:
            await self._put(digest, os.fstat(stream.fileno()).st_size, lambda: stream)

    # --- what jobs leave ------------------------------------------------------------------------

    async def job_artifacts(self, job: object, run: object | None = None) -> list[JobFile]:
        """The files that a job has left, by path; [] when it leaves none. Raises `NotFound`."""
        found = await self.get_job(str(job), run)
        views = await self._read(GetOutputs(run=found.run, job=found.id), list[OutputsView])
        return [file for view in views for file in await self._files(view)]

    async def run_artifacts(self, run: object) -> list[JobFile]:
        """The files that all jobs of a run have left. Raises `NotFound`."""
        files: list[JobFile] = []
        after = ""
        while True:
            query = GetOutputs(run=RunId(str(run)), limit=LIST_PAGE_MAX, after=after)
            views = await self._read(query, list[OutputsView])
            for view in views:
                files += await self._files(view)
            if len(views) < LIST_PAGE_MAX:
                return files
            after = views[-1].job

    async def download_artifacts(
        self,
        run: object,
        job: str | None = None,
        pattern: str = "**",
        to: str | os.PathLike[str] = ".",
    ) -> list[Path]:
        """Bring what a job has left, or all jobs of a run, into a folder; the files written.

        Files of one job keep their paths; without `job` each job's are in a folder of its name.
        """
        wanted = pattern if pattern == "**" else clean(pattern)
        files = await (self.run_artifacts(run) if job is None else self.job_artifacts(job, run))
        written: list[Path] = []
        for file in files:
            if wanted == "**" or matches(wanted, file.path):
                base = Path(to) if job is not None else Path(to) / file.job
                await self._get_output(file, base / file.path)
                written.append(base / file.path)
        return written

    async def _get_output(self, file: JobFile, path: Path) -> None:
        if file.pack and not file.size:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        elif file.pack:
            await self._get(
                Digest(file.pack), path, offset=file.offset, length=file.size, mode=file.mode
            )
        else:
            await self._get(Digest(file.digest), path, mode=file.mode)

    async def _files(self, view: OutputsView) -> list[JobFile]:
        entries = await self._entries(view.manifest)
        pack = view.manifest.pack
        return [
            JobFile(view.job, one.path, one.size, one.mode, one.digest, pack, one.offset)
            for one in entries
            if not one.is_folder
        ]

    async def _entries(self, manifest: Manifest) -> tuple[FileEntry, ...]:
        if not manifest.listing:
            return manifest.files
        try:
            return decode_listing(await self._load(manifest.listing))
        except ValueError as error:
            raise UserError(str(error)) from None


def _target(save_path: str | os.PathLike[str] | None, name: str) -> Path:
    if save_path is None:
        return Path(tempfile.gettempdir()) / name
    path = Path(save_path)
    return path / name if path.is_dir() else path
