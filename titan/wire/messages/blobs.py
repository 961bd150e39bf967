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


class BlobOffset(Message, frozen=True, kw_only=True, tag="blob.offset"):
    """Call → `BlobAt`: from where on this master needs the blob. `after` as in `PutBlob`."""

    digest: Digest
    size: int
    after: int = 0


class BlobAt(Message, frozen=True, kw_only=True, tag="blob.at"):
    """So many bytes of the blob are here. `is_whole`: it is checked and needs not be sent."""

    offset: int
    is_whole: bool = False


class PutBlob(Message, frozen=True, kw_only=True, tag="blob.put"):
    """Channel: the sender's bytes from `offset`; ends with `Ok` once enough masters hold the blob and
    it is published. An `offset` behind what is there is refused (conflict, offset_mismatch).

    `replica`: a master hands another a copy; it is only stored, the sender publishes. It judges by a
    state that has seen the entry `after`: what the sender knows to be deleted is not believed there.
    """

    digest: Digest
    size: int
    replica: bool = False
    offset: int = 0
    after: int = 0


class BlobStored(Message, frozen=True, kw_only=True, tag="blob.stored"):
    """Call, of a master to the leader → `Ok`, once it is committed that these masters hold the blob."""

    digest: Digest
    size: int
    holders: tuple[str, ...]


class GetBlob(Message, frozen=True, kw_only=True, tag="blob.get"):
    """Channel → the blob's bytes from `offset`, `length` of them or all; ends with `Ok`."""

    digest: Digest
    offset: int = 0
    length: int = 0
