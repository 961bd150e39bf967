"""What a past run was made of: run again as a new one, or given back to be edited."""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
import tarfile
from collections.abc import Iterator
from typing import IO, Any, Final, NamedTuple, cast

import msgspec

from titan.errors import Conflict, NotFound
from titan.fsm.commands import SubmitRun
from titan.fsm.policy import decode_spec
from titan.fsm.queries import GetPipeline, PipelineView
from titan.fsm.state import Run
from titan.ids import Digest, RunId, new_run_id
from titan.limits import DRAFT_FILES_MAX, SOURCE_BYTES_MAX
from titan.master.http import submitting
from titan.master.http.api import Api
from titan.master.http.declarations import Submitted
from titan.master.http.pipelines import VersionQuery
from titan.master.http.runs import ReadQuery
from titan.master.http.table import Call, Endpoint
from titan.spec.budgets import BudgetSpec
from titan.spec.model import JobSpec
from titan.spec.yaml_form import bundles_of, pipeline_form


class Redeploy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new run of the same jobs with the same files, parameters and labels."""

    owner: str = ""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline as people write it, with its files: text in `files`, other content in `binary` as
    base64. `left_out` names what is too large to be edited in a page."""

    pipeline: dict[str, Any]
    files: dict[str, str]
    binary: dict[str, str]
    left_out: list[str]


class _Unpacked(NamedTuple):
    files: dict[str, str]
    binary: dict[str, str]
    left_out: list[str]


async def redeploy(api: Api, call: Call) -> Submitted:
    """The same jobs as a new run. With an `Idempotency-Key` a repeat answers the same run."""
    await api.catch_up()  # the run may be a moment old, and known at another master only
    run = _run(api, call)
    order = SubmitRun(
        run=new_run_id(),
        name=run.name,
        jobs=_specs(run),
        bundle=run.bundle,
        parameters=dict(run.parameters),
        agent_run_id=run.agent_run_id,
        owner=call.body.owner,
        budget=_budget(api, run),
        labels=dict(run.labels),
    )
    created, index = await submitting.submit(api, order, key=call.idempotency_key)
    return Submitted(index, created)


async def get_source(api: Api, call: Call) -> Source:
    """The pipeline that the run is of now, jobs that were added to it included."""
    run = _run(api, call)
    jobs = _specs(run)
    form = pipeline_form(
        run.name,
        jobs,
        parameters=run.parameters,
        labels=run.labels,
        budget=_budget(api, run),
    )
    return await _source(api, form, jobs, bundle=run.bundle)


async def get_saved_source(api: Api, call: Call) -> Source:
    """A saved pipeline, to be edited."""
    query: VersionQuery = call.query
    view: PipelineView = api.read(GetPipeline(name=call.path["name"], version=query.version))
    form = pipeline_form(
        view.name,
        view.jobs,
        parameters=view.inputs,
        labels=view.labels,
        budget=api.state.pipelines[view.name].versions[view.version].budget,
    )
    return await _source(api, form, view.jobs, bundle=view.bundle)


async def _source(
    api: Api, form: dict[str, Any], jobs: tuple[JobSpec, ...], *, bundle: Digest
) -> Source:
    unpacked = _Unpacked({}, {}, [])
    for digest in bundles_of(bundle, jobs):
        await _add_files(api, digest, unpacked)
    return Source(pipeline=form, **unpacked._asdict())


def _run(api: Api, call: Call) -> Run:
    run = api.state.runs.get(RunId(call.path["run"]))
    if run is None:
        raise NotFound(f"there is no run {call.path['run']}")
    return run


def _budget(api: Api, run: Run) -> BudgetSpec | None:
    """The run's own, with the limits that it has now."""
    budget = api.state.budgets.get(run.id)
    return budget.limit if budget is not None and run.id in run.budgets else None


def _specs(run: Run) -> tuple[JobSpec, ...]:
    return tuple(decode_spec(job) for job in run.jobs.values())


async def _add_files(api: Api, digest: Digest, into: _Unpacked) -> None:
    try:
        data = await submitting.load(api, digest, bytes_max=SOURCE_BYTES_MAX)
    except Conflict:
        into.left_out.append(f"bundle {digest[:12]}…")
        return
    await asyncio.to_thread(_unpack, data, into)


def _unpack(data: bytes, into: _Unpacked) -> None:
    is_packed = data[:2] == b"\x1f\x8b"
    stream = cast(IO[bytes], gzip.GzipFile(fileobj=io.BytesIO(data))) if is_packed else None
    left = SOURCE_BYTES_MAX
    try:
        for name, content in _members(stream or io.BytesIO(data)):
            size = content.size
            if size > left or len(into.files) + len(into.binary) >= DRAFT_FILES_MAX:
                into.left_out.append(name)
                continue
            left -= size
            _put(name, content.read(), into)
    except (tarfile.TarError, OSError, EOFError):
        into.left_out.append("a single file")  # a job's own archive is no folder


class _Member(NamedTuple):
    size: int
    archive: tarfile.TarFile
    info: tarfile.TarInfo

    def read(self) -> bytes:
        """Its content."""
        stream = self.archive.extractfile(self.info)
        return b"" if stream is None else stream.read()


def _members(stream: IO[bytes]) -> Iterator[tuple[str, _Member]]:
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for info in archive:
            if info.isreg() and info.name != "pipeline.yaml":
                yield info.name, _Member(info.size, archive, info)


def _put(name: str, content: bytes, into: _Unpacked) -> None:
    try:
        into.files[name] = content.decode()
    except UnicodeDecodeError:
        into.binary[name] = base64.b64encode(content).decode()


_RUN: Final = "/api/v1/runs/{run}"
ENDPOINTS: Final = (
    Endpoint(
        "POST", f"{_RUN}/redeploy", redeploy, "The same jobs as a new run", Submitted, body=Redeploy
    ),
    Endpoint(
        "GET", f"{_RUN}/source", get_source, "The run's pipeline with its files", Source, ReadQuery
    ),
    Endpoint(
        "GET",
        "/api/v1/pipelines/{name}/source",
        get_saved_source,
        "A saved pipeline with its files",
        Source,
        VersionQuery,
    ),
)
