"""What the fields that fence a job off mean together: one judgement for clients and for the state machine.

Pure functions of a declaration; the words are for people.
"""

from __future__ import annotations

from typing import Final

from titan.limits import JOB_LIMIT_MAX, REQUIREMENT_CHARS_MAX, REQUIREMENTS_MAX
from titan.spec.model import ISOLATIONS, JobSpec

LIMITS: Final = ("open_files", "output_mb", "processes")


def capability_for(spec: JobSpec) -> tuple[str, ...]:
    """What a worker must offer to run the job beside what its declaration names."""
    return () if spec.isolation == "process" else (spec.isolation,)


def problem_of(spec: JobSpec) -> str:
    """What is wrong with how the job is fenced off, limited and provided for; "" when nothing is."""
    if spec.isolation not in ISOLATIONS:
        return f"there is no isolation '{spec.isolation[:100]}'"
    if spec.isolation == "container" and not spec.image:
        return "isolation 'container' needs an image"
    if spec.image and spec.isolation != "container":
        return "an image needs isolation 'container'"
    if spec.network is False and spec.isolation == "process":
        return "network 'false' needs isolation 'sandbox' or 'container'"
    return _problem_of_limits(spec) or _problem_of_python(spec)


def _problem_of_limits(spec: JobSpec) -> str:
    for name, value in spec.limits.items():
        if name not in LIMITS:
            return f"there is no limit '{name[:100]}'; there are {', '.join(LIMITS)}"
        if not 1 <= value <= JOB_LIMIT_MAX:
            return f"limit {name} is 1 to {JOB_LIMIT_MAX}"
    return ""


def _problem_of_python(spec: JobSpec) -> str:
    wants = bool(spec.requirements or spec.requirements_file)
    if spec.requirements and spec.requirements_file:
        return "requirements are lines or a file, not both"
    if wants and spec.isolation == "container":
        return "requirements of a container belong into its image"
    if len(spec.requirements) > REQUIREMENTS_MAX:
        return f"at most {REQUIREMENTS_MAX} lines of requirements; more is a file"
    if any(len(line) > REQUIREMENT_CHARS_MAX for line in spec.requirements):
        return f"a line of requirements has at most {REQUIREMENT_CHARS_MAX} characters"
    if "\0" in spec.python or "\0" in spec.image:
        return "a path or the name of an image holds no NUL"
    return ""
