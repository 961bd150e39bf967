"""What must hold once everything is healed: nothing is stuck, nothing is lost, results are real.

Compares three witnesses: what clients were told, what the simulated processes did, and the state that all
masters hold. `settled` is I7; `judge` is the rest.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from chaos.checkers.linear import check_keys
from chaos.checkers.locks import check_locks
from chaos.checkers.order import check_order
from tests.sim.children import Execution
from titan import limits
from titan.fsm.invariants import validate
from titan.fsm.state import Job, JobState, Run, State

if TYPE_CHECKING:
    from tests.sim.hosts import MasterHost
    from tests.sim.world import World


def unsettled(world: World) -> str:
    """What still moves or is stuck, "" when everything has come to rest."""
    subject = world.faults.members.subject
    if subject is not None:
        return f"{subject.name} is being added, removed or replaced"
    live = [master for master in world.masters if master.master is not None]
    if len(live) != len(world.masters):
        return f"{[m.name for m in world.masters if m.master is None]} are down"
    if not all(hasattr(_member(master), "core") for master in live):
        return "a master is loading its log"
    statuses = {master.name: _member(master).status for master in live}
    if sum(status.is_ready for status in statuses.values()) != 1:
        return f"not one ready leader: { {n: (s.role, s.term) for n, s in statuses.items()} }"
    if world.voters() != live:
        return f"{[m.name for m in world.voters()]} vote, {[m.name for m in live]} run"
    if len({_state(master).index for master in live}) != 1:
        return f"masters are apart: { {m.name: _state(m).index for m in live} }"
    if world.workload.busy:
        return f"clients are busy: {world.workload.busy}"
    state = _state(live[0])
    if state.locks:  # of the dead: time frees them, by entries that are still to come
        return f"locks are held: {list(state.locks.values())}"
    for master in live:
        assert master.master is not None
        if lacking := [
            digest[:8] for digest in state.blobs if not master.master._blobs.store.has(digest)
        ]:
            return f"{master.name} has not got the blobs {lacking}"
    if state.attempts:
        live_ones = [_about(state, number) for number in state.attempts]
        return f"attempts are live: {live_ones}; {_workers(world, state)}"
    for run in state.runs.values():
        for job in run.jobs.values():
            if not job.state.is_over:
                return (
                    f"{run.id}/{job.id} is {job.state}: {job.reason}, not before {job.not_before_ms}, "
                    f"waits for {job.waiting_for}, asks {job.demand}; {_workers(world, state)}"
                )
    return _unsettled_workers(world)


def _unsettled_workers(world: World) -> str:
    for host in world.workers:
        worker = host.worker
        if worker is None or not hasattr(worker, "_session"):
            return f"{host.name} is down"
        if not worker._session.is_registered:
            return f"{host.name} is not registered"
        if not worker._core.is_idle():
            return f"{host.name} holds {worker._core.holds()}, {len(world.executions.all)} ran"
        if len(worker._outbox):
            return f"{host.name} has unconfirmed results {worker._outbox.attempts}"
    return ""


def _workers(world: World, state: State) -> str:
    """What each side thinks of the workers."""
    said = [
        f"{w.id} {w.name} {'online' if w.online else 'lost'} {w.mode} {w.slots} slots, holds {list(w.live)}"
        for w in state.workers.values()
    ]
    own = [
        f"{host.name} registered={host.worker._session.is_registered} holds {host.worker._core.holds()}"
        for host in world.workers
        if host.worker is not None and hasattr(host.worker, "_session")
    ]
    leader = world.leader()
    reign = (
        leader.master._reigns.current if leader is not None and leader.master is not None else None
    )
    sessions = list(reign.sessions._by_worker) if reign is not None else "no reign"
    return f"state: {said}; workers: {own}; sessions: {sessions}"


def _about(state: State, number: int) -> str:
    attempt = state.attempts[number]  # type: ignore[index]
    return f"{number} of {attempt.run}/{attempt.job} on {attempt.worker}"


def _member(master: MasterHost):  # type: ignore[no-untyped-def]
    assert master.master is not None
    return master.master._raft._replica


def _state(master: MasterHost) -> State:
    assert master.master is not None
    return master.master._replica.state


def judge(world: World) -> None:
    """Report everything that is wrong at the end to `world.violate`."""
    for master in world.masters:
        try:
            validate(_state(master))
        except AssertionError as error:
            world.violate(f"I8 the state of {master.name} contradicts itself: {error}", error)
    digests = {_state(master).digest for master in world.masters}
    if len(digests) != 1:
        world.violate("I8 masters differ at the end")
    for violation in (*check_keys(world.workload.history), *check_order(world.workload.history)):
        world.violate(f"I1 {violation}")
    if not world.faults.count["jump_clock"]:  # a wall clock set forwards ends a lock early
        for violation in check_locks(world.workload.history):
            world.violate(f"I1 {violation}")
    state = _state(world.masters[0])
    commits = world.tasks.judge(state)
    for text in (*_lost(world, state), *commits, *_work(world, state), *leftovers(world)):
        world.violate(text)


def _lost(world: World, state: State) -> Iterator[str]:
    for submission in world.workload.submissions.values():
        run = state.runs.get(submission.run)
        if run is None:
            if submission.is_acked:
                yield f"I2 run {submission.run} was acknowledged and is gone"
            continue
        missing = [job for job in (*submission.jobs, *submission.added) if job not in run.jobs]
        if missing:
            yield f"I2 run {submission.run} lacks {missing}"
    for digest, began_ms in world.uploads.items():
        leased = (
            state.now_ms < began_ms + limits.BLOB_LEASE_MS
        )  # a clock may have been set forwards
        if leased and digest not in state.blobs:
            yield f"I2 blob {digest[:8]} was acknowledged and is gone"


def _work(world: World, state: State) -> Iterator[str]:
    by_attempt: dict[int, list[Execution]] = {}
    by_job: dict[tuple[str, str], list[Execution]] = {}
    for execution in world.executions.all:
        by_attempt.setdefault(execution.attempt, []).append(execution)
        by_job.setdefault((execution.run, execution.job), []).append(execution)
    for attempt, ran in by_attempt.items():
        if len(ran) > 1:
            yield f"I4 attempt {attempt} ran {len(ran)} times: {ran}"
    for execution in world.executions.all:
        yield from _dispatch(world, execution)
    for run in state.runs.values():
        for job in run.jobs.values():
            yield from _results(run, job, by_attempt, world.witness.commits.outputs)
            yield from _fences(run, job, by_job.get((run.id, job.id), []))
            yield from _order(run, job, by_job)


def _dispatch(world: World, execution: Execution) -> Iterator[str]:
    """Flow 7: nothing starts without a committed assignment at the index that is its fence."""
    name = f"{execution.run}/{execution.job} attempt {execution.attempt}"
    found = world.ledger.assignment(execution.fence, run=execution.run, job=execution.job)
    if found is None:
        yield f"I5 {name} ran with fence {execution.fence}, which is no assignment of it"


def _results(
    run: Run, job: Job, by_attempt: dict[int, list[Execution]], committed: dict[int, bytes]
) -> Iterator[str]:
    """I3: what was accepted is what one process really did; nothing is accepted twice.

    An output that the attempt committed goes before the one in its file.
    """
    name = f"{run.id}/{job.id}"
    ended = Counter(record.attempt for record in job.history)
    for attempt, times in ended.items():
        if times > 1:
            yield f"I3 {name} counts attempt {attempt} {times} times"
    for record in job.history:
        if record.cause:
            continue
        ran = by_attempt.get(record.attempt, [])
        if (
            not ran
            or ran[0].exit_code != record.exit_code
            or (ran[0].run, ran[0].job) != (run.id, job.id)
        ):
            yield f"I3 {name} accepted exit code {record.exit_code} of attempt {record.attempt}: {ran}"
    if job.state is JobState.COMPLETED:
        last = job.history[-1] if job.history else None
        ran = by_attempt.get(last.attempt, []) if last else []
        if not ran or ran[0].exit_code != 0:
            yield f"I3 {name} is completed by {last}, which did not succeed: {ran}"
        elif last and job.output != committed.get(last.attempt, ran[0].output):
            yield f"I3 {name} has the output {job.output!r} of another process than {ran[0]}"


def _fences(run: Run, job: Job, ran: list[Execution]) -> Iterator[str]:
    """I4: a later attempt has a larger fence."""
    ordered = sorted(ran, key=lambda one: one.attempt)
    for earlier, later in itertools.pairwise(ordered):
        if later.attempt > earlier.attempt and later.fence <= earlier.fence:
            yield f"I4 {run.id}/{job.id}: fence {later.fence} after {earlier.fence}"


def _order(run: Run, job: Job, by_job: dict[tuple[str, str], list[Execution]]) -> Iterator[str]:
    """I6: no process of a child starts before a process of each parent has succeeded."""
    if job.trigger != "all_success":
        return
    for parent in job.parents:
        ends = [
            one.ended_s
            for one in by_job.get((run.id, parent), [])
            if one.exit_code == 0 and one.ended_s is not None
        ]
        for execution in by_job.get((run.id, job.id), []):
            if not ends or execution.started_s < min(ends):
                yield f"I6 {run.id}/{job.id} started at {execution.started_s} before {parent}: {ends}"


def leftovers(world: World) -> Iterator[str]:
    """I10: nobody waits for anything any more."""
    for host in world.masters:
        master = host.master
        assert master is not None
        left = {
            "proposals": len(master._proposer._waiting),
            "entries in flight": master._proposer._in_flight,
            "index waiters": len(master._replica._waiting),
            "watchers": len(master._gateway._watches),
            "fetches": len(master._blobs._fetching),
        }
        found = {name: count for name, count in left.items() if count}
        if found:
            yield f"I10 {host.name} still has {found}"
