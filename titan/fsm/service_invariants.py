"""What must be true of services; part of `invariants.py`."""

from __future__ import annotations

from titan.fsm import deployments, timers
from titan.fsm.policy import service_policy_of
from titan.fsm.records.services import HEALTHY, STARTING, UNHEALTHY, Deployment
from titan.fsm.state import JobState, Run, State
from titan.ids import AttemptId, RunId

Counted = dict[tuple[str, tuple[str, ...]], int]


def validate_services(state: State, counted: Counted) -> None:
    """Raise `AssertionError` unless services, ports and deployments agree with jobs and attempts."""
    for run in (*state.runs.values(), *(stage.run for stage in state.stages.values())):
        _validate_records(run)
    _validate_ports(state)
    for name, known in state.services.items():
        assert name == known.name, f"the service {name} is filed wrongly"
        _validate_deployment(state, known, counted)


def _validate_records(run: Run) -> None:
    policies = {job.id: service_policy_of(job) for job in run.jobs.values()}
    declared = [name for name, policy in policies.items() if policy.type == "service"]
    assert sorted(run.services) == sorted(declared), f"run {run.id} has services {run.services}"
    for name, service in run.services.items():
        about = f"service {run.id}/{name} {service}"
        assert service.port == policies[name].port, f"{about} was declared otherwise"
        assert service.health in (STARTING, HEALTHY, UNHEALTHY), f"{about} has no such health"
        assert run.jobs[name].live or service.health == STARTING, f"{about} is not running"
        assert service.released or service.health != HEALTHY, f"{about} has told nobody"
        assert service.quick_failures >= 0, f"{about} counts wrongly"


def _validate_ports(state: State) -> None:
    held: dict[str, dict[int, AttemptId]] = {}
    for attempt in state.attempts.values():
        is_service = attempt.job in state.runs[attempt.run].services
        assert is_service == bool(attempt.port), f"attempt {attempt.id} has port {attempt.port}"
        if attempt.port:
            on_machine = held.setdefault(attempt.machine, {})
            assert attempt.port not in on_machine, f"port {attempt.port} has two holders"
            on_machine[attempt.port] = attempt.id
    assert state.ports == held, f"the ports are {held}, not {state.ports}"


def _validate_deployment(state: State, known: Deployment, counted: Counted) -> None:
    assert known.current or known.candidate, f"{known} is of nobody"
    assert known.current != known.candidate, f"{known} replaces itself"
    for run_id in (known.current, known.candidate):
        if run_id:
            job = state.runs[RunId(run_id)].jobs[known.name]
            assert not job.state.is_over, f"{known}: {run_id} has ended"
            assert job.id in state.runs[RunId(run_id)].services, f"{known}: {run_id} is no service"
    assert bool(known.candidate) == bool(known.deadline_ms), f"{known} has no deadline, or no need"
    if known.candidate:
        service = state.runs[known.candidate].services[known.name]
        assert not service.released, f"{known} should have been promoted"
        due_ms = counted.get((timers.ROLLOUT, (known.name,)))
        assert due_ms == known.deadline_ms, f"{known} is never decided"
    if known.current:
        job = state.runs[known.current].jobs[known.name]
        makes_room = job.not_before_ms == deployments.held_until_ms(known)
        assert not makes_room or job.state is JobState.PENDING, f"{known} waits falsely"
