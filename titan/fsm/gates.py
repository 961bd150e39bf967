"""Gates: jobs that wait for people. Opening, deciding, timing out; who decided what stays on record.

One decision counts, whatever the number of people who decide at once: the log puts them in order, and
whoever comes after the one that settled it is refused with its name. A gate is not retried by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

import msgspec

from titan.fsm import jobs, payments, settling, timers
from titan.fsm.commands import DecideGate
from titan.fsm.events import JobChanged
from titan.fsm.handling import Stamp, Turn, handles
from titan.fsm.outcomes import Applied, Outcome, Rejected
from titan.fsm.policy import decode_spec
from titan.fsm.records.gates import APPROVE, REJECT, Decision, Gate
from titan.fsm.state import Job, JobState, Run, State
from titan.fsm.unattended import asks_for_worker
from titan.ids import JobId, RunId, strip_v1_prefix
from titan.limits import ERROR_TEXT_BYTES_MAX, GATE_HISTORY_MAX, NAME_CHARS_MAX, OUTPUT_BYTES_MAX
from titan.spec.gates import behind_gates, gate_id
from titan.spec.inputs import fill
from titan.spec.model import JobSpec

_NAMES_SHOWN: Final = 5
_LEADS_TO: Final = {APPROVE: JobState.COMPLETED, REJECT: JobState.FAILED}

# --- finding --------------------------------------------------------------------------------------


def is_gate(job: Job) -> bool:
    """Whether the job waits for people."""
    return not asks_for_worker(job) and decode_spec(job).type == "gate"


def find_gate(run: Run, name: str) -> Job | None:
    """The gate of that id, or the one that was put after the job of that id. `DAG-` is ignored."""
    for spelt in dict.fromkeys((name, strip_v1_prefix(name))):
        for job_id in (JobId(spelt), gate_id(spelt)):
            job = run.jobs.get(job_id)
            if job is not None and is_gate(job):
                return job
    return None


def behind_known_gates(run: Run, specs: Iterable[JobSpec]) -> tuple[JobSpec, ...]:
    """Jobs that join a run wait for the gates after their parents, as those declared with them do."""

    def is_gated(name: JobId) -> bool:
        gate = run.jobs.get(gate_id(name))
        return gate is not None and not asks_for_worker(gate) and decode_spec(gate).gate_of == name

    return tuple([behind_gates(spec, is_gated=is_gated) for spec in specs])


# --- opening --------------------------------------------------------------------------------------


def open_gate(turn: Turn, run: Run, job: Job) -> None:
    """The trigger holds and the delay is over: from now on people are asked."""
    known = run.gates.get(job.id)
    opened_ms = turn.at.now_ms
    due_ms = opened_ms + decode_spec(job).max_wait_ms
    if known is None:
        gate = Gate(opened_ms, due_ms)
    else:
        earlier = (*known.earlier, *known.decisions)[-GATE_HISTORY_MAX:]
        gate = Gate(opened_ms, due_ms, known.round + 1, (), earlier)
    run.gates[job.id] = gate
    timers.set_timer(turn.state, timers.GATE, run.id, job.id, due_ms=due_ms)
    jobs.wait_for_people(turn, run, job)
    jobs.refresh_run(turn, run)


def time_out(turn: Turn, key: tuple[str, ...]) -> None:
    """Nobody decided in time."""
    run = turn.state.runs[RunId(key[0])]
    job = run.jobs[JobId(key[1])]
    spec, gate = decode_spec(job), run.gates[job.id]
    wanted = spec.approvers.count
    got = f"{len(gate.decisions)} of {wanted} approvals" if wanted > 1 else "nobody decided"
    _close(turn, run, job, to=JobState.FAILED, reason=f"{got} within {spec.max_wait_ms / 1000:g} s")


def _close(turn: Turn, run: Run, job: Job, *, to: JobState, reason: str) -> None:
    jobs.end(turn, run, job, to=to, reason=reason)
    if job.id in run.budget_gates:
        answers = msgspec.json.decode(job.output) if to is JobState.COMPLETED else {}
        payments.gate_closed(turn, run, job, answers)
    jobs.settle(turn, run, [job])
    jobs.refresh_run(turn, run)


# --- deciding -------------------------------------------------------------------------------------


@handles(DecideGate)
def decide_gate(state: State, cmd: DecideGate, at: Stamp) -> Outcome:
    """Take one person's decision. One rejection closes a gate, as many approvals as it wants open it."""
    run = state.runs.get(cmd.run)
    if run is None:
        return Rejected("unknown_run", f"there is no run {cmd.run}")
    job = find_gate(run, cmd.gate)
    if job is None:
        return Rejected("unknown_gate", f"run {cmd.run} has no gate '{cmd.gate[:200]}'")
    refusal = _why_not(cmd)
    if refusal is not None:
        return refusal
    refusal = settling.why_not_job(state, run, job)
    if refusal is not None:
        return refusal
    spec, gate = decode_spec(job), run.gates.get(job.id)
    if _same(gate, cmd) is not None and job.state is _LEADS_TO[cmd.decision]:
        return _answer(job, spec, gate)
    if job.state is not JobState.WAITING or gate is None:
        return _why_not_now(job, gate)
    if not _may(spec, cmd):
        return Rejected("not_an_approver", _who_may(job, spec))
    if cmd.decision == REJECT:
        return _reject(Turn(state, at), run, job, spec, cmd)
    return _approve(Turn(state, at), run, job, spec, cmd)


