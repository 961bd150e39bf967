"""From a pipeline file to a fenced, bounded and provided-for job, and back to what people read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.pipelines import write_pipeline
from tests.exec.engines import needs_bubblewrap
from tests.exec.wheels import make_wheel, offline
from titan.exec.isolation.cgroups import open_cgroups

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]


@needs_bubblewrap
async def test_a_project_with_requirements_limits_and_a_sandbox(
    single: Cluster, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    make_wheel(tmp_path / "wheels", "titan_tiny")
    project.mkdir()
    (project / "requirements.txt").write_text("titan_tiny==1.0\n")
    (project / "a.py").write_text("import os, titan_tiny; print(titan_tiny.VALUE, os.getcwd())\n")
    (project / "hog.py").write_text("held = [bytearray(1 << 20) for _ in range(500)]\n")
    fenced = {"isolation": "sandbox", "requirements": "requirements.txt"}
    jobs: list[dict[str, Any]] = [
        {"id": "plain", "file": "a.py", "requirements": "requirements.txt"},
        {"id": "fenced", "file": "a.py", **fenced, "limits": {"open_files": 64}},
        {"id": "hog", "file": "hog.py", "resources": {"memory_mb": 64}, "retries": 0},
        {"id": "elsewhere", "command": "true", "isolation": "sandbox", "requirement": "NOWHERE"},
    ]
    for job in jobs[:2]:
        job["env"] = offline(tmp_path / "wheels")
    run = str(await single.client.submit_yaml(write_pipeline(project / "p.yaml", jobs)))

    async def look() -> dict[str, str]:
        return {name: str(job.state) for name, job in (await single.jobs(run)).items()}

    over = ["COMPLETED", "COMPLETED", "FAILED", "PENDING"]
    await single.wait_until(look, lambda states: sorted(states.values()) == over, timeout_s=60)
    found = await single.jobs(run)
    assert found["plain"].state == found["fenced"].state == "COMPLETED", found
    assert (await single.client.fetch_logs("fenced", run)).rstrip().endswith("42 /job/cwd")
    assert found["hog"].state == "FAILED"
    groups = open_cgroups("w-probe")
    groups.close()
    if groups.has("memory"):
        assert found["hog"].reason.startswith("ran out of memory: its limit is 64 MiB"), found
    assert found["elsewhere"].state == "PENDING"
    assert "sandbox" in found["elsewhere"].reason
    assert "NOWHERE" in found["elsewhere"].reason
