"""Orders about saved pipelines. Handlers: `pipelines.py`."""

from __future__ import annotations

from typing import ClassVar

from titan.fsm.commands.base import ClientCommand
from titan.ids import Digest, RunId
from titan.spec.budgets import BudgetSpec
from titan.spec.model import Input, JobSpec, Scalar


class SavePipeline(ClientCommand, frozen=True, kw_only=True, tag="pipeline.save"):
    """Keep a pipeline under a name. Answers its version: the latest one's when nothing has changed."""

    since: ClassVar[int] = 2

    name: str
    jobs: tuple[JobSpec, ...]
    bundle: Digest = Digest("")
    inputs: dict[str, Input] = {}
    owner: str = ""
    budget: BudgetSpec | None = None  # of each of its runs
    labels: dict[str, str] = {}  # of each of its runs


class DeletePipeline(ClientCommand, frozen=True, kw_only=True, tag="pipeline.delete"):
    """Forget a saved pipeline, or one version of it. Answers how many versions that were."""

    since: ClassVar[int] = 2

    name: str
    version: int = 0  # 0: all of them


class SubmitSaved(ClientCommand, frozen=True, kw_only=True, tag="pipeline.submit"):
    """Create a run of a saved pipeline. Answers its id; the same run id again has no effect."""

    since: ClassVar[int] = 2

    run: RunId
    name: str
    version: int = 0  # 0: the latest
    parameters: dict[str, Scalar] = {}
    agent_run_id: str = ""
    owner: str = ""
    budget: BudgetSpec | None = None  # instead of the saved one
    labels: dict[str, str] = {}  # beside the saved ones, and before those of the same key
