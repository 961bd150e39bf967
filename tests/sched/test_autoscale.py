"""When pools grow and shrink: the decision alone, from situations that are written down."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from titan.fsm.records.pools import Pool
from titan.fsm.state import Demand
from titan.ids import WorkerId
from titan.limits import EPHEMERAL_IDLE_MS, LAUNCH_BACKOFF_MS, SATURATED_MS
from titan.sched.autoscale import (
    AT_MAX,
    BACKS_OFF,
    COOLS_DOWN,
    QUIET,
    SETTLING,
    STARTING,
    Decisions,
    Member,
    Situation,
    decide,
)
from titan.sched.demand import Backlog
from titan.sched.need import need_of

NOW_MS = 1_000_000
IDLE_MS = 10_000


def pool(name: str = "p", **fields: Any) -> Pool:
    made = {
        "provider": "local",
        "capabilities": (),
        "slots": 2,
        "resources": {},
        "workers_min": 0,
        "workers_max": 4,
        "idle_ms": IDLE_MS,
        "cooldown_ms": 3_000,
        "register_ms": 60_000,
    }
    return Pool(name=name, **(made | fields))


def waits(
    count: int, *tags: str, since_ms: int = NOW_MS - SATURATED_MS, **resources: int
) -> Backlog:
    amounts = {"slots": 1} | resources
    demand = Demand(tags or ("GENERAL",), tuple(sorted(amounts.items())))
    return Backlog(need_of(demand), count, 0, since_ms)


def member(name: str, *, idle_for_ms: int | None = None, **fields: Any) -> Member:
    since_ms = None if idle_for_ms is None else NOW_MS - idle_for_ms
    made = {"pool": "p", "ephemeral": True, "idle_since_ms": since_ms}
    return Member(worker=WorkerId(name), **(made | fields))


def seen(*pools: Pool, **fields: Any) -> Situation:
    made = {"members": [], "pending": {}, "backlogs": [], "now_ms": NOW_MS}
    return Situation(pools={one.name: one for one in pools}, **(made | fields))


def launches(found: Decisions) -> dict[str, int]:
    return {one.pool: one.count for one in found.launches}


def retired(found: Decisions) -> list[str]:
    return [one.worker for one in found.retirements]


# --- up -----------------------------------------------------------------------------------------------


def test_nothing_waits_and_nothing_is_started() -> None:
    found = decide(seen(pool()))
    assert (launches(found), found.standings["p"].code) == ({}, QUIET)


def test_the_minimum_is_there_without_any_work() -> None:
    assert launches(decide(seen(pool(workers_min=3), pending={"p": 1}))) == {"p": 2}


def test_a_queue_that_lasts_starts_one_worker_and_then_doubles() -> None:
    backlog = [waits(100)]
    assert launches(decide(seen(pool(workers_max=20), backlogs=backlog))) == {"p": 1}
    members = [member("a"), member("b"), member("c")]
    found = decide(seen(pool(workers_max=20), backlogs=backlog, members=members))
    assert launches(found) == {"p": 3}


def test_a_queue_that_has_just_come_starts_nothing() -> None:
    found = decide(seen(pool(), backlogs=[waits(9, since_ms=NOW_MS - SATURATED_MS + 1)]))
    assert (launches(found), found.standings["p"].code) == ({}, SETTLING)


def test_no_more_is_started_than_the_queue_can_use() -> None:
    members = [member("a"), member("b"), member("c")]
    found = decide(seen(pool(workers_max=20), backlogs=[waits(3)], members=members))
    assert launches(found) == {"p": 2}  # two slots each


def test_what_is_on_its_way_is_filled_first() -> None:
    found = decide(seen(pool(), backlogs=[waits(4)], pending={"p": 2}))
    assert (launches(found), found.standings["p"].code) == ({}, STARTING)


def test_the_maximum_holds() -> None:
    members = [member(name) for name in "abc"]
    found = decide(seen(pool(), backlogs=[waits(99)], members=members, pending={"p": 1}))
    assert (launches(found), found.standings["p"].code) == ({}, AT_MAX)
    assert found.standings["p"].wanted > 0


def test_a_pool_cools_down_after_it_has_launched() -> None:
    hot = pool(launched_ms=NOW_MS - 1)
    found = decide(seen(hot, backlogs=[waits(9)], members=[member("a")]))
    assert (launches(found), found.standings["p"].code) == ({}, COOLS_DOWN)


def test_a_pool_backs_off_after_failures_and_then_tries_with_one() -> None:
    failing = pool(failures=2, failed_ms=NOW_MS - 2 * LAUNCH_BACKOFF_MS + 1, last_error="no")
    waiting = seen(failing, backlogs=[waits(9)], members=[member("a"), member("b")])
    found = decide(waiting)
    assert (launches(found), found.standings["p"].code) == ({}, BACKS_OFF)
    later = msgspec.structs.replace(waiting, now_ms=NOW_MS + 1)
    assert launches(decide(later)) == {"p": 1}
    trial = msgspec.structs.replace(later, pending={"p": 1})
    assert decide(trial).standings["p"].code == STARTING


def test_the_minimum_too_waits_for_the_back_off() -> None:
    failing = pool(workers_min=2, failures=1, failed_ms=NOW_MS)
    assert decide(seen(failing)).standings["p"].code == BACKS_OFF


def test_a_demand_that_no_pool_can_serve_starts_nothing_and_is_named() -> None:
    backlogs = [waits(5, "GENERAL", "GPU"), waits(5, slots=3), waits(5, memory_mb=10)]
    found = decide(seen(pool(), backlogs=backlogs))
    assert launches(found) == {}
    assert list(found.stranded) == backlogs


def test_each_demand_goes_to_the_plainest_pool_that_serves_it() -> None:
    general, cards = pool("z"), pool("a", capabilities=("GPU",), resources={"gpus": 2})
    found = decide(seen(general, cards, backlogs=[waits(2), waits(1, "GPU", gpus=1)]))
    assert launches(found) == {"a": 1, "z": 1}


def test_what_one_pool_may_not_hold_spills_to_the_next() -> None:
    small, large = pool("a", workers_max=0), pool("b", capabilities=("BIG",))
    found = decide(seen(small, large, backlogs=[waits(2)]))
    assert launches(found) == {"b": 1}


def test_a_removed_pool_starts_nothing() -> None:
    gone = pool(workers_min=2, is_removed=True)
    assert launches(decide(seen(gone, backlogs=[waits(9)]))) == {}


# --- down ---------------------------------------------------------------------------------------------


def test_idle_ephemeral_workers_retire_the_longest_idle_first_down_to_the_minimum() -> None:
    members = [member("a", idle_for_ms=IDLE_MS), member("b", idle_for_ms=IDLE_MS + 5)]
    assert retired(decide(seen(pool(), members=members))) == ["b", "a"]
    assert retired(decide(seen(pool(workers_min=1), members=members))) == ["b"]


def test_busy_permanent_leaving_and_not_yet_idle_workers_stay() -> None:
    members = [
        member("busy"),
        member("permanent", idle_for_ms=IDLE_MS, ephemeral=False),
        member("leaving", idle_for_ms=IDLE_MS, is_leaving=True),
        member("fresh", idle_for_ms=IDLE_MS - 1),
    ]
    assert retired(decide(seen(pool(), members=members))) == []


def test_nobody_retires_while_jobs_wait_that_the_pool_serves() -> None:
    members = [member("a", idle_for_ms=IDLE_MS)]
    young = waits(1, since_ms=NOW_MS)
    assert retired(decide(seen(pool(), members=members, backlogs=[young]))) == []
    others = waits(1, "GPU")
    assert retired(decide(seen(pool(), members=members, backlogs=[others]))) == ["a"]


def test_idle_workers_above_the_maximum_go_at_once() -> None:
    members = [member("a", idle_for_ms=2), member("b", idle_for_ms=1), member("c")]
    assert retired(decide(seen(pool(workers_max=2), members=members))) == ["a"]


def test_an_ephemeral_worker_without_a_pool_goes_by_its_own_time() -> None:
    members = [
        member("own", pool="", idle_for_ms=500, idle_ms=500),
        member("default", pool="", idle_for_ms=EPHEMERAL_IDLE_MS),
        member("young", pool="", idle_for_ms=EPHEMERAL_IDLE_MS - 1),
    ]
    assert retired(decide(seen(members=members))) == ["default", "own"]


# --- over time: launches come, jobs are served, workers leave ---------------------------------------------


class Model:
    """A crude cluster of one pool: decisions are carried out, launches take time or fail."""

    def __init__(self, config: Pool, *, takes_ms: int, fails: list[bool]) -> None:
        self.pool = config
        self.now_ms = NOW_MS
        self.takes_ms = takes_ms
        self.fails = fails
        self.coming: list[int] = []
        self.workers: dict[str, int | None] = {}  # → idle since
        self.waiting_since: int | None = None
        self.launched = self.retired = 0

    def step(self, load: int, *, ms: int = 500) -> None:
        """Half a second in which `load` long jobs want to run."""
        self.now_ms += ms
        self._arrive()
        slots = self.pool.slots
        for number, name in enumerate(self.workers):
            is_busy = load > number * slots
            since = self.workers[name]
            self.workers[name] = None if is_busy else (since or self.now_ms)
        waiting = max(0, load - slots * len(self.workers))
        self.waiting_since = (self.waiting_since or self.now_ms) if waiting else None
        self._act(waiting)

    def _arrive(self) -> None:
        for due in [due for due in self.coming if due <= self.now_ms]:
            self.coming.remove(due)
            if self.fails and self.fails.pop(0):
                self.pool.failures += 1
                self.pool.failed_ms = self.now_ms
            else:
                self.pool.failures = 0
                self.launched += 1
                self.workers[f"w{self.launched}"] = None

    def _act(self, waiting: int) -> None:
        backlogs = [waits(waiting, since_ms=self.waiting_since or 0)] if waiting else []
        members = [
            Member(worker=WorkerId(name), pool="p", ephemeral=True, idle_since_ms=since)
            for name, since in self.workers.items()
        ]
        pending = {"p": len(self.coming)}
        found = decide(
            seen(self.pool, now_ms=self.now_ms, members=members, pending=pending, backlogs=backlogs)
        )
        for one in found.launches:
            self.pool.launched_ms = self.now_ms
            self.coming += [self.now_ms + self.takes_ms] * one.count
        for gone in found.retirements:
            assert self.workers[gone.worker] is not None  # never a busy one
            del self.workers[gone.worker]
            self.retired += 1
        assert len(self.workers) + len(self.coming) <= self.pool.workers_max


configs = st.builds(
    lambda low, more, slots, cooldown: pool(
        workers_min=low, workers_max=low + more, slots=slots, cooldown_ms=cooldown
    ),
    st.integers(0, 3),
    st.integers(0, 6),
    st.integers(1, 4),
    st.sampled_from([0, 1_000, 5_000]),
)


@settings(max_examples=150, deadline=None)
@given(
    configs,
    st.lists(st.integers(0, 20), min_size=1, max_size=60),
    st.sampled_from([0, 700, 20_000]),
    st.lists(st.booleans(), max_size=8),
)
def test_never_above_the_maximum_nor_below_the_minimum(
    config: Pool, loads: list[int], takes_ms: int, fails: list[bool]
) -> None:
    model = Model(config, takes_ms=takes_ms, fails=fails)
    reached = 0
    for load in loads:
        model.step(load)  # asserts the maximum
        reached = max(reached, min(len(model.workers), config.workers_min))
        assert len(model.workers) >= reached  # what it has had of its minimum it keeps


@settings(max_examples=100, deadline=None)
@given(configs, st.integers(0, 30), st.sampled_from([0, 700, 4_000]))
def test_a_constant_load_is_met_and_then_nothing_changes(
    config: Pool, load: int, takes_ms: int
) -> None:
    model = Model(config, takes_ms=takes_ms, fails=[])
    for _ in range(200):
        model.step(load)
    wanted = -(-load // config.slots)
    assert len(model.workers) == min(max(wanted, config.workers_min), config.workers_max)
    before = (model.launched, model.retired)
    for _ in range(200):
        model.step(load)
    assert (model.launched, model.retired) == before  # no flapping


@settings(max_examples=60, deadline=None)
@given(configs, st.integers(1, 30))
def test_after_the_load_only_the_minimum_is_left(config: Pool, load: int) -> None:
    model = Model(config, takes_ms=700, fails=[])
    for _ in range(100):
        model.step(load)
    for _ in range(100):
        model.step(0)
    assert len(model.workers) == config.workers_min


def test_a_provider_that_is_down_is_asked_less_and_less() -> None:
    model = Model(pool(), takes_ms=100, fails=[True] * 100)
    asked = 0
    for _ in range(1200):  # ten minutes
        model.step(9)
        asked = 100 - len(model.fails)
    assert 6 <= asked <= 12
