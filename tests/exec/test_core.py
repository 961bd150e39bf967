"""The worker's core: what it orders in answer to what it is told."""

from __future__ import annotations

import pytest

from tests.exec.support import CoreDriver, order
from titan.exec.attempt import CoreFault, Phase
from titan.exec.core import CONFIRMATION_PATIENCE_MS
from titan.exec.events import (
    Escalate,
    Forget,
    Kill,
    RefuseLeader,
    Report,
    Send,
    Start,
    StartFailed,
    Stop,
)
from titan.limits import PREFILL_PER_SLOT_MAX
from titan.wire.messages import (
    AttemptEnded,
    AttemptReleased,
    Confirmed,
    Goodbye,
    KillAttempt,
    LeaveNow,
    Leaving,
    Registered,
    Retract,
)


def registered(*live: int, epoch: int = 1) -> Registered:
    return Registered(epoch=epoch, live=live, heartbeat_ms=100, masters=())


def test_attempts_start_in_order_while_slots_last() -> None:
    core = CoreDriver(slots=2)
    assert core(order(1)) == [Start(order(1))]
    assert core(order(2)) == [Start(order(2))]
    assert core(order(3)) == []
    core.started(1)
    assert core.ended(1)[-1] == Start(order(3))


def test_a_large_attempt_is_not_passed_by_small_ones() -> None:
    core = CoreDriver(slots=2)
    core(order(1))
    assert core(order(2, slots=2)) == []
    assert core(order(3)) == []  # would fit, but it came later
    core.started(1)
    assert core.ended(1)[-1] == Start(order(2, slots=2))


def test_an_attempt_without_slots_starts_beside_a_full_worker() -> None:
    core = CoreDriver(slots=1)
    core(order(1))
    assert core(order(2, slots=0)) == [Start(order(2, slots=0))]


def test_an_attempt_larger_than_the_worker_is_reported_at_once() -> None:
    (report,) = CoreDriver(slots=2)(order(1, slots=3))
    assert isinstance(report, Report)
    assert (report.result.exit_code, report.result.cause) == (-1, "start_failed")
    assert "3 slots" in report.result.detail


def test_a_repeated_order_is_ignored_in_every_phase() -> None:
    core = CoreDriver(slots=1)
    core(order(1))
    assert core(order(1)) == []
    core.started(1)
    assert core(order(1)) == []
    core.ended(1)
    assert core(order(1)) == []
    assert core(Confirmed(attempts=(1,))) == [Forget((1,))]
    assert core(order(1)) == []


def test_an_attempt_in_the_outbox_of_an_earlier_life_is_not_run_again() -> None:
    core = CoreDriver(slots=1, outbox=(7,))
    assert core(order(7)) == []
    assert core.core.holds() == (7,)
    assert core.core.phase(7) is Phase.ENDED


def test_orders_of_an_older_epoch_are_refused() -> None:
    core = CoreDriver(slots=1)
    core(order(1, epoch=5))
    core.started(1)
    assert core(order(2, epoch=4)) == []
    assert core(KillAttempt(attempt=1, epoch=4, reason="")) == []
    assert core(Retract(attempt=2, epoch=4)) == []
    assert core(registered(epoch=4)) == [RefuseLeader(4)]
    assert core.core.phase(1) is Phase.RUNNING


def test_only_an_attempt_that_has_not_started_is_given_back() -> None:
    core = CoreDriver(slots=1)
    core(order(1))
    core(order(2))
    assert core(Retract(attempt=1, epoch=1)) == []
    released = [Send(AttemptReleased(attempt=2))]
    assert core(Retract(attempt=2, epoch=1)) == released
    assert core(order(2)) == released  # the first answer was lost; it is never started
    assert core(Retract(attempt=2, epoch=1)) == released
    assert core.core.holds() == (1,)


def test_a_retracted_attempt_that_never_arrived_is_given_back_and_never_started() -> None:
    core = CoreDriver(slots=1)
    assert core(Retract(attempt=9, epoch=1)) == [Send(AttemptReleased(attempt=9))]
    assert core(order(9)) == [Send(AttemptReleased(attempt=9))]


def test_a_kill_asks_first_and_then_forces_and_reports_nothing() -> None:
    core = CoreDriver(slots=1, grace_ms=1000)
    core(order(1))
    core.started(1)
    assert core(KillAttempt(attempt=1, epoch=1, reason="cancelled")) == [Kill(1)]
    assert core.pass_time(999) == []
    assert core.pass_time(1) == [Escalate(1)]
    assert core.pass_time(1000) == [Escalate(1)]
    assert core.ended(1, exit_code=137) == []
    assert core.core.is_idle()
    assert core(order(1)) == []


def test_a_kill_during_the_start_is_repeated_once_there_is_a_process() -> None:
    core = CoreDriver(slots=1)
    core(order(1))
    assert core(KillAttempt(attempt=1, epoch=1, reason="")) == [Kill(1)]
    assert core.started(1) == [Kill(1)]
    assert core.ended(1, exit_code=143) == []


def test_a_kill_of_a_queued_attempt_drops_it_and_a_kill_of_an_unknown_one_bars_it() -> None:
    core = CoreDriver(slots=1)
    core(order(1))
    core(order(2))
    assert core(KillAttempt(attempt=2, epoch=1, reason="")) == []
    assert core(KillAttempt(attempt=3, epoch=1, reason="")) == []
    core.started(1)
    core(order(3))
    (report,) = core.ended(1)
    assert isinstance(report, Report)


