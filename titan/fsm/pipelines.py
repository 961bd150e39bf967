"""Saved pipelines: keeping versions, and making a run of one.

A version is kept as it was declared and never changes. It is small enough that one apply can make a run
of it, so that a client, a schedule or a job of another run can start it by name alone.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from titan.fsm import budgets, references, runs, stages
from titan.fsm.commands import DeletePipeline, SavePipeline, SubmitSaved
from titan.fsm.declare import make_jobs
from titan.fsm.graph import why_not_graph
from titan.fsm.handling import Stamp, Turn, handles
from titan.fsm.outcomes import Applied, Outcome, Rejected
from titan.fsm.records.pipelines import PipelineVersion, SavedPipeline
from titan.fsm.state import Job, Stage, State
from titan.ids import RunId, is_digest
from titan.limits import (
    INPUTS_MAX,
    NAME_CHARS_MAX,
    PIPELINE_JOBS_MAX,
    PIPELINE_VERSIONS_MAX,
    PIPELINES_BYTES_MAX,
    PIPELINES_MAX,
)
from titan.spec.budgets import problem_of
from titan.spec.inputs import fill, why_not_input
from titan.spec.model import JobSpec, Scalar

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[JobSpec, ...])


@handles(SavePipeline)
def save_pipeline(state: State, cmd: SavePipeline, at: Stamp) -> Outcome:
    """Add a version, unless it is like the latest one. Answers the version's number."""
    refusal = _why_not(cmd)
    if refusal is not None:
        return refusal
    made = make_jobs(cmd.jobs)
    if isinstance(made, Rejected):
        return made
    refusal = why_not_graph(made, known={})
    if refusal is not None:
        return refusal
    saved = state.pipelines.get(cmd.name) or SavedPipeline(name=cmd.name)
    version = _version(saved, cmd, at)
    if saved.versions and saved.latest.is_like(version):
        return Applied(saved.latest.number)
    if not saved.versions and len(state.pipelines) >= PIPELINES_MAX:
        return Rejected("too_large", f"there are {PIPELINES_MAX} saved pipelines; delete some")
    if state.pipelines_bytes + version.size > PIPELINES_BYTES_MAX:
        why = f"saved pipelines take at most {PIPELINES_BYTES_MAX} bytes together; delete some"
        return Rejected("too_large", why)
    turn = Turn(state, at)
    state.pipelines[cmd.name] = saved
    saved.versions[version.number] = version
    saved.next_version = version.number + 1
    state.pipelines_bytes += version.size
    references.hold(state, version.digests)
    if len(saved.versions) > PIPELINE_VERSIONS_MAX:
        _drop(turn, saved, [next(iter(saved.versions))])
    return turn.done(version.number)


def _version(saved: SavedPipeline, cmd: SavePipeline, at: Stamp) -> PipelineVersion:
    needs = dict.fromkeys((cmd.bundle, *(job.bundle for job in cmd.jobs)))
    for job in cmd.jobs:
        needs |= dict.fromkeys(blob.digest for blob in (job.call.blobs if job.call else ()))
    return PipelineVersion(
        number=saved.next_version,
        jobs=_encoder.encode(cmd.jobs),
        count=len(cmd.jobs),
        saved_ms=at.now_ms,
        bundle=cmd.bundle,
        inputs=cmd.inputs,
        owner=cmd.owner,
        digests=tuple([digest for digest in needs if digest]),
        budget=cmd.budget,
        labels=cmd.labels,
    )


def _why_not(cmd: SavePipeline) -> Rejected | None:
    if not cmd.name or len(cmd.name) > NAME_CHARS_MAX or len(cmd.owner) > NAME_CHARS_MAX:
        return Rejected("invalid", f"a name has 1 to {NAME_CHARS_MAX} characters")
    if not cmd.jobs:
        return Rejected("invalid", "a pipeline has at least one job")
    if len(cmd.jobs) > PIPELINE_JOBS_MAX:
        why = f"{len(cmd.jobs)} jobs; a saved pipeline has at most {PIPELINE_JOBS_MAX}"
        return Rejected("too_large", f"{why}: submit larger ones as they are")
    if cmd.bundle and not is_digest(cmd.bundle):
        return Rejected("invalid", "bundle is a SHA-256 in hex")
    if len(cmd.inputs) > INPUTS_MAX:
        return Rejected("too_large", f"a pipeline has at most {INPUTS_MAX} parameters")
    for name, one in cmd.inputs.items():
        problem = why_not_input(one)
        if problem:
            return Rejected("invalid", f"parameter '{name[:200]}': {problem}")
    problem = problem_of(cmd.budget) if cmd.budget is not None else ""
    if problem:
        return Rejected("invalid", f"budget: {problem}")
    return runs.why_not_labels(cmd.labels)


