"""Saved pipelines, for code without asyncio: the twin of `pipelines.py`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from titan.sdk.face import Face, Parameter

if TYPE_CHECKING:
    from titan.fsm.queries import PipelineView
    from titan.sdk.handles_face import RunHandle
    from titan.sdk.jobs import TitanJob


class PipelinesFace(Face):
    """Saved pipelines of a client."""

    def save_dag(
        self,
        name: str,
        jobs: Iterable[TitanJob] | str | os.PathLike[str],
        *,
        parameters: Mapping[str, Any] | None = None,
        budget: Mapping[str, Any] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> int:
        """Keep a pipeline: jobs, or the path of a YAML file. Answers its version.

        `parameters`: names with default values, or with `{type, default, required, choices, help}`.
        `labels` of its runs go over those of the file.
        Raises `InvalidSpec` with every problem, `LimitExceeded`, `FileNotFoundError`.
        """
        work = self._here().save_dag(
            name, jobs, parameters=parameters, budget=budget, labels=labels
        )
        return self._call(work)

    def submit_saved_dag(
        self,
        name: str,
        version: int | None = None,
        parameters: Mapping[str, Parameter] | None = None,
        wait: bool = False,
        timeout: float = 300,
        *,
        agent_run_id: str | None = None,
        budget: Mapping[str, Any] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> RunHandle:
        """Start a run of a saved pipeline, the latest version by default; with `wait`, come back when it
        has ended. `labels` go over the saved ones. Raises `NotFound`, `InvalidSpec` for wrong parameters,
        `TimedOut`."""
        work = self._here().submit_saved_dag(
            name,
            version,
            parameters,
            wait,
            timeout,
            agent_run_id=agent_run_id,
            budget=budget,
            labels=labels,
        )
        return self._handle(work)

    def list_saved_dags(self) -> list[PipelineView]:
        """The latest version of every saved pipeline, by name."""
        return self._call(self._here().list_saved_dags())

    def get_saved_dag(self, name: str, version: int | None = None) -> PipelineView:
        """A version of a saved pipeline with its jobs. Raises `NotFound`."""
        return self._call(self._here().get_saved_dag(name, version))

    def delete_saved_dag(self, name: str, version: int | None = None) -> int:
        """Forget a saved pipeline, or one version; answers how many versions. Its runs go on."""
        return self._call(self._here().delete_saved_dag(name, version))
