"""What people see of files: artifact keys and what jobs leave. See `views.py`."""

from __future__ import annotations

from itertools import islice

from titan.errors import NotFound
from titan.fsm.queries import ArtifactView, GetArtifact, GetOutputs, ListArtifacts, OutputsView
from titan.fsm.records.files import ArtifactKey
from titan.fsm.state import State
from titan.ids import JobId, strip_v1_prefix
from titan.limits import LIST_PAGE_MAX


def get_artifact(state: State, query: GetArtifact) -> ArtifactView | None:
    """One key."""
    found = state.artifact_keys.get(query.key)
    return None if found is None else _view(query.key, found)


def list_artifacts(state: State, query: ListArtifacts) -> list[ArtifactView]:
    """A page of keys."""
    wanted = (
        key for key in state.artifact_keys if key.startswith(query.prefix) and key > query.after
    )
    keys = sorted(wanted)[: max(1, min(query.limit, LIST_PAGE_MAX))]
    return [_view(key, state.artifact_keys[key]) for key in keys]


def _view(key: str, found: ArtifactKey) -> ArtifactView:
    return ArtifactView(
        key=key,
        digest=found.digest,
        size=found.size,
        name=found.name,
        mode=found.mode,
        published_ms=found.published_ms,
        run=found.run,
        job=found.job,
    )


def get_outputs(state: State, query: GetOutputs) -> list[OutputsView]:
    """What one job leaves, or a page of those that leave anything. Raises `NotFound`."""
    run = state.runs.get(query.run)
    if run is None:
        raise NotFound(f"there is no run {query.run}")
    manifests = state.artifacts.get(query.run, {})
    if query.job:
        job = JobId(query.job if query.job in run.jobs else strip_v1_prefix(query.job))
        if job not in run.jobs:
            raise NotFound(f"run {query.run} has no job '{query.job}'")
        return [OutputsView(job=job, manifest=manifests[job])] if job in manifests else []
    names = sorted(name for name in manifests if name > query.after)
    page = islice(names, max(1, min(query.limit, LIST_PAGE_MAX)))
    return [OutputsView(job=name, manifest=manifests[name]) for name in page]
