"""Who did what: orders that people and their programs have given, and that took effect.

Noted while the order itself is applied, so that nothing more enters the log; orders about the masters are
no commands, and the leader proposes a note of each. Each kind of object has a ring of its own: a program
that writes keys all day does not push out who drained a worker. What else the leader proposes and what
tasks do is not noted, nor what only programs ask of one another (locks, signals taken, parts of
submissions). `who` is what the client says of itself: a claim, no proof.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final, TypeAlias

from titan.fsm.commands import (
    AddJobs,
    CancelJob,
    CancelRun,
    Command,
    DecideGate,
    DeleteArtifact,
    DeletePipeline,
    DeployServices,
    KvWrite,
    MutateRun,
    NoteOrder,
    Proposal,
    PublishArtifact,
    RecordLaunch,
    RemovePool,
    RetryJob,
    SavePipeline,
    SendSignal,
    SetBudget,
    SetPool,
    SetRetention,
    SetWorkerMode,
    StopService,
    SubmitRun,
    SubmitSaved,
)
from titan.fsm.commands import kv as keys
from titan.fsm.commands import schedules as plans
from titan.fsm.outcomes import Applied
from titan.fsm.queries.audit import ListOrders, OrderView
from titan.fsm.records.audit import Order
from titan.fsm.state import State
from titan.limits import AUDIT_CHARS_MAX, AUDIT_KEPT_PER_KIND, LIST_PAGE_MAX

SINCE: Final = 2  # the version of the cluster from which on every master notes alike
DRAFTS: Final = "titan/drafts/"  # what the dashboard saves by itself while somebody draws
_ONLY_WITH_EVENTS: Final = (SubmitRun, SubmitSaved, DeployServices, DecideGate)  # a repeat has none

About: TypeAlias = tuple[str, str, str]  # kind of the object, its name, a detail
_Teller: TypeAlias = Callable[[Any, Any], About]


def note(state: State, proposal: Proposal, outcome: Applied, *, index: int, now_ms: int) -> None:
    """The order of `proposal` was applied; keep it if it is one for the audit."""
    command = proposal.command
    tell = _TELLERS.get(type(command))
    if tell is None or outcome.value is False or state.version < SINCE:
        return
    if not outcome.events and isinstance(command, _ONLY_WITH_EVENTS):
        return
    kind, name, detail = tell(command, outcome.value)
    if name.startswith(DRAFTS) and kind == "key":
        return
    ring = state.orders.get(kind)
    if ring is None:
        ring = state.orders[kind] = deque(maxlen=AUDIT_KEPT_PER_KIND)
    order = Order(
        state.next_order,
        index,
        now_ms,
        proposal.who,
        _action(command),
        kind,
        _cut(name),
        _cut(detail),
    )
    ring.append(order)
    state.next_order += 1


def _action(command: Command) -> str:
    """The command's tag, but where one command is two orders to people."""
    if isinstance(command, plans.PauseSchedule) and not command.is_paused:
        return "schedule.resume"
    if isinstance(command, DecideGate):
        return f"gate.{command.decision}"
    if isinstance(command, NoteOrder):
        return command.action
    return str(type(command).__struct_config__.tag)


def _cut(text: str) -> str:
    return text if len(text) <= AUDIT_CHARS_MAX else text[: AUDIT_CHARS_MAX - 1] + "…"


def take_back(state: State, orders: list[Order]) -> None:
    """Orders out of a snapshot, in their order."""
    for order in orders:
        ring = state.orders.setdefault(order.kind, deque(maxlen=AUDIT_KEPT_PER_KIND))
        ring.append(order)
        state.next_order = max(state.next_order, order.number + 1)


def list_orders(state: State, query: ListOrders) -> list[OrderView]:
    """Answers `ListOrders`."""
    wanted = (order for order in _newest_first(state, query) if _is_wanted(order, query))
    limit = max(1, min(query.limit, LIST_PAGE_MAX))
    return [
        OrderView(
            number=order.number,
            index=order.index,
            at_ms=order.at_ms,
            who=order.who,
            action=order.action,
            kind=order.kind,
            object=order.object,
            detail=order.detail,
        )
        for order in islice(wanted, limit)
    ]


def _newest_first(state: State, query: ListOrders) -> Iterator[Order]:
    rings = [reversed(ring) for kind, ring in state.orders.items() if query.kind in ("", kind)]
    return heapq.merge(*rings, key=lambda order: -order.number)


def _is_wanted(order: Order, query: ListOrders) -> bool:
    return (
        (not query.before or order.number < query.before)
        and query.who.lower() in order.who.lower()
        and query.object.lower() in order.object.lower()
        and query.action in ("", order.action)
        and query.since_ms <= order.at_ms
        and (not query.until_ms or order.at_ms < query.until_ms)
    )


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _retention(cmd: SetRetention) -> str:
    fields = (
        ("runs", cmd.runs_max),
        ("jobs", cmd.jobs_max),
        ("for ms", cmd.keep_ms),
        ("files for ms", cmd.lease_ms),
    )
    return ", ".join(f"{name} {value}" for name, value in fields if value is not None)


