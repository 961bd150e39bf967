"""Orders that change a live run, in one piece. Handler: `mutations.py`; what each edit asks: `edits.py`.

An edit is small and says what it wants, not how the run looks now. In JSON the kind stands in the field
`edit`. Tags are on disk for ever, as those of commands are.
"""

from __future__ import annotations

from typing import Any

import msgspec

from titan.fsm.commands.base import ClientCommand
from titan.ids import JobId, RunId
from titan.spec.model import JobSpec


class Fields(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What can be changed of a job that has not started; None stays as it is."""

    requirement: tuple[str, ...] | None = None
    resources: dict[str, int] | None = None
    priority: int | None = None
    depends_on: tuple[JobId, ...] | None = None
    affinity: bool | None = None
    retries: int | None = None
    timeout_ms: int | None = None
    args: tuple[bytes, ...] | None = None
    env: dict[str, str] | None = None

    def given(self) -> dict[str, Any]:
        """Those that are to change, by name."""
        found = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return {name: value for name, value in found if value is not None}


class Edit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="edit"):
    """Base of every edit."""


class Add(Edit, frozen=True, kw_only=True, tag="add"):
    """New jobs; their parents may be finished, running, waiting or new."""

    jobs: tuple[JobSpec, ...]


class Change(Edit, frozen=True, kw_only=True, tag="change"):
    """Other fields for a job that has not started."""

    job: JobId
    set: Fields


class Skip(Edit, frozen=True, kw_only=True, tag="skip"):
    """The job will not run; what follows it is up to the triggers of its children."""

    job: JobId


class Cancel(Edit, frozen=True, kw_only=True, tag="cancel"):
    """Cancel a job and its descendants. No effect on one that has ended."""

    job: JobId


class Reroute(Edit, frozen=True, kw_only=True, tag="reroute"):
    """Run a job elsewhere. One that runs has to be taken from its worker: only with `restart`."""

    job: JobId
    requirement: tuple[str, ...] | None = None
    affinity: bool | None = None
    restart: bool = False


class Rerun(Edit, frozen=True, kw_only=True, tag="rerun"):
    """Run an ended job again, and with it every descendant that ended because of it.

    With `only_if` the edit is left out when the job is in another state by now, or could not start.
    """

    job: JobId
    only_if: str = ""


class RerunFailed(Edit, frozen=True, kw_only=True, tag="rerun_failed"):
    """Run every job again that failed; in a run where none did, every one that was cancelled."""


class Undo(Edit, frozen=True, kw_only=True, tag="undo"):
    """The opposite of a revision; of the newest when it is 0."""

    revision: int = 0


AnyEdit = Add | Change | Skip | Cancel | Reroute | Rerun | RerunFailed | Undo


class MutateRun(ClientCommand, frozen=True, kw_only=True, tag="run.mutate"):
    """Change a run: all of the edits, or none. Answers the run's new revision.

    With `if_revision`, only while that is the run's revision. A task may change its own run only.
    """

    since = 2
    run: RunId
    edits: tuple[AnyEdit, ...]
    if_revision: int = 0
    by: str = ""  # who asked, for people; of a task, the job's name stands instead
    note: str = ""  # why, for people
