"""Questions about blobs, and the shapes of their answers."""

from __future__ import annotations

import msgspec

from titan.fsm.queries.base import Query
from titan.ids import Digest


class GetBlob(Query, frozen=True, kw_only=True, tag="blob"):
    """A blob's metadata → BlobView, or None."""

    digest: Digest


class BlobView(msgspec.Struct, frozen=True, kw_only=True):
    """A blob's metadata."""

    digest: Digest
    size: int
    holders: tuple[str, ...]
