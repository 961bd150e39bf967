"""Made-up histories: operations written as one line each."""

from __future__ import annotations

from typing import Any

from chaos.history import NEVER, History, Op

_numbers = iter(range(1, 1_000_000))


def op(
    verb: str,
    key: str,
    *args: Any,
    at: tuple[float, float],
    answer: Any = None,
    client: str = "c",
) -> Op:
    """An operation that was answered."""
    begin_s, end_s = at
    return Op(next(_numbers), client, verb, key, list(args), begin_s, end_s, True, answer)


def lost(verb: str, key: str, *args: Any, at: float, client: str = "c") -> Op:
    """An operation whose answer never came."""
    return Op(next(_numbers), client, verb, key, list(args), at, NEVER, False, None, "TimedOut: -")


def of(*ops: Op) -> History:
    return History(ops=list(ops))


def submitted(run: str, *jobs: tuple[str, tuple[str, ...]]) -> Op:
    plan = [{"id": job, "parents": list(parents)} for job, parents in jobs]
    return op("submit", run, plan, at=(0, 1), answer="")


def ran(
    job: str, attempt: int, *, times: tuple[int, int], fence: int = 0, code: int | None = 0
) -> Any:
    event = {
        "type": "exec",
        "t": 0.0,
        "run": "r",
        "job": job,
        "attempt": attempt,
        "fence": fence or attempt * 10,
        "started_ns": times[0],
    }
    return event if code is None else {**event, "ended_ns": times[1], "code": code}


def view(job: str, *history: tuple[int, int, str], state: str = "COMPLETED") -> dict[str, Any]:
    records = [{"attempt": a, "exit_code": code, "cause": cause} for a, code, cause in history]
    return {"id": job, "state": state, "reason": "", "history": records}


def ended(*jobs: dict[str, Any]) -> dict[str, Any]:
    run = {"state": "COMPLETED", "over": True, "jobs": list(jobs)}
    return {"type": "final", "t": 9.0, "runs": {"r": run}}
