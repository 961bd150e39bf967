"""Orders about services. Handlers: `services.py`."""

from __future__ import annotations

from typing import ClassVar

from titan.fsm.commands.base import ClientCommand, Command
from titan.ids import AttemptId, Digest, JobId, RunId
from titan.spec.model import JobSpec, version_of


class DeployServices(ClientCommand, frozen=True, kw_only=True, tag="service.deploy"):
    """Create a run whose services replace those of the same names once they are healthy.

    One that is not within `wait_ms` is ended and the version before it stays. The same run id again
    has no effect.
    """

    since: ClassVar[int] = 2

    run: RunId
    name: str
    jobs: tuple[JobSpec, ...]
    wait_ms: int
    bundle: Digest = Digest("")
    parameters: dict[str, str | int | float | bool | None] = {}
    owner: str = ""

    def needs_version(self) -> int:
        """As much as the youngest field of its jobs."""
        return max([self.since, *map(version_of, self.jobs)])


class StopService(ClientCommand, frozen=True, kw_only=True, tag="service.stop"):
    """End a service for good: everything of it is killed and it is not started again."""

    since: ClassVar[int] = 2

    run: RunId
    job: JobId


class SetServiceHealth(Command, frozen=True, kw_only=True, tag="service.health"):
    """A worker tells that the health of a live attempt has changed, or why it is still starting."""

    since: ClassVar[int] = 2

    attempt: AttemptId
    health: str  # healthy, unhealthy, or starting until it was one of the two
    detail: str = ""  # one line for people
