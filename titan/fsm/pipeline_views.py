"""What people see of saved pipelines."""

from __future__ import annotations

from titan.errors import NotFound
from titan.fsm.outcomes import Rejected
from titan.fsm.pipelines import find_version, jobs_of
from titan.fsm.queries import GetPipeline, ListPipelines, PipelineView
from titan.fsm.records.pipelines import PipelineVersion, SavedPipeline
from titan.fsm.state import State
from titan.limits import LIST_PAGE_MAX
from titan.spec.model import JobSpec


def pipeline_view(
    saved: SavedPipeline, version: PipelineVersion, *, jobs: tuple[JobSpec, ...] = ()
) -> PipelineView:
    """A version as people see it."""
    return PipelineView(
        name=saved.name,
        version=version.number,
        versions=tuple(saved.versions),
        count=version.count,
        saved_ms=version.saved_ms,
        owner=version.owner,
        bundle=version.bundle,
        digests=version.digests,
        inputs=version.inputs,
        jobs=jobs,
        labels=version.labels,
    )


def list_pipelines(state: State, query: ListPipelines) -> list[PipelineView]:
    """Answers `ListPipelines`."""
    names = sorted(name for name in state.pipelines if name > query.after)
    page = names[: max(1, min(query.limit, LIST_PAGE_MAX))]
    return [pipeline_view(saved, saved.latest) for saved in map(state.pipelines.__getitem__, page)]


def get_pipeline(state: State, query: GetPipeline) -> PipelineView:
    """Answers `GetPipeline`."""
    version = find_version(state, query.name, query.version)
    if isinstance(version, Rejected):
        raise NotFound(version.why)
    return pipeline_view(state.pipelines[query.name], version, jobs=jobs_of(version))