def _submitted(cmd: SubmitRun, _: Any) -> About:
    more = "more than " if cmd.parts else ""
    return "run", cmd.run, f"{cmd.name}: {more}{_many(len(cmd.jobs), 'job')}"


def _saved(cmd: SubmitSaved, run: Any) -> About:
    return "run", str(run or cmd.run), f"pipeline {cmd.name}"


def _mutated(cmd: MutateRun, _: Any) -> About:
    kinds: dict[str, int] = {}
    for edit in cmd.edits:
        kind = str(type(edit).__struct_config__.tag)
        job = getattr(edit, "job", "")
        text = f"{kind} {job}" if job else kind
        kinds[text] = kinds.get(text, 0) + 1
    first = ", ".join(islice(kinds, 5)) + (" …" if len(kinds) > 5 else "")
    return "run", cmd.run, f"{first} ({cmd.note})" if cmd.note else first


def _gate(cmd: DecideGate, _: Any) -> About:
    comment = f": {cmd.comment}" if cmd.comment else ""
    return "gate", f"{cmd.run}/{cmd.gate}", f"by {cmd.by}{comment}"


def _mode(cmd: SetWorkerMode, _: Any) -> About:
    limit = "" if cmd.timeout_ms is None else f" within {cmd.timeout_ms} ms"
    return "worker", cmd.worker, f"{cmd.mode}{limit}"


def _deployed(cmd: DeployServices, _: Any) -> About:
    return "service", ", ".join(job.id for job in cmd.jobs[:8]), f"run {cmd.run}"


def _pool(cmd: SetPool, value: Any) -> About:
    return "pool", cmd.name, f"{value}: {cmd.workers_min} to {cmd.workers_max} workers"


def _pause(cmd: plans.PauseSchedule, _: Any) -> About:
    return "schedule", cmd.name, ""


def _set_schedule(cmd: plans.SetSchedule, _: Any) -> About:
    spec = cmd.spec
    return "schedule", cmd.name, f"{cmd.pipeline} at {spec.cron} {spec.timezone}"


def _key(cmd: KvWrite, _: Any) -> About:
    return "key", cmd.key, ""


_TELLERS: Final[dict[type[Command], _Teller]] = {
    SubmitRun: _submitted,
    SubmitSaved: _saved,
    AddJobs: lambda cmd, _: ("run", cmd.run, f"add {_many(len(cmd.jobs), 'job')}"),
    CancelRun: lambda cmd, _: ("run", cmd.run, ""),
    CancelJob: lambda cmd, _: ("job", f"{cmd.run}/{cmd.job}", ""),
    RetryJob: lambda cmd, _: ("job", f"{cmd.run}/{cmd.job}", ""),
    MutateRun: _mutated,
    SendSignal: lambda cmd, _: ("signal", f"{cmd.run}/{cmd.job}".rstrip("/"), cmd.name),
    DecideGate: _gate,
    SetWorkerMode: _mode,
    SetPool: _pool,
    RemovePool: lambda cmd, _: ("pool", cmd.name, ""),
    RecordLaunch: lambda cmd, value: ("pool", cmd.pool, f"launch {value}"),
    DeployServices: _deployed,
    StopService: lambda cmd, _: ("service", cmd.job, f"run {cmd.run}"),
    PublishArtifact: lambda cmd, _: ("artifact", cmd.key, cmd.name),
    DeleteArtifact: lambda cmd, _: ("artifact", cmd.key, ""),
    SavePipeline: lambda cmd, value: ("pipeline", cmd.name, f"version {value}"),
    DeletePipeline: lambda cmd, value: ("pipeline", cmd.name, _many(int(value or 0), "version")),
    SetBudget: lambda cmd, _: ("budget", cmd.budget, ""),
    NoteOrder: lambda cmd, _: ("master", cmd.master, cmd.detail),
    SetRetention: lambda cmd, _: ("cluster", "retention", _retention(cmd)),
    plans.SetSchedule: _set_schedule,
    plans.DeleteSchedule: lambda cmd, _: ("schedule", cmd.name, ""),
    plans.PauseSchedule: _pause,
    plans.TriggerSchedule: lambda cmd, value: ("schedule", cmd.name, f"{value[0]} {value[1]}"),
    plans.BackfillSchedule: lambda cmd, _: ("schedule", cmd.name, f"{cmd.from_ms} to {cmd.until_ms}"),
    keys.KvPut: _key,
    keys.KvDelete: _key,
    keys.KvCas: _key,
    keys.KvIncr: _key,
    keys.KvSetAdd: _key,
    keys.KvSetRemove: _key,
}  # fmt: skip
