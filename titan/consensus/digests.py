"""Members compare digests of their states at agreed indexes; a difference stops both.

Only recent digests are kept, and only members that passed the same index can compare.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict

from titan import limits
from titan.errors import Fatal


class _Recent(OrderedDict[int, bytes]):
    """The last few digests by index."""

    def note(self, index: int, digest: bytes) -> None:
        self[index] = digest
        while len(self) > limits.DIGESTS_KEPT:
            self.popitem(last=False)


class Digests:
    """Ours, and what each peer said."""

    def __init__(self) -> None:
        self._ours = _Recent()
        self._theirs: defaultdict[str, _Recent] = defaultdict(_Recent)

    @staticmethod
    def is_due(index: int) -> bool:
        """Whether members compare at this index."""
        return index % limits.DIGEST_EVERY_ENTRIES == 0

    def ours(self, index: int, digest: bytes) -> None:
        """Remember our digest. Raises `Fatal` when a peer said otherwise."""
        self._ours.note(index, digest)
        for peer, theirs in self._theirs.items():
            self._compare(peer, index=index, theirs=theirs.get(index))

    def keep_only(self, peers: tuple[str, ...]) -> None:
        """Forget what others said."""
        for peer in set(self._theirs) - set(peers):
            del self._theirs[peer]

    def theirs(self, peer: str, *, index: int, digest: bytes) -> None:
        """Remember a peer's digest. Raises `Fatal` when ours is another."""
        self._theirs[peer].note(index, digest)
        self._compare(peer, index=index, theirs=digest)

    def _compare(self, peer: str, *, index: int, theirs: bytes | None) -> None:
        ours = self._ours.get(index)
        if ours is None or theirs is None or ours == theirs:
            return
        raise Fatal(
            f"the state at index {index} is {ours.hex()[:16]} here and {theirs.hex()[:16]} "
            f"on {peer}",
            hint="find the master whose state differs from the majority and replace it by an empty one",
        )
