"""What a run remembers of a foreach job whose list is known."""

from __future__ import annotations

import msgspec

from titan.ids import JobId


class Expansion(msgspec.Struct, frozen=True, array_like=True):
    """The list is decided once. Its elements are kept until each has its instance."""

    count: int
    elements: tuple[bytes, ...] = ()  # JSON of each that has no instance yet

    @property
    def made(self) -> int:
        """How many instances there are."""
        return self.count - len(self.elements)


def instance_id(job: JobId, place: int) -> JobId:
    """The id of an instance, counted from 0."""
    return JobId(f"{job}.{place}")
