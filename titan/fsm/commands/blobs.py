"""Orders about content-addressed files. Handlers: `blobs.py`."""

from __future__ import annotations

from typing import ClassVar

from titan.fsm.commands.base import Command
from titan.ids import Digest


class PublishBlob(Command, frozen=True, kw_only=True, tag="blob.publish"):
    """Record that masters hold a blob; proposed only after they have it on disk. Holders add up."""

    digest: Digest
    size: int
    holders: tuple[str, ...]


class RenewBlobs(Command, frozen=True, kw_only=True, tag="blob.renew"):
    """Somebody is about to be told that these blobs are there: they stay for another lease.

    Answers those that are not there.
    """

    since: ClassVar[int] = 2
    digests: tuple[Digest, ...]
