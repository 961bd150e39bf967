"""Signals: what a run or a job is told while it lives. Unread ones wait in bounded mailboxes.

A task looks at the oldest signal of a name, its own or the run's, and takes it by an ack that is fenced
like every effect of a task. Until then it stays where it is, so a job that runs again gets it again; an
ack that is committed together with what the signal led to makes that happen once. What is unread when
the run ends is dropped.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from titan.fsm import settling
from titan.fsm.batch import Draft, batchable
from titan.fsm.commands import AckSignal, SendSignal
from titan.fsm.events import MailChanged
from titan.fsm.handling import Stamp, Turn, handles
from titan.fsm.outcomes import Applied, Outcome, Rejected
from titan.fsm.outputs import asking
from titan.fsm.records.signals import Signal
from titan.fsm.standing import is_over
from titan.fsm.state import State
from titan.ids import JobId, RunId
from titan.limits import (
    MAIL_BYTES_MAX,
    MAILBOX_BYTES_MAX,
    NAME_CHARS_MAX,
    SIGNAL_BYTES_MAX,
    SIGNALS_PER_MAILBOX_MAX,
)


@handles(SendSignal)
def send_signal(state: State, cmd: SendSignal, at: Stamp) -> Outcome:
    """Put a signal into a mailbox. Answers its number."""
    refusal = _why_not(cmd) or _why_nobody(state, cmd) or _why_full(state, cmd)
    if refusal is not None:
        return refusal
    turn = Turn(state, at)
    signal = Signal(
        seq=state.next_signal,
        name=cmd.name,
        payload=cmd.payload,
        sent_ms=at.now_ms,
        sender=at.client,
    )
    state.next_signal += 1
    state.mail.setdefault(cmd.run, {}).setdefault(cmd.job, []).append(signal)
    state.mail_bytes += len(signal.payload)
    turn.events.append(MailChanged(cmd.run, cmd.job))
    return turn.done(signal.seq)


def _why_not(cmd: SendSignal) -> Rejected | None:
    if not 1 <= len(cmd.name) <= NAME_CHARS_MAX:
        return Rejected("invalid", f"the name of a signal has 1 to {NAME_CHARS_MAX} characters")
    if len(cmd.payload) > SIGNAL_BYTES_MAX:
        why = f"a signal carries at most {SIGNAL_BYTES_MAX} bytes; send the name of a larger file"
        return Rejected("too_large", why)
    return None


def _why_nobody(state: State, cmd: SendSignal) -> Rejected | None:
    run = state.runs.get(cmd.run)
    if run is None:
        return Rejected("unknown_run", f"there is no run {cmd.run}")
    refusal = settling.why_not_now(state, run)
    if refusal is not None:
        return refusal
    if is_over(run):
        return Rejected("run_over", f"run {cmd.run} has ended")
    if not cmd.job:
        return None
    job = run.jobs.get(JobId(cmd.job))
    if job is None:
        return Rejected("unknown_job", f"run {cmd.run} has no job '{cmd.job[:200]}'")
    if job.state.is_over:
        return Rejected("job_over", f"job '{cmd.job}' has ended")
    return None


def _why_full(state: State, cmd: SendSignal) -> Rejected | None:
    box = state.mail.get(cmd.run, {}).get(cmd.job, ())
    size = len(cmd.payload) + sum(len(signal.payload) for signal in box)
    whose = f"job '{cmd.job}'" if cmd.job else f"run {cmd.run}"
    if len(box) >= SIGNALS_PER_MAILBOX_MAX or size > MAILBOX_BYTES_MAX:
        return Rejected("mailbox_full", f"{whose} has {len(box)} unread signals")
    if state.mail_bytes + len(cmd.payload) > MAIL_BYTES_MAX:
        return Rejected("mailbox_full", "the signals that nobody reads take too much room")
    return None


# --- taking ---------------------------------------------------------------------------------------


def oldest(state: State, run: RunId, job: str, name: str) -> Signal | None:
    """The signal that a task of this job gets next."""
    boxes = state.mail.get(run, {})
    found: Signal | None = None
    for whose in ("", job):
        for signal in boxes.get(whose, ()):
            if signal.name == name:
                if found is None or signal.seq < found.seq:
                    found = signal
                break
    return found


class _Found(NamedTuple):
    run: RunId
    whose: str
    signal: Signal


class Pad(msgspec.Struct):
    """What the batch takes."""

    taken: dict[int, None] = msgspec.field(default_factory=dict)


@handles(AckSignal)
def ack_signal(state: State, cmd: AckSignal, at: Stamp) -> Outcome:
    """Take a signal; answers False when it is gone, because it was taken before."""
    found = check_ack(Draft(state, at), cmd)
    if isinstance(found, Rejected):
        return Applied(False) if found.code == "signal_gone" else found
    turn = Turn(state, at)
    return turn.done(apply_ack(turn, cmd, found))


def check_ack(draft: Draft, cmd: AckSignal) -> _Found | Rejected:
    """Where the signal is, or why the task cannot take it: it is gone, or an older one comes first."""
    attempt = asking(draft.state, draft.at)
    if isinstance(attempt, Rejected):
        return attempt
    taken = draft.pad(Pad).taken
    boxes = draft.state.mail.get(attempt.run, {})
    for whose in ("", attempt.job):
        older: dict[str, None] = {}
        for signal in boxes.get(whose, ()):
            if signal.seq in taken:
                continue
            if signal.seq == cmd.seq:
                if signal.name in older:
                    why = f"an older signal '{signal.name}' has not been taken yet"
                    return Rejected("out_of_order", why)
                taken[signal.seq] = None
                return _Found(attempt.run, whose, signal)
            older[signal.name] = None
    return Rejected("signal_gone", f"signal {cmd.seq} was taken before")


def apply_ack(turn: Turn, _cmd: AckSignal, found: _Found) -> Any:
    """Take it."""
    state = turn.state
    boxes = state.mail[found.run]
    boxes[found.whose].remove(found.signal)
    if not boxes[found.whose]:
        del boxes[found.whose]
    if not boxes:
        del state.mail[found.run]
    state.mail_bytes -= len(found.signal.payload)
    turn.events.append(MailChanged(found.run, found.whose))
    return True


batchable(AckSignal, check=check_ack, apply=apply_ack)


def run_is_over(state: State, run: RunId) -> None:
    """Nobody is left to read its mail."""
    for box in state.mail.pop(run, {}).values():
        state.mail_bytes -= sum(len(signal.payload) for signal in box)
