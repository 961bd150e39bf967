"""Files in the cluster, for code without asyncio: the twin of `artifacts.py`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from titan.sdk.face import Face

if TYPE_CHECKING:
    from pathlib import Path

    from titan.fsm.queries import ArtifactView
    from titan.sdk.artifacts import JobFile


class ArtifactsFace(Face):
    """Files of a client."""

    def upload_file(self, path: str | os.PathLike[str]) -> str:
        """Store one file in the cluster; answers its digest. What is there already is not sent."""
        return self._call(self._here().upload_file(path))

    def upload_project_folder(self, folder: str | os.PathLike[str]) -> str:
        """Pack a folder and store it; answers its digest, for `TitanJob(..., bundle=digest)`."""
        return self._call(self._here().upload_project_folder(folder))

    def publish_artifact(self, key: str, file: str | os.PathLike[str]) -> str:
        """Store a file under a key, replacing what was there; answers its digest."""
        return self._call(self._here().publish_artifact(key, file))

    def get_artifact(
        self, key: str, save_path: str | os.PathLike[str] | None = None
    ) -> Path | None:
        """Bring the file of a key here; its path, or None when there is no such key."""
        return self._call(self._here().get_artifact(key, save_path))

    def fetch_artifact(
        self,
        name: str,
        save_path: str | os.PathLike[str] | None = None,
        run: object | None = None,
    ) -> Path | None:
        """Bring a file here by key, by the name it was uploaded with, by digest, or by `job:path`."""
        return self._call(self._here().fetch_artifact(name, save_path, run))

    def delete_artifact(self, key: str) -> bool:
        """Remove a key; answers whether it was there."""
        return self._call(self._here().delete_artifact(key))

    def list_artifacts(self, prefix: str = "") -> list[ArtifactView]:
        """Every key with the prefix, sorted."""
        return self._call(self._here().list_artifacts(prefix))

    def job_artifacts(self, job: object, run: object | None = None) -> list[JobFile]:
        """The files that a job has left, by path; [] when it leaves none."""
        return self._call(self._here().job_artifacts(job, run))

    def run_artifacts(self, run: object) -> list[JobFile]:
        """The files that all jobs of a run have left."""
        return self._call(self._here().run_artifacts(run))

    def download_artifacts(
        self,
        run: object,
        job: str | None = None,
        pattern: str = "**",
        to: str | os.PathLike[str] = ".",
    ) -> list[Path]:
        """Bring what a job has left, or all jobs of a run, into a folder; the files written."""
        return self._call(self._here().download_artifacts(run, job, pattern, to))

    def publish_checkpoint(self, folder: str | os.PathLike[str]) -> None:
        """Publish a folder as the checkpoint of the task that this code runs in, as a whole."""
        self._call(self._here().publish_checkpoint(folder))
