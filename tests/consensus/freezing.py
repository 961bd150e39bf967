"""A freeze of blocks that are there at once, in as many steps as a test wants."""

from __future__ import annotations

from collections.abc import Iterator


class Freezing:
    def __init__(self, blocks: list[bytes], *, steps: int = 1) -> None:
        self._blocks = blocks
        self.steps_left = steps

    def step(self) -> bool:
        self.steps_left -= 1
        return self.steps_left <= 0

    def __iter__(self) -> Iterator[bytes]:
        assert self.steps_left <= 0, "drawn before it was whole"
        return iter(self._blocks)
