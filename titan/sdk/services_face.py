"""Services, for code without asyncio: the twin of `services.py`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from titan.sdk.face import Face, Parameter

if TYPE_CHECKING:
    from titan.fsm.queries import ServiceView
    from titan.sdk.handles_face import RunHandle


class ServicesFace(Face):
    """Services of a client."""

    def list_services(self, name: str = "", run: object | None = None) -> list[ServiceView]:
        """Services that have not ended, with health and address."""
        return self._call(self._here().list_services(name, run))

    def get_service(self, name: str) -> ServiceView:
        """The service that others are to use under this name. Raises `NotFound`."""
        return self._call(self._here().get_service(name))

    def stop_service(self, job_id: str, run: object | None = None) -> str:
        """End a service with everything it has started; it is not started again. Without `run`: the
        deployed one, else that of the newest run. Answers "STOPPED: DAG-<id>"."""
        return self._call(self._here().stop_service(job_id, run))

    def deploy_services(
        self,
        path: str | os.PathLike[str],
        timeout: float = 60.0,
        *,
        parameters: dict[str, Parameter] | None = None,
    ) -> RunHandle:
        """Start the services of a file in place of those of the same names; comes back when they are
        healthy. Raises `DeployFailed` when one is not in time: the version before it stays."""
        work = self._here().deploy_services(path, timeout, parameters=parameters)
        return self._handle(work)