def test_a_job_that_cannot_be_prepared_in_its_time_has_timed_out() -> None:
    core = CoreDriver(slots=1, grace_ms=500)
    core(order(1, timeout_ms=1000))
    assert core.pass_time(1000) == [Kill(1)]
    (report,) = core.start_failed(1, "it was killed before it started")
    assert isinstance(report, Report)
    assert (report.result.cause, report.result.exit_code) == ("timeout", -1)
    assert "still being prepared after 1000 ms" in report.result.detail


def test_a_time_out_counts_from_the_start_of_the_process() -> None:
    core = CoreDriver(slots=1, grace_ms=500)
    core(order(1, timeout_ms=1000))
    core.pass_time(900)
    core.started(1)
    assert core.pass_time(999) == []
    assert core.pass_time(1) == [Kill(1)]
    assert core.pass_time(500) == [Escalate(1)]
    (report,) = core.ended(1, exit_code=137)
    assert isinstance(report, Report)
    assert (report.result.exit_code, report.result.cause) == (137, "timeout")
    assert "1000 ms" in report.result.detail


def test_leaving_with_0_after_a_time_out_is_not_success() -> None:
    core = CoreDriver(slots=1)
    core(order(1, timeout_ms=10))
    core.started(1)
    core.pass_time(10)
    (report,) = core.ended(1, exit_code=0)
    assert isinstance(report, Report)
    assert (report.result.exit_code, report.result.cause) == (143, "timeout")


def test_too_much_output_kills() -> None:
    core = CoreDriver(slots=1)
    core(order(1))
    core.started(1)
    assert core.too_large(1) == [Kill(1)]
    assert core.too_large(1) == []
    (report,) = core.ended(1, exit_code=143)
    assert isinstance(report, Report)
    assert report.result.cause == "output_limit"


def test_a_start_that_fails_is_reported_with_its_reason() -> None:
    core = CoreDriver(slots=1)
    core(order(1))
    expected = AttemptEnded(attempt=1, exit_code=-1, cause="start_failed", detail="no such file")
    assert core.start_failed(1, "no such file") == [Report(expected)]


def test_trouble_with_the_surroundings_is_told_apart_from_a_wrong_declaration() -> None:
    core = CoreDriver(slots=1)
    core(order(1))
    (report,) = core(StartFailed(attempt=1, detail="disk full", cause="not_prepared"))
    assert isinstance(report, Report)
    assert report.result.cause == "not_prepared"


def test_after_registration_what_is_not_live_is_killed_and_results_are_kept() -> None:
    core = CoreDriver(slots=3)
    for attempt in (1, 2, 3, 4):
        core(order(attempt))
    for attempt in (1, 2, 3):
        core.started(attempt)
    core.ended(3)  # 4 starts; 3 waits in the outbox
    assert core(registered(1, epoch=2)) == [Kill(2), Kill(4)]
    assert core.core.phase(3) is Phase.ENDED
    assert core.core.phase(1) is Phase.RUNNING


def test_leaving_gives_queued_attempts_back_and_waits_for_what_runs_when_draining() -> None:
    core = CoreDriver(slots=1)
    core(order(1))
    core(order(2))
    core.started(1)
    assert core(LeaveNow(drain=True)) == [Send(Leaving()), Send(AttemptReleased(attempt=2))]
    assert core(order(3)) == [Send(AttemptReleased(attempt=3))]
    (report,) = core.ended(1)
    assert isinstance(report, Report)
    assert core(Confirmed(attempts=(1,))) == [Forget((1,)), Send(Goodbye()), Stop()]


def test_a_new_leader_hears_that_the_worker_is_leaving() -> None:
    core = CoreDriver(slots=1)
    core(order(1))
    core.started(1)
    core(LeaveNow(drain=True))
    again = Registered(epoch=2, live=(1,), heartbeat_ms=1000, masters=())
    assert core(again) == [Send(Leaving())]


def test_leaving_at_once_kills_what_runs() -> None:
    core = CoreDriver(slots=1)
    core(order(1))
    core.started(1)
    assert core(LeaveNow(drain=False)) == [Send(Leaving()), Kill(1)]
    assert core.ended(1, exit_code=143) == [Send(Goodbye()), Stop()]


def test_a_leaving_worker_does_not_wait_for_ever_for_a_confirmation() -> None:
    core = CoreDriver(slots=1, outbox=(5,))
    assert core(LeaveNow(drain=True)) == []
    assert core.pass_time(CONFIRMATION_PATIENCE_MS) == [Send(Goodbye()), Stop()]


def test_an_idle_worker_leaves_at_once() -> None:
    assert CoreDriver(slots=1)(LeaveNow(drain=True)) == [Send(Goodbye()), Stop()]


def test_the_queue_is_bounded_and_what_does_not_fit_is_given_back() -> None:
    core = CoreDriver(slots=1)
    room = 1 + 2 * PREFILL_PER_SLOT_MAX
    for attempt in range(room):
        assert Send(AttemptReleased(attempt=attempt)) not in core(order(attempt))
    assert core(order(room)) == [Send(AttemptReleased(attempt=room))]


def test_an_impossible_event_is_a_fault_that_tells_the_attempts_history() -> None:
    core = CoreDriver(slots=1)
    core(order(1))
    core.started(1)
    with pytest.raises(CoreFault, match=r"attempt 1 \(running\).*queued; .*starting; .*running"):
        core.started(1)
    with pytest.raises(CoreFault, match="not here"):
        core.ended(99)
