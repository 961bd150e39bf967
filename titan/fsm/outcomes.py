"""What applying a command answers: `Applied` or `Rejected`. Refusals are values, not exceptions."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from titan.fsm.events import Event
from titan.ids import RunId

SETTLING: Final = "settling"


class Applied(msgspec.Struct, frozen=True):
    """The command took effect. `value` is remembered for repeats; `events` are not."""

    value: Any = None  # None, bool, int, str, bytes or a list of those
    events: tuple[Event, ...] = ()


class Rejected(msgspec.Struct, frozen=True):
    """The command had no effect. `code` is stable; `why` is for people and equal on every master.

    `settling` is no answer for anybody but the leader: it proposes the command again once `run` is
    settled (`settling.py`). So it is not remembered either.

    Codes: unknown_run, unknown_job, unknown_worker, unknown_attempt, attempt_not_live, run_exists,
    run_over, duplicate_job, unknown_parent, cycle, invalid_job, not_supported, stage_incomplete,
    stage_full, not_ready, worker_unavailable, worker_busy, not_capable, no_capacity, not_over,
    wrong_type, too_large, key_limit, stale_epoch, request_expired, stale_incarnation, not_yet, settling,
    invalid, not_in_task, cas_failed, lock_lost, lock_queue_full, lock_limit, mailbox_full, job_over,
    signal_gone, out_of_order, unknown_gate, gate_decided, not_an_approver, invalid_answers,
    unknown_pipeline, invalid_parameters, revision_changed, unknown_revision, cannot_undo,
    nothing_failed, already_started, already_over, not_own_run,
    unknown_budget, budget_exhausted.
    """

    code: str
    why: str = ""
    run: RunId = RunId("")  # only with `settling`; not remembered

    @property
    def is_for_now(self) -> bool:
        """Whether the command is to be proposed again when `run` is settled."""
        return self.code == SETTLING


Outcome = Applied | Rejected
