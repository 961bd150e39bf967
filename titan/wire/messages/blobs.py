"""Content-addressed files: what is missing, up and down."""

from __future__ import annotations

from titan.ids import Digest
from titan.wire.messages.base import Message


class BlobMissing(Message, frozen=True, kw_only=True, tag="blob.missing"):
    """Call → `BlobList` of those digests that the cluster does not hold."""

    digests: tuple[Digest, ...]


class BlobList(Message, frozen=True, kw_only=True, tag="blob.list"):
    """Digests."""

    digests: tuple[Digest, ...]


class PutBlob(Message, frozen=True, kw_only=True, tag="blob.put"):
    """Channel: the sender's bytes; ends with `Ok` once enough masters hold it and it is published.

    `replica`: a master hands another a copy; it is only stored, the sender publishes.
    """

    digest: Digest
    size: int
    replica: bool = False


class GetBlob(Message, frozen=True, kw_only=True, tag="blob.get"):
    """Channel → the blob's bytes from `offset`; ends with `Ok`."""

    digest: Digest
    offset: int = 0
