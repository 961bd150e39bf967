"""Orders that code inside a task gives about its own attempt. Handlers: `outputs.py`, `effects.py`."""

from __future__ import annotations

from typing import ClassVar

from titan.fsm.commands.artifacts import PublishArtifact
from titan.fsm.commands.base import ClientCommand
from titan.fsm.commands.budgets import Spend
from titan.fsm.commands.kv import KvCas, KvDelete, KvIncr, KvPut, KvSetAdd, KvSetRemove
from titan.fsm.commands.runs import AddJobs
from titan.fsm.commands.signals import AckSignal


class SetOutput(ClientCommand, frozen=True, kw_only=True, tag="attempt.output"):
    """What the job's output is once this attempt ends well; the last one counts."""

    since: ClassVar[int] = 2
    value: bytes  # JSON


class ReportProgress(ClientCommand, frozen=True, kw_only=True, tag="attempt.progress"):
    """How far the attempt is, for people. The SDK sends the newest, at most one a second."""

    since: ClassVar[int] = 2
    ppm: int  # 0 to 1,000,000
    note: str = ""


Effect = (
    KvPut
    | KvDelete
    | KvCas
    | KvIncr
    | KvSetAdd
    | KvSetRemove
    | AddJobs
    | SetOutput
    | AckSignal
    | PublishArtifact
    | Spend
)


class CommitEffects(ClientCommand, frozen=True, kw_only=True, tag="effects.commit"):
    """All of these or none. Each sees what those before it do. Answers a list with each one's answer.

    A `KvCas` that does not find what it expects refuses the whole.
    """

    since: ClassVar[int] = 2
    effects: tuple[Effect, ...]
    lock: str = ""  # only while this lock …
    token: int = 0  # … is held with this token

    def needs_version(self) -> int:
        """As much as the youngest of its effects."""
        return max([self.since, *[effect.needs_version() for effect in self.effects]])