@handles(DeletePipeline)
def delete_pipeline(state: State, cmd: DeletePipeline, at: Stamp) -> Outcome:
    """Forget a pipeline or one version. Runs that were made of it are not touched."""
    found = find_version(state, cmd.name, cmd.version)
    if isinstance(found, Rejected):
        return found
    saved = state.pipelines[cmd.name]
    turn = Turn(state, at)
    numbers = [found.number] if cmd.version else list(saved.versions)
    _drop(turn, saved, numbers)
    return turn.done(len(numbers))


def _drop(turn: Turn, saved: SavedPipeline, numbers: Iterable[int]) -> None:
    state = turn.state
    for number in numbers:
        version = saved.versions.pop(number)
        state.pipelines_bytes -= version.size
        references.release(turn, version.digests)
    if not saved.versions:
        del state.pipelines[saved.name]


@handles(SubmitSaved)
def submit_saved(state: State, cmd: SubmitSaved, at: Stamp) -> Outcome:
    """Create a run of a saved pipeline."""
    if cmd.run in state.runs:
        return Applied(cmd.run)
    refusal = runs.why_not_named(run=cmd.run, agent_run_id=cmd.agent_run_id, owner=cmd.owner)
    if refusal is not None:
        return refusal
    version = find_version(state, cmd.name, cmd.version)
    if isinstance(version, Rejected):
        return version
    labels = {**version.labels, **cmd.labels}
    made = runs.why_not_labels(labels) or prepare(cmd.run, cmd.name, version, cmd.parameters)
    if isinstance(made, Rejected):
        return made
    stage, last = made
    caller = runs.caller_of(state, at)
    agent = runs.agent_of(cmd.agent_run_id, caller)
    above = budgets.inherited(state, agent=agent, parent=caller)
    own = cmd.budget or version.budget
    refusal = budgets.why_not_run(state, above, own, run=cmd.run, jobs=len(last))
    if refusal is not None:
        return refusal
    turn = Turn(state, at)
    stages.clear(turn, cmd.run)  # nobody else has this id; whatever was staged under it is not used
    stage.run.agent_run_id = agent
    stage.run.owner = cmd.owner
    stage.run.labels = labels
    runs.launch(turn, stage, last, above=above, own=own)
    return turn.done(cmd.run)


# --- for sub-runs as well -------------------------------------------------------------------------


def find_version(state: State, name: str, number: int) -> PipelineVersion | Rejected:
    """The version of that number, the latest for 0, or why there is none."""
    saved = state.pipelines.get(name)
    if saved is None:
        return Rejected("unknown_pipeline", f"there is no saved pipeline '{name[:200]}'")
    version = saved.versions.get(number) if number else saved.latest
    if version is None:
        numbers = list(saved.versions)
        kept = f"{numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else f"{numbers[0]}"
        why = f"pipeline '{name[:200]}' has no version {number}; kept: {kept}"
        return Rejected("unknown_pipeline", why)
    return version


def jobs_of(version: PipelineVersion) -> tuple[JobSpec, ...]:
    """The jobs as they were declared."""
    return _decoder.decode(version.jobs)


def prepare(
    run: RunId, name: str, version: PipelineVersion, given: dict[str, Scalar]
) -> tuple[Stage, list[Job]] | Rejected:
    """A run of this version with all of its jobs, ready for `runs.launch`, or what is wrong with the
    parameters: everything at once."""
    refusal = why_not_given(name, version, given)
    if refusal is not None:
        return refusal
    values, _ = fill(version.inputs, given)
    refusal = runs.why_not_parameters(values)
    if refusal is not None:
        return refusal
    made = make_jobs(jobs_of(version))
    if isinstance(made, Rejected):
        return made  # it was saved by masters that allowed more
    stage = stages.new_stage(run)
    stage.run.name = stage.run.pipeline = name
    stage.run.pipeline_version = version.number
    stage.run.bundle = version.bundle
    stage.run.parameters = values
    stage.run.labels = version.labels
    return stage, made


def why_not_given(name: str, version: PipelineVersion, given: dict[str, Scalar]) -> Rejected | None:
    """What is wrong with these parameters for this version, everything at once."""
    _, wrong = fill(version.inputs, given)
    return (
        Rejected("invalid_parameters", f"pipeline '{name}': {'; '.join(wrong)}") if wrong else None
    )
