"""A state is set aside for a snapshot: in steps, as blocks that `snapshot.py` reads back.

Freezing happens between two entries, in steps of a few milliseconds: records are encoded as they stand,
thousands at a time, by msgspec in C, and runs that are over only when their blocks are drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import copy
from itertools import groupby, islice
from typing import Any, Final, Self

import msgspec

from titan import limits
from titan.fsm import revisions
from titan.fsm.snapshot import SNAPSHOT_FORMAT, Header, JobsBlock, SavedBlock
from titan.fsm.state import Run, State
from titan.ids import RunId

_JOBS_PER_BLOCK: Final = 4096  # under a megabyte of usual jobs
_ROWS_PER_BLOCK: Final = 1024
_BYTES_PER_BLOCK: Final = 512 * 1024
_ROW_BYTES: Final = 128  # what a row costs besides its value

_encoder = msgspec.msgpack.Encoder()


class Later(msgspec.Struct, frozen=True):
    """Rows that hardly ever change, or never: encoded when their block is drawn."""

    section: str
    data: Any
    rows: int


_Part = bytes | Later


class Frozen:
    """A state as it was. Set aside in steps, between which it must not change; drawn by any thread then.

    What can change at any time is encoded in the steps. Runs that are over are most of a large state
    and hardly ever change: they are encoded as the blocks are drawn, and `let_go` gives the living
    state a copy of one that is about to change.
    """

    def __init__(self, state: State) -> None:
        self._header = _block("header", _header(state))
        self._to_do = _parts_of(state)
        self._parts: list[_Part] = []
        self._lazy: set[RunId] = set()
        self.is_whole = False

    def step(self) -> bool:
        """Set a step's worth aside. True when that was the last: the state may change again."""
        weight = 0
        for part in self._to_do:
            self._parts.append(part)
            weight += len(part) if isinstance(part, bytes) else part.rows * _ROW_BYTES
            if isinstance(part, Later) and part.section == "runs":
                self._lazy.update(run.id for run in part.data)
            if weight >= limits.SNAPSHOT_STEP_BYTES:
                return False
        self.is_whole = True
        return True

    def at_once(self) -> Self:
        """All steps in one go."""
        while not self.step():
            pass
        return self

    def __iter__(self) -> Iterator[bytes]:
        """The blocks, once: what has been drawn is let go of."""
        self.at_once()
        yield self._header
        count = 1
        self._parts.reverse()
        while self._parts:
            part = self._parts.pop()
            for block in [part] if isinstance(part, bytes) else _later(part):
                count += 1
                yield block
        self._lazy = set()
        yield _block("end", count)

    def let_go(self, state: State, run_id: RunId) -> None:
        """The run is about to change in `state`: from now on `state` has a copy of its own."""
        if run_id in self._lazy and run_id in state.runs:
            self._lazy.discard(run_id)
            state.runs[run_id] = _copied(state.runs[run_id])


def _copied(run: Run) -> Run:
    jobs = {name: copy(job) for name, job in run.jobs.items()}
    for job in jobs.values():
        if isinstance(job.children, list):
            job.children = list(job.children)
    services = {name: copy(service) for name, service in run.services.items()}
    fields = ("counts", "gates", "unpaid", "budget_gates", "units", "foreach")
    fresh = {name: dict(getattr(run, name)) for name in fields}
    return msgspec.structs.replace(run, jobs=jobs, services=services, **fresh)


def _later(part: Later) -> Iterator[bytes]:
    if part.section == "runs":
        return _run_blocks(part.data)
    return iter([_block(part.section, part.data)])


def _parts_of(state: State) -> Iterator[_Part]:
    """Everything but the header, in the order of the file."""
    yield from _runs(state)
    for section, rows in _tables(state):
        for part in _parts(rows):
            yield _block(section, part)
    yield from _stages(state)
    for run, boxes in state.mail.items():
        for job, signals in boxes.items():
            yield _block("mail", {run: {job: signals}})
    yield from _saved(state)
    for kv_part in _parts_by_size(state.kv, size_of=lambda item: len(item.value)):
        yield _block("kv", kv_part)
    for part in _parts_by_size(state.histories, size_of=lambda history: history.size):
        yield _block("histories", part)
    for ring in state.orders.values():
        yield Later("orders", list(ring), rows=len(ring))
    # An older master may get the snapshot while the cluster's version says that it is one of it.
    dead = iter(state.dead if state.version >= revisions.SINCE else ())
    while letters := list(islice(dead, _JOBS_PER_BLOCK)):
        yield _block("dead", letters)
    for start in range(0, len(state.timers), _ROWS_PER_BLOCK):
        yield _block("timers", state.timers[start : start + _ROWS_PER_BLOCK])


