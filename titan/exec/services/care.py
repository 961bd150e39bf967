"""The services that run here: who asks for their health, and how a probe by command is run.

Owns them between the order to start their process and the end of their attempt.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from titan.exec import drivers
from titan.exec.drivers import CannotStart
from titan.exec.events import Event, Hopeless
from titan.exec.services.prober import Prober
from titan.exec.services.probes import Unwell
from titan.exec.tools import ToolFailed, Tools
from titan.exec.workspace import Workspace
from titan.ids import AttemptId
from titan.spec.model import JobSpec
from titan.spec.service import HealthSpec
from titan.wire.messages import RunAttempt, ServiceHealth

_PROBE_MARGIN_S: Final = 1.0

EnvOf = Callable[[RunAttempt, Workspace], dict[bytes, bytes]]


class ServiceCare:
    """See the module; implements what the prober asks of its owner."""

    def __init__(
        self,
        *,
        tools: Tools,
        python: str,
        host: str,
        env_of: EnvOf,
        feed: Callable[[Event], None],
        on_health: Callable[[ServiceHealth], None],
        on_broken: Callable[[BaseException], None],
    ) -> None:
        self._tools = tools
        self._python = python
        self._env_of = env_of
        self._feed = feed
        self.on_health = on_health
        self.on_broken = on_broken
        self._prober = Prober(self, host=host)
        self._held: dict[AttemptId, tuple[RunAttempt, Workspace]] = {}

    @property
    def health(self) -> tuple[ServiceHealth, ...]:
        """What has been told of the services that run."""
        return tuple(self._prober.told)

    def expect(self, order: RunAttempt, workspace: Workspace) -> None:
        """Its process has been ordered."""
        self._held[order.attempt] = (order, workspace)

    def began(self, attempt: AttemptId) -> None:
        """A process runs, which may be a service's."""
        if attempt in self._held:
            self._prober.began(self._held[attempt][0])

    def ended(self, attempt: AttemptId) -> None:
        """An attempt is over, which may have been a service."""
        if self._held.pop(attempt, None) is not None:
            self._prober.ended(attempt)

    async def close(self) -> None:
        """Ask nobody any more."""
        await self._prober.close()

    async def run_probe(self, attempt: AttemptId, health: HealthSpec) -> int:
        """Run a probe's command beside the service, as the service is run; its exit code.

        It is killed when the caller stops waiting. Its output goes nowhere.
        """
        order, workspace = self._held[attempt]
        env = self._env_of(order, workspace)
        spec = JobSpec(id=order.spec.id, argv=health.argv, shell=health.shell)
        try:
            argv = drivers.command(spec, cwd=workspace.cwd, env=env, python=self._python)
        except CannotStart as error:
            raise Unwell(f"the health command cannot run: {error}") from None
        timeout_s = health.timeout_ms / 1000 + _PROBE_MARGIN_S  # the asker gives up before
        try:
            return await self._tools.run(
                argv, env=env, log=Path(os.devnull), timeout_s=timeout_s, cwd=workspace.cwd
            )
        except ToolFailed as error:
            raise Unwell(str(error)) from None

    def on_hopeless(self, attempt: AttemptId) -> None:
        """A service has been unhealthy for too long."""
        self._feed(Hopeless(attempt=attempt))
