"""What this machine can do for jobs, found out when the worker starts."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from titan.exec.config import WorkerConfig
from titan.exec.isolation.cgroups import open_cgroups
from titan.exec.isolation.container import Engine, find_engine
from titan.exec.isolation.sandbox import find_sandbox
from titan.exec.isolation.techniques import Techniques

_LIMIT_OF: Final = {"cpu": "cpus", "memory": "memory_mb", "pids": "processes"}


def detect(config: WorkerConfig, *, worker: str, data_dir: Path) -> Techniques:
    """Look for bubblewrap, a container engine and control groups. Blocks for some milliseconds."""
    missing: dict[str, str] = {}
    sandbox, why = find_sandbox(binds=config.sandbox_binds, data_dir=data_dir)
    if sandbox is None:
        missing["sandbox"] = why
    command, why = find_engine(config.container_engine)
    engine = None
    if command:
        engine = Engine(
            command,
            worker=worker,
            options=config.container_options,
            network=config.container_network,
            pull=config.container_pull,
            pull_s=config.container_pull_timeout_s,
        )
    else:
        missing["container"] = why
    return Techniques(open_cgroups(worker), sandbox, engine, missing)


def report(techniques: Techniques) -> list[tuple[str, str, str]]:
    """For people: what, whether, and why not or how."""
    rows = [("isolation process", "yes", "")]
    for name in ("sandbox", "container"):
        why = techniques.missing.get(name, "")
        rows.append((f"isolation {name}", "no" if why else "yes", why))
    if techniques.engine is not None:
        rows[-1] = ("isolation container", "yes", f"by {techniques.engine.title}")
    for controller, limit in _LIMIT_OF.items():
        why = techniques.cgroups.missing.get(controller, "")
        how = _without(limit, why) if why else "by a control group"
        rows.append((f"limit {limit}", "no" if why and limit != "memory_mb" else "yes", how))
    rows += [("limit open_files", "yes", "by an rlimit"), ("limit output_mb", "yes", "")]
    return rows


def _without(limit: str, why: str) -> str:
    if limit == "memory_mb":
        return f"of each process alone, by an rlimit: {why}"
    return f"not enforced: {why}"
