"""Orders about checkpoints. Handlers: `checkpoints.py`."""

from __future__ import annotations

from typing import ClassVar

from titan.fsm.commands.base import ClientCommand
from titan.ids import AttemptId
from titan.spec.manifest import Manifest


class PublishCheckpoint(ClientCommand, frozen=True, kw_only=True, tag="checkpoint.publish"):
    """The files that the job's next attempt finds; given by the live attempt or its worker only.

    `taken_ms` orders what one attempt publishes from several places: an older one has no effect.
    Answers whether it was taken.
    """

    since: ClassVar[int] = 2
    attempt: AttemptId
    manifest: Manifest
    taken_ms: int
