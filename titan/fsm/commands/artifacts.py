"""Orders about files published under keys. Handlers: `artifacts.py`."""

from __future__ import annotations

from typing import ClassVar

from titan.fsm.commands.base import ClientCommand
from titan.ids import Digest


class PublishArtifact(ClientCommand, frozen=True, kw_only=True, tag="artifact.publish"):
    """Name a published blob; an artifact of that key before is replaced. Answers the log index."""

    since: ClassVar[int] = 2
    key: str
    digest: Digest
    name: str  # of the file, without folders
    mode: int = 0o644


class DeleteArtifact(ClientCommand, frozen=True, kw_only=True, tag="artifact.delete"):
    """Remove a key. Answers whether it was there. The blob goes when nothing else refers to it."""

    since: ClassVar[int] = 2
    key: str
