"""Values of calls that no message can hold: files of the cache, held while the call may read them.

Owns what is held for each attempt. What a call returns goes the other way, by `attempts.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import NamedTuple

from titan.exec.drivers import CannotStart
from titan.exec.files.cache import FileCache
from titan.ids import AttemptId, Digest
from titan.limits import CALL_BLOBS_BYTES_MAX
from titan.spec.model import BlobRef
from titan.wire.messages import RunAttempt


def large_values(order: RunAttempt) -> tuple[BlobRef, ...]:
    """The blobs that an attempt is given as values; () for what is no call."""
    call = order.spec.call
    if call is None:
        return ()
    return (*call.blobs, *order.large_results.values())


class _Held(NamedTuple):
    until: contextlib.ExitStack
    paths: dict[Digest, str]


class CallValues:
    """See the module."""

    def __init__(self, cache: FileCache) -> None:
        self._cache = cache
        self._held: dict[AttemptId, _Held] = {}

    async def bring(self, order: RunAttempt) -> Mapping[Digest, str]:
        """Fetch what the call is given, and hold it. Raises `CannotStart`, `Unavailable`."""
        wanted = {one.digest: one.size for one in large_values(order)}
        size = sum(wanted.values())
        if size > CALL_BLOBS_BYTES_MAX:
            raise CannotStart(
                f"the values that it is given take {size} bytes together; "
                f"at most {CALL_BLOBS_BYTES_MAX}",
                hint="combine results in steps, or hand on files",
            )
        held = _Held(contextlib.ExitStack(), {})
        with held.until:
            for digest in wanted:
                path = await self._cache.hold(digest, until=held.until)
                held.paths[digest] = str(path)
            self._held[order.attempt] = _Held(held.until.pop_all(), held.paths)
        return held.paths

    def paths(self, attempt: AttemptId) -> Mapping[Digest, str]:
        """Where they are."""
        held = self._held.get(attempt)
        return held.paths if held is not None else {}

    def let_go(self, attempt: AttemptId) -> None:
        """The call has ended, or will not be made."""
        held = self._held.pop(attempt, None)
        if held is not None:
            held.until.close()
