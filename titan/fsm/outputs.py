"""What a running task says about itself: its output, and how far it is.

Both belong to the attempt and go with it: an output becomes the job's only when the attempt ends well,
and progress is for people to look at while it runs.
"""

from __future__ import annotations

from typing import Any

from titan.fsm.batch import Draft, batchable
from titan.fsm.commands import ReportProgress, SetOutput
from titan.fsm.events import ProgressReported
from titan.fsm.handling import Stamp, Turn, handles
from titan.fsm.outcomes import Outcome, Rejected
from titan.fsm.state import Attempt, State
from titan.limits import OUTPUT_BYTES_MAX, PROGRESS_NOTE_BYTES_MAX


def asking(state: State, at: Stamp) -> Attempt | Rejected:
    """The live attempt that proposes, or the refusal for whoever is none."""
    attempt = state.attempts.get(at.attempt)
    return attempt or Rejected("not_in_task", "only code inside a task can do this")


@handles(SetOutput)
def set_output(state: State, cmd: SetOutput, at: Stamp) -> Outcome:
    """Set the output of the attempt."""
    refusal = check_output(Draft(state, at), cmd)
    if refusal is not None:
        return refusal
    turn = Turn(state, at)
    return turn.done(apply_output(turn, cmd, None))


def check_output(draft: Draft, cmd: SetOutput) -> Rejected | None:
    """Why the output cannot be that."""
    attempt = asking(draft.state, draft.at)
    if isinstance(attempt, Rejected):
        return attempt
    if len(cmd.value) > OUTPUT_BYTES_MAX:
        why = f"an output has at most {OUTPUT_BYTES_MAX} bytes; a larger one is written into TITAN_OUTPUT"
        return Rejected("too_large", why)
    return None


def apply_output(turn: Turn, cmd: SetOutput, _ticket: None) -> Any:
    """Set it; answers nothing."""
    turn.state.attempts[turn.at.attempt].output = cmd.value


batchable(SetOutput, check=check_output, apply=apply_output)


@handles(ReportProgress)
def report_progress(state: State, cmd: ReportProgress, at: Stamp) -> Outcome:
    """Show how far the attempt is."""
    attempt = asking(state, at)
    if isinstance(attempt, Rejected):
        return attempt
    if not 0 <= cmd.ppm <= 1_000_000:
        return Rejected("invalid", "progress is 0 to 1")
    if len(cmd.note.encode()) > PROGRESS_NOTE_BYTES_MAX:
        return Rejected("too_large", f"a note has at most {PROGRESS_NOTE_BYTES_MAX} bytes")
    turn = Turn(state, at)
    attempt.progress_ppm, attempt.note = cmd.ppm, cmd.note
    turn.events.append(ProgressReported(attempt.run, attempt.job))
    return turn.done()
