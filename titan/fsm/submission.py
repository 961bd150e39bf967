"""A run's jobs as commands that each fit into one entry of the log."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from titan.errors import LimitExceeded
from titan.fsm.commands import AddJobs, StageJobs, SubmitRun, encode_command
from titan.ids import RunId
from titan.limits import (
    ENTRY_BYTES_MAX,
    ENTRY_MARGIN_BYTES,
    JOB_SPEC_BYTES_MAX,
    JOBS_PER_RUN_MAX,
    STAGE_JOBS_MAX,
)
from titan.spec.model import JobSpec

COMMAND_BYTES_MAX = ENTRY_BYTES_MAX - ENTRY_MARGIN_BYTES
_FRAMING_BYTES = 16  # array header and padding around the jobs of one part


class Submission(NamedTuple):
    """Send every stage by its number, no more than `STAGE_PARTS_AHEAD_MAX` unanswered at a time, and then
    `final`, which makes the run visible."""

    stages: tuple[StageJobs, ...]
    final: SubmitRun


def split(submit: SubmitRun) -> Submission:
    """Split a submission that is too large for one entry. Raises `LimitExceeded`.

    The masters build the run part by part, so the jobs of a split one go parents first; the user's order
    stays where that allows. The graph must have been checked.
    """
    if len(submit.jobs) > JOBS_PER_RUN_MAX:
        raise LimitExceeded(f"a run holds at most {JOBS_PER_RUN_MAX} jobs, not {len(submit.jobs)}")
    bare = msgspec.structs.replace(submit, jobs=())
    head = len(encode_command(bare)) + _FRAMING_BYTES
    if head > COMMAND_BYTES_MAX // 2:
        raise LimitExceeded(f"the parameters of the run take {head} bytes; put data into a file")
    room = COMMAND_BYTES_MAX - head
    if len(list(_groups(submit.jobs, room=room))) <= 1:
        return Submission((), submit)
    groups = list(_groups(parents_first(submit.jobs), room=room))
    stages = tuple(
        StageJobs(run=submit.run, part=part, jobs=jobs) for part, jobs in enumerate(groups[:-1])
    )
    return Submission(stages, msgspec.structs.replace(submit, jobs=groups[-1], parts=len(stages)))


def addition(run: RunId, jobs: Sequence[JobSpec], *, by: str = "") -> AddJobs:
    """One command that adds jobs to a run. It is atomic, so it cannot be split: `LimitExceeded`."""
    command = AddJobs(run=run, jobs=tuple(jobs), by=by)
    size = sum(_size(job) for job in jobs) + _FRAMING_BYTES
    if size > COMMAND_BYTES_MAX:
        raise LimitExceeded(
            f"{len(jobs)} jobs of {size} bytes are too many to add at once",
            hint="add them in several steps, parents first, or submit them as a run of their own",
        )
    return command


def _groups(jobs: Sequence[JobSpec], *, room: int) -> Iterator[tuple[JobSpec, ...]]:
    group: list[JobSpec] = []
    taken = 0
    for job in jobs:
        size = _size(job)
        if size > room:
            raise LimitExceeded(
                f"job {job.id!r} takes {size} bytes and does not fit into one entry of the log",
                hint="give it fewer parents by putting a joining job between",
            )
        if taken + size > room or len(group) == STAGE_JOBS_MAX:
            yield tuple(group)
            group, taken = [], 0
        group.append(job)
        taken += size
    yield tuple(group)


def parents_first(jobs: Sequence[JobSpec]) -> Sequence[JobSpec]:
    """The jobs in an order in which parents stand before children; of those that may, the one declared
    first goes first (Kahn 1962, with a heap)."""
    place = {job.id: position for position, job in enumerate(jobs)}
    if all(place[name] < at for at, job in enumerate(jobs) for name in job.depends_on):
        return jobs
    below: list[list[int]] = [[] for _ in jobs]
    waiting = [0] * len(jobs)
    for position, job in enumerate(jobs):
        for name in dict.fromkeys(job.depends_on):
            below[place[name]].append(position)
            waiting[position] += 1
    heap = [position for position, count in enumerate(waiting) if not count]
    order: list[JobSpec] = []
    while heap:
        position = heapq.heappop(heap)
        order.append(jobs[position])
        for child in below[position]:
            waiting[child] -= 1
            if not waiting[child]:
                heapq.heappush(heap, child)
    assert len(order) == len(jobs), "the graph has a cycle"
    return order


def _size(job: JobSpec) -> int:
    size = len(_encoder.encode(job))
    if size > JOB_SPEC_BYTES_MAX:  # parents have a limit of their own
        own = len(_encoder.encode(msgspec.structs.replace(job, depends_on=())))
        if own > JOB_SPEC_BYTES_MAX:
            raise LimitExceeded(
                f"job {job.id!r} takes {own} bytes; at most {JOB_SPEC_BYTES_MAX}",
                hint="put large arguments into a file or the key-value store",
            )
    return size


_encoder = msgspec.msgpack.Encoder()
