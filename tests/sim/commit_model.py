"""What commits of tasks promise, judged from the log: all of it or nothing, once, and by a live attempt.

Which attempts are over is counted from assignments and results in the log, not asked of the product; only
whether an effect is there is looked up in the state, right after the entry. Every commit of the simulated
tasks writes a key that no other writes, so that it can be told from all others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from titan.fsm.commands import (
    AddJobs,
    AssignAttempt,
    CommitEffects,
    FinishAttempt,
    KvPut,
    ReleaseAttempt,
    SetOutput,
)
from titan.fsm.state import State

KEYS: Final = "commit/"  # the beginning of the keys that commits write
COUNTER: Final = "commits"  # that every commit increments


class CommitModel:
    """Takes every command about attempts, in the order of the log."""

    def __init__(self, *, violate: Callable[[str], None], happened: Callable[[str], None]) -> None:
        self.done: dict[str, int] = {}  # key → the index of the commit that wrote it
        self.outputs: dict[int, bytes] = {}  # that attempts committed; the last one counts
        self._newest: dict[tuple[str, str], int] = {}  # attempt of each job
        self._job_of: dict[int, tuple[str, str]] = {}
        self._over: dict[int, int] = {}  # attempt → the index of its result
        self._violate, self._happened = violate, happened

    def applied(self, command: Any, value: Any, *, attempt: int, index: int, state: State) -> None:
        """A command took effect."""
        match command:
            case AssignAttempt() if value:
                self._newest[command.run, command.job] = value
                self._job_of[value] = command.run, command.job
            case FinishAttempt() | ReleaseAttempt():
                self._over[command.attempt] = index
            case CommitEffects():
                self._committed(command, attempt=attempt, index=index, state=state)

    def refused(self, command: Any, code: str, *, attempt: int, index: int, state: State) -> None:
        """A command was refused: then nothing of it may be there, unless it is a late repeat."""
        key = _key(command)
        if not key:
            return
        self._happened("commit refused")
        if code == "attempt_not_live":
            self._happened("late commit refused")
        if key in self.done:
            self._violate(f"I3 commit {key} of {self.done[key]} is refused at {index}: {code}")
            return
        there = [what for what, is_there in _effects(command, state) if is_there]
        if there:
            self._violate(f"I3 commit {key} was refused at {index} ({code}), but {there} happened")

    def _committed(self, command: CommitEffects, *, attempt: int, index: int, state: State) -> None:
        key = _key(command)
        if not key:
            return
        self._happened("commit applied")
        if key in self.done:
            self._violate(f"I3 commit {key} took effect at {self.done[key]} and at {index}")
        self.done[key] = index
        job = self._job_of.get(attempt)
        if attempt in self._over:
            self._violate(f"I4 commit {key} at {index}; attempt {attempt} ended before")
        elif job is None or self._newest[job] != attempt:
            self._violate(f"I4 commit {key} at {index}; attempt {attempt} of {job} is superseded")
        lacking = [what for what, is_there in _effects(command, state) if not is_there]
        if lacking:
            self._violate(f"I3 commit {key} at {index} lacks {lacking}")
        for effect in command.effects:
            if isinstance(effect, SetOutput):
                self.outputs[attempt] = effect.value


def _key(command: Any) -> str:
    """The key that only this commit writes; "" for any other command."""
    if not isinstance(command, CommitEffects):
        return ""
    keys = (effect.key for effect in command.effects if isinstance(effect, KvPut))
    return next((key for key in keys if key.startswith(KEYS)), "")


def _effects(command: CommitEffects, state: State) -> list[tuple[str, bool]]:
    """The effects that only this commit can have had, and whether they are there."""
    found = []
    for effect in command.effects:
        if isinstance(effect, KvPut) and effect.key.startswith(KEYS):
            found.append((effect.key, effect.key in state.kv))
        elif isinstance(effect, AddJobs):
            run = state.runs.get(effect.run)
            known = {} if run is None else run.jobs
            found += [(f"job {job.id}", job.id in known) for job in effect.jobs]
    return found
