"""What a worker has to fence jobs off with, and why it lacks the rest."""

from __future__ import annotations

from dataclasses import dataclass, field

from titan.exec.isolation.cgroups import Cgroups
from titan.exec.isolation.container import Engine
from titan.exec.isolation.sandbox import Sandbox


@dataclass(slots=True)
class Techniques:
    """`missing`: name of an isolation → why it is not there."""

    cgroups: Cgroups
    sandbox: Sandbox | None = None
    engine: Engine | None = None
    missing: dict[str, str] = field(default_factory=dict)

    def offered(self) -> tuple[str, ...]:
        """The capabilities that jobs with an isolation require."""
        found = {"sandbox": self.sandbox, "container": self.engine}
        return tuple(name for name, one in found.items() if one is not None)
