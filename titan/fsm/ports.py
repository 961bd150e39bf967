"""The ports of services: one holder per machine and port, as long as its attempt is live.

Owns `State.ports`. Workers of one machine share its ports, so the machine and not the worker is what
they are kept by. Whether a stranger uses a port only the worker can see; it looks before the start.
"""

from __future__ import annotations

from collections.abc import Mapping

from titan.fsm import settling
from titan.fsm.outcomes import Rejected
from titan.fsm.records.services import Service
from titan.fsm.state import Attempt, Demand, Job, State, Worker
from titan.ids import AttemptId, JobId


def holder(state: State, machine: str, port: int) -> Attempt | None:
    """Whose port it is now."""
    number = state.ports.get(machine, {}).get(port)
    return None if number is None else state.attempts[number]


def choose(state: State, worker: Worker, service: Service) -> int | Rejected:
    """The port that the service would get on the worker.

    One that may choose keeps the port it had on the same machine, if it is free.
    """
    if not worker.ports[1]:
        return Rejected("no_services", f"worker {worker.id} runs no services: it is too old")
    taken = state.ports.get(worker.machine, {})
    refusal = _why_not_known(state, taken)
    if refusal is not None:
        return refusal
    if service.port:
        if service.port not in taken:
            return service.port
        return Rejected("port_taken", _held(state, worker, service.port))
    first, last = worker.ports
    kept = service.bound
    if service.machine == worker.machine and first <= kept <= last and kept not in taken:
        return kept
    size = last - first + 1
    for step in range(min(size, len(taken) + 1)):
        port = first + (state.next_attempt + step) % size  # not the one that was used last
        if port not in taken:
            return port
    return Rejected("no_port", f"all ports {first} to {last} of worker {worker.id} are taken")


def _why_not_known(state: State, taken: Mapping[int, AttemptId]) -> Rejected | None:
    """Why it must be waited for which ports are taken: some of their holders are being cancelled."""
    if not state.unsettled:
        return None
    for number in taken.values():
        run = state.runs[state.attempts[number].run]
        if settling.operation_at(state, run) is not None:
            return settling.why_not_now(state, run)
    return None


def _held(state: State, worker: Worker, port: int) -> str:
    attempt = holder(state, worker.machine, port)
    assert attempt is not None
    who = f"service '{attempt.job}' of run {attempt.run}"
    return f"port {port} of worker {worker.id} is held by {who} (attempt {attempt.id})"


def refusal_everywhere(state: State, service: Service, demand: Demand, *, name: JobId) -> str:
    """Why a fixed port is to be had nowhere, naming a holder; "" when some worker may have it, or when
    the holder is another version of the service itself, which will go."""
    why = ""
    for worker in state.workers.values():
        if not _may_take(worker, demand):
            continue
        attempt = holder(state, worker.machine, service.port)
        if attempt is None or attempt.job == name:
            return ""
        if settling.operation_at(state, state.runs[attempt.run]) is not None:
            return ""  # it may be about to end
        why = why or _held(state, worker, service.port)
    return why


def others_free(state: State, job: Job, *, port: int, machine: str) -> bool:
    """Whether a worker of another machine could take the job and has the port."""
    return any(
        worker.machine != machine
        and _may_take(worker, job.demand)
        and port not in state.ports.get(worker.machine, {})
        for worker in state.workers.values()
    )


def _may_take(worker: Worker, demand: Demand) -> bool:
    if not worker.online or worker.mode != "open" or not worker.ports[1]:
        return False
    if any(tag not in worker.capabilities for tag in demand.requirement):
        return False
    return all(
        amount <= (worker.slots if name == "slots" else worker.resources.get(name, 0))
        for name, amount in demand.resources
    )


def occupy(state: State, attempt: Attempt) -> None:
    """Count the port of a live attempt, if it has one."""
    if attempt.port:
        state.ports.setdefault(attempt.machine, {})[attempt.port] = AttemptId(attempt.id)


def vacate(state: State, attempt: Attempt) -> None:
    """The attempt is not live any more."""
    if attempt.port:
        held = state.ports[attempt.machine]
        del held[attempt.port]
        if not held:
            del state.ports[attempt.machine]
