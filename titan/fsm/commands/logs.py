"""Orders about finished logs. Handlers: `logs.py`."""

from __future__ import annotations

from typing import ClassVar

from titan.fsm.commands.base import ClientCommand, Command
from titan.ids import AttemptId, Digest, RunId


class KeepLogs(ClientCommand, frozen=True, kw_only=True, tag="logs.keep"):
    """A worker has packed finished logs into a published blob. Answers whether any run still wants it."""

    since: ClassVar[int] = 2
    digest: Digest
    attempts: tuple[AttemptId, ...]
    runs: tuple[RunId, ...]


class PackLogs(Command, frozen=True, kw_only=True, tag="logs.pack"):
    """The leader has packed the small logs of these attempts, or has found that nobody wants them.

    `digest` "" only drops them.
    """

    since: ClassVar[int] = 2
    digest: Digest
    attempts: tuple[AttemptId, ...]
