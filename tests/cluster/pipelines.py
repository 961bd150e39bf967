"""Pipelines for the cluster tests, and what their jobs leave behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.cluster.cluster import Cluster, titan


def levels(folder: Path, *, depth: int, width: int, sleep_s: float) -> list[dict[str, Any]]:
    """`depth` levels of `width` jobs; each appends its id to a file of its own, then takes its time.

    A job depends on its own column and on the next one of the level above.
    """
    return [
        append_job(
            folder,
            f"l{level}-{column}",
            parents=[f"l{level - 1}-{column}", f"l{level - 1}-{(column + 1) % width}"]
            if level
            else [],
            sleep_s=sleep_s,
        )
        for level in range(depth)
        for column in range(width)
    ]


def append_job(folder: Path, job: str, *, parents: list[str], sleep_s: float) -> dict[str, Any]:
    """A job that fails unless its parents have left their files, and notes every start of its own."""
    wants = " && ".join(f"test -e {folder}/{parent}.done" for parent in parents) or "true"
    return {
        "id": job,
        "command": f"echo {job} >> {folder}/{job}; {wants} && sleep {sleep_s} && touch {folder}/{job}.done",
        "depends_on": parents,
        "retries": 0,
    }


def write_pipeline(path: Path, jobs: list[dict[str, Any]], **root: Any) -> Path:
    """A pipeline file; JSON is YAML."""
    path.write_text(json.dumps({"name": path.stem, "project": False, "jobs": jobs, **root}))
    return path


def starts(folder: Path, jobs: list[dict[str, Any]]) -> dict[str, int]:
    """How often each job was started."""
    files = {job["id"]: folder / job["id"] for job in jobs}
    return {
        job: len(file.read_text().split()) if file.exists() else 0 for job, file in files.items()
    }


async def deploy(cluster: Cluster, path: Path) -> str:
    """Submit a file by the command line; the id of the run."""
    code, out, err = await titan("deploy", str(path), "--masters", ",".join(cluster.addresses))
    assert code == 0, err
    return out.split()[-1]
