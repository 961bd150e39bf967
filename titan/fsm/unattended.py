"""Jobs that no worker runs: gates, which wait for people, and saved pipelines, which run as sub-runs.

Their demand asks for nothing and nobody, so they are told from others without reading their declaration.
When nothing else is missing such a job is held (`Job.not_before_ms`) until the timer of that moment, and
`clock.py` opens the gate or starts the sub-run: so one entry never begins more than a few, however many
become ready at once. It is never ready in the planner's sense. Pure questions, no handlers.
"""

from __future__ import annotations

from typing import Final

from titan import limits
from titan.fsm.state import Demand, Job
from titan.spec.gates import why_not_approvers
from titan.spec.inputs import fill, why_not_input
from titan.spec.model import TRIGGERS, JobSpec

NOBODY: Final = Demand((), (("slots", 0),))


def asks_for_worker(job: Job) -> bool:
    """Whether a worker has to run the job."""
    return bool(job.demand.requirement)


def problem_of(spec: JobSpec) -> str:
    """What is wrong with the declaration of a gate or of a sub-run; "" when nothing is."""
    if spec.file or spec.argv or spec.shell:
        return f"a job of type '{spec.type}' runs nothing itself"
    if spec.trigger not in TRIGGERS:
        return f"there is no trigger '{spec.trigger[:100]}'"
    if len(spec.depends_on) > limits.PARENTS_PER_JOB_MAX:
        return f"at most {limits.PARENTS_PER_JOB_MAX} parents"
    if not 0 <= spec.delay_ms <= limits.DURATION_MS_MAX:
        return f"delay_ms is 0 to {limits.DURATION_MS_MAX}"
    return _problem_of_gate(spec) if spec.type == "gate" else _problem_of_pipeline(spec)


def _problem_of_gate(spec: JobSpec) -> str:
    if not 1 <= spec.max_wait_ms <= limits.DURATION_MS_MAX:
        return f"max_wait_ms is 1 to {limits.DURATION_MS_MAX}"
    if len(spec.form) > limits.INPUTS_MAX:
        return f"a form has at most {limits.INPUTS_MAX} fields"
    for name, one in spec.form.items():
        problem = why_not_input(one)
        if problem:
            return f"form field '{name[:100]}': {problem}"
    return why_not_approvers(spec.approvers)


def _problem_of_pipeline(spec: JobSpec) -> str:
    if not spec.pipeline or len(spec.pipeline) > limits.NAME_CHARS_MAX:
        return f"the name of a pipeline has 1 to {limits.NAME_CHARS_MAX} characters"
    if not 0 <= spec.pipeline_version <= limits.PIPELINE_VERSION_MAX:
        return "a version is 0, the latest, or its number"
    if len(spec.parameters) > limits.INPUTS_MAX:
        return f"at most {limits.INPUTS_MAX} parameters"
    wrong = fill({}, spec.parameters, also=True)[1]
    return wrong[0] if wrong else ""
