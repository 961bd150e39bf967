"""A broken promise, in the words of the report."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """`check` names the promise, `what` says how it was broken, `evidence` shows the lines."""

    check: str
    what: str
    evidence: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join(
            (f"[{self.check}] {self.what}", *(f"    {line}" for line in self.evidence))
        )