def _why_not(cmd: DecideGate) -> Rejected | None:
    if cmd.decision not in (APPROVE, REJECT):
        return Rejected("invalid", f"a decision is {APPROVE} or {REJECT}")
    if not cmd.by or len(cmd.by) > NAME_CHARS_MAX or len(cmd.role) > NAME_CHARS_MAX:
        return Rejected(
            "invalid", f"by and role have at most {NAME_CHARS_MAX} characters, by at least 1"
        )
    if len(cmd.comment.encode()) > ERROR_TEXT_BYTES_MAX:
        return Rejected("too_large", f"a comment has at most {ERROR_TEXT_BYTES_MAX} bytes")
    return None


def _same(gate: Gate | None, cmd: DecideGate) -> Decision | None:
    """The same decision by the same person in this round."""
    for one in gate.decisions if gate is not None else ():
        if one.by == cmd.by and one.decision == cmd.decision:
            return one
    return None


def _may(spec: JobSpec, cmd: DecideGate) -> bool:
    who = spec.approvers
    anybody = not who.users and not who.roles
    return anybody or cmd.by in who.users or (cmd.role != "" and cmd.role in who.roles)


def _who_may(job: Job, spec: JobSpec) -> str:
    users = ", ".join(spec.approvers.users[:_NAMES_SHOWN])
    roles = ", ".join(spec.approvers.roles[:_NAMES_SHOWN])
    named = [f"users {users}" if users else "", f"roles {roles}" if roles else ""]
    return f"gate '{job.id}' is decided by {' and '.join(part for part in named if part)}"


def _reject(turn: Turn, run: Run, job: Job, spec: JobSpec, cmd: DecideGate) -> Applied:
    gate = _record(turn, run, job, cmd, answers={})
    reason = f"rejected by {_person(gate.decisions[-1])}"
    if cmd.comment:
        reason = f"{reason}: {cmd.comment}"
    _close(turn, run, job, to=JobState.FAILED, reason=_clip(reason))
    return _answer(job, spec, gate, turn)


def _approve(turn: Turn, run: Run, job: Job, spec: JobSpec, cmd: DecideGate) -> Outcome:
    """The last approval that was wanted opens the gate; then every field that must be there is."""
    before = run.gates[job.id]
    given, wrong = fill(spec.form, cmd.answers, complete=False)
    mine = _same(before, cmd)
    if mine is not None and mine.answers == given:
        return _answer(job, spec, before)
    others = [one for one in before.decisions if one.by != cmd.by]
    output = b""
    if not wrong and len(others) + 1 >= spec.approvers.count:
        merged = {name: value for one in others for name, value in one.answers.items()}
        filled, wrong = fill(spec.form, {**merged, **given})
        output = msgspec.json.encode(filled)
    if wrong:
        return Rejected("invalid_answers", f"gate '{job.id}': {'; '.join(wrong)}")
    if len(output) > OUTPUT_BYTES_MAX or len(msgspec.json.encode(given)) > OUTPUT_BYTES_MAX:
        return Rejected("too_large", f"the answers have at most {OUTPUT_BYTES_MAX} bytes")
    gate = _record(turn, run, job, cmd, answers=given)
    if output:
        job.output = output
        people = ", ".join(map(_person, gate.decisions))
        _close(turn, run, job, to=JobState.COMPLETED, reason=_clip(f"approved by {people}"))
    else:
        turn.events.append(JobChanged(run.id, job.id, job.state))  # why it waits has
    return _answer(job, spec, gate, turn)


def _record(
    turn: Turn,
    run: Run,
    job: Job,
    cmd: DecideGate,
    *,
    answers: dict[str, str | int | float | bool | None],
) -> Gate:
    """Put the person's last word on record."""
    gate = run.gates[job.id]
    word = Decision(
        cmd.decision, cmd.by, turn.at.now_ms, cmd.role, cmd.comment, answers, gate.round
    )
    others = tuple([one for one in gate.decisions if one.by != cmd.by])
    gate = msgspec.structs.replace(gate, decisions=(*others, word))
    run.gates[job.id] = gate
    return gate


def approvals(gate: Gate | None) -> int:
    """How many people have approved in this round."""
    return sum(one.decision == APPROVE for one in (gate.decisions if gate is not None else ()))


def _answer(job: Job, spec: JobSpec, gate: Gate | None, turn: Turn | None = None) -> Applied:
    value = [job.state.value, approvals(gate), spec.approvers.count]
    return Applied(value) if turn is None else turn.done(value)


def _why_not_now(job: Job, gate: Gate | None) -> Rejected:
    if not job.state.is_over:
        return Rejected("not_ready", f"gate '{job.id}' does not wait for anybody yet")
    last = gate.decisions[-1] if gate is not None and gate.decisions else None
    if last is None or job.state not in (JobState.COMPLETED, JobState.FAILED):
        said = f": {job.reason}" if job.reason and job.reason != job.state.value.lower() else ""
        why = f"gate '{job.id}' is {job.state.value} since {_when(job.ended_ms)}{said}"
    else:
        why = f"gate '{job.id}' was {job.reason}, at {_when(job.ended_ms)}"
    return Rejected("gate_decided", why)


def _person(one: Decision) -> str:
    return f"{one.by} ({one.role})" if one.role else one.by


def _when(at_ms: int) -> str:
    text = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"


def _clip(text: str) -> str:
    return text.encode()[:ERROR_TEXT_BYTES_MAX].decode(errors="ignore")
