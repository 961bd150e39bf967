"""A state as blocks of bytes: their format, and the way back; `frozen.py` makes them.

Format 1: a block is the msgpack of `[section, data]`. First the header, then the blocks of each section,
last the end with their count, so that a cut snapshot cannot pass for a whole one. Index fields travel
along, but `rebuild` derives them afresh and never believes them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from titan.errors import Fatal
from titan.fsm import audit
from titan.fsm.rebuild import rebuild
from titan.fsm.records.audit import Order
from titan.fsm.records.budgets import RunBudget
from titan.fsm.records.files import ArtifactKey, Checkpoint, LogPack, TailLog
from titan.fsm.records.locks import Lock
from titan.fsm.records.pipelines import Kin, PipelineVersion, SavedPipeline
from titan.fsm.records.pools import Launch, Pool
from titan.fsm.records.retention import Retention
from titan.fsm.records.revisions import History
from titan.fsm.records.schedules import Schedule
from titan.fsm.records.services import Deployment
from titan.fsm.records.signals import Mailboxes
from titan.fsm.records.unsettled import Unsettled
from titan.fsm.state import Attempt, Blob, Job, KvItem, Run, Session, Stage, State, Timer, Worker
from titan.ids import AttemptId, Digest, JobId, RunId, WorkerId
from titan.spec.manifest import Manifest

SNAPSHOT_FORMAT: Final = 1


class Header(msgspec.Struct, frozen=True):
    """The counters of the state. A map on disk: fields may be added with a default."""

    format: int
    index: int
    digest: bytes
    cluster_id: str
    epoch: int
    now_ms: int
    next_attempt: int
    next_job_seq: int
    next_timer_seq: int
    timers_sweep_at: int
    forget_due_ms: int = 0
    version: int = 1
    last_token: int = 0
    next_signal: int = 1
    next_log_pack: int = 1
    retention: Retention = Retention()


class JobsBlock(msgspec.Struct, frozen=True, array_like=True):
    """Some jobs of a run that is too long for one block."""

    run: RunId
    jobs: list[Job]


class SavedBlock(msgspec.Struct, frozen=True, array_like=True):
    """One version of a saved pipeline. It never changes, so it is encoded when it is drawn."""

    name: str
    next_version: int
    version: PipelineVersion


_block_decoder = msgspec.msgpack.Decoder(tuple[str, msgspec.Raw])
_DECODERS: Final[dict[str, msgspec.msgpack.Decoder[Any]]] = {
    section: msgspec.msgpack.Decoder(kind)
    for section, kind in (
        ("header", Header),
        ("runs", list[Run]),
        ("jobs", JobsBlock),
        ("attempts", dict[AttemptId, Attempt]),
        ("workers", dict[WorkerId, Worker]),
        ("blobs", dict[Digest, Blob]),
        ("sessions", dict[str, Session]),
        ("over", dict[RunId, int]),
        ("kin", dict[RunId, Kin]),
        ("pipelines", SavedBlock),
        ("unsettled", dict[RunId, Unsettled]),
        ("locks", dict[str, Lock]),
        ("mail", dict[RunId, Mailboxes]),
        ("pools", dict[str, Pool]),
        ("launches", dict[str, Launch]),
        ("services", dict[JobId, Deployment]),
        ("artifact_keys", dict[str, ArtifactKey]),
        ("artifacts", dict[RunId, dict[JobId, Manifest]]),
        ("checkpoints", dict[RunId, dict[JobId, Checkpoint]]),
        ("log_tail", dict[AttemptId, TailLog]),
        ("log_packs", dict[int, LogPack]),
        ("schedules", dict[str, Schedule]),
        ("budgets", dict[str, RunBudget]),
        ("stage", Stage),
        ("staged", JobsBlock),
        ("kv", dict[str, KvItem]),
        ("histories", dict[RunId, History]),
        ("dead", list[tuple[RunId, JobId]]),
        ("orders", list[Order]),
        ("timers", list[Timer]),
        ("end", int),
    )
}


def decode(blocks: Iterable[bytes]) -> State:
    """The state in `blocks`. Raises `Fatal` when they are cut, damaged or from a newer version."""
    state = State()
    count, is_whole = 0, False
    try:
        for block in blocks:
            section, raw = _block_decoder.decode(block)
            data = _decoder(section).decode(raw)
            if is_whole or (count == 0) != (section == "header"):
                raise Fatal("the snapshot is damaged: its blocks are out of order")
            is_whole = section == "end" and data == count
            count += 1
            _take(state, section, data)
        if not is_whole:
            raise Fatal("the snapshot is damaged: blocks are missing")
        rebuild(state)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError) as error:
        raise Fatal(f"the snapshot is damaged: {error!r}") from error
    return state


def _decoder(section: str) -> msgspec.msgpack.Decoder[Any]:
    decoder = _DECODERS.get(section)
    if decoder is None:
        raise Fatal(f"this master is too old for the snapshot: it has a section '{section}'")
    return decoder


def _take(state: State, section: str, data: Any) -> None:
    if section == "header":
        _take_header(state, data)
    elif section == "runs":
        state.runs.update((run.id, run) for run in data)
    elif section == "jobs":
        state.runs[data.run].jobs.update((job.id, job) for job in data.jobs)
    elif section == "stage":
        state.stages[data.run.id] = data
    elif section == "staged":
        state.stages[data.run].run.jobs.update((job.id, job) for job in data.jobs)
    elif section == "mail":
        for run, boxes in data.items():
            state.mail.setdefault(run, {}).update(boxes)
    elif section == "pipelines":
        saved = SavedPipeline(name=data.name, next_version=data.next_version)
        state.pipelines.setdefault(data.name, saved).versions[data.version.number] = data.version
    elif section == "dead":
        state.dead.update(dict.fromkeys(data))
    elif section == "orders":
        audit.take_back(state, data)
    elif section == "timers":
        state.timers.extend(data)
    elif section != "end":
        getattr(state, section).update(data)


def _take_header(state: State, header: Header) -> None:
    if header.format != SNAPSHOT_FORMAT:
        raise Fatal(f"this master is too old for the snapshot: its format is {header.format}")
    for field in Header.__struct_fields__[1:]:
        setattr(state, field, getattr(header, field))