def _tables(state: State) -> tuple[tuple[str, dict[Any, Any]], ...]:
    """The sections whose rows are small."""
    return (
        ("attempts", state.attempts),
        ("workers", state.workers),
        ("blobs", state.blobs),
        ("sessions", state.sessions),
        ("over", state.over),
        ("kin", state.kin),
        ("unsettled", state.unsettled),
        ("locks", state.locks),
        ("pools", state.pools),
        ("launches", state.launches),
        ("services", state.services),
        ("artifact_keys", state.artifact_keys),
        ("artifacts", state.artifacts),
        ("checkpoints", state.checkpoints),
        ("log_tail", state.log_tail),
        ("log_packs", state.log_packs),
        ("schedules", state.schedules),
        ("budgets", state.budgets),
    )


def _block(section: str, data: Any) -> bytes:
    return _encoder.encode((section, data))


def _header(state: State) -> Header:
    return Header(
        format=SNAPSHOT_FORMAT,
        index=state.index,
        digest=state.digest,
        cluster_id=state.cluster_id,
        epoch=state.epoch,
        now_ms=state.now_ms,
        next_attempt=state.next_attempt,
        next_job_seq=state.next_job_seq,
        next_timer_seq=state.next_timer_seq,
        timers_sweep_at=state.timers_sweep_at,
        forget_due_ms=state.forget_due_ms,
        version=state.version,
        last_token=state.last_token,
        next_signal=state.next_signal,
        next_log_pack=state.next_log_pack,
        retention=state.retention,
    )


def _runs(state: State) -> Iterator[_Part]:
    """The runs in their order: those that are over as they are, for later, the others encoded."""
    for at_rest, group in groupby(state.runs.values(), key=lambda run: _is_at_rest(state, run)):
        if at_rest:
            while some := list(islice(group, _ROWS_PER_BLOCK)):
                yield Later("runs", some, rows=len(some))
        else:
            yield from _run_blocks(group)


def _is_at_rest(state: State, run: Run) -> bool:
    """Whether only a retry or new jobs can change the run."""
    return run.ended_ms != 0 and run.id not in state.unsettled


def _run_blocks(runs: Iterable[Run]) -> Iterator[bytes]:
    """Short runs many to a block, a long run over several blocks."""
    batch: list[Run] = []
    batch_jobs = 0
    for run in runs:
        batch_jobs += len(run.jobs) + 1
        if len(run.jobs) > _JOBS_PER_BLOCK:
            batch.append(msgspec.structs.replace(run, jobs={}))
        else:
            batch.append(run)
        if batch_jobs < _JOBS_PER_BLOCK:
            continue
        yield _block("runs", batch)
        if len(run.jobs) > _JOBS_PER_BLOCK:
            yield from _jobs("jobs", run)
        batch, batch_jobs = [], 0
    if batch:
        yield _block("runs", batch)


def _stages(state: State) -> Iterator[bytes]:
    """Each run under construction on its own, as a long run is."""
    for stage in state.stages.values():
        bare = msgspec.structs.replace(stage.run, jobs={})
        yield _block("stage", msgspec.structs.replace(stage, run=bare, roots=[], timed=[]))
        yield from _jobs("staged", stage.run)


def _saved(state: State) -> Iterator[Later]:
    for saved in state.pipelines.values():
        for version in saved.versions.values():
            data = SavedBlock(saved.name, saved.next_version, version)
            yield Later("pipelines", data, rows=1)


def _jobs(section: str, run: Run) -> Iterator[bytes]:
    jobs = list(run.jobs.values())
    for start in range(0, len(jobs), _JOBS_PER_BLOCK):
        yield _block(section, JobsBlock(run.id, jobs[start : start + _JOBS_PER_BLOCK]))


def _parts(rows: dict[Any, Any]) -> Iterator[dict[Any, Any]]:
    items = iter(rows.items())
    while part := dict(islice(items, _ROWS_PER_BLOCK)):
        yield part


def _parts_by_size(
    rows: dict[Any, Any], *, size_of: Callable[[Any], int]
) -> Iterator[dict[Any, Any]]:
    part: dict[Any, Any] = {}
    size = 0
    for key, row in rows.items():
        part[key] = row
        size += _ROW_BYTES + size_of(row)
        if size >= _BYTES_PER_BLOCK:
            yield part
            part, size = {}, 0
    if part:
        yield part
