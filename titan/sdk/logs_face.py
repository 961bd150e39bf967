"""What jobs write, for code without asyncio: the twin of `logs.py`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from titan.sdk.face import Face

if TYPE_CHECKING:
    from titan.sdk.logs import LogLine, Moment


class LogsFace(Face):
    """Output of jobs."""

    def fetch_logs(
        self,
        job_id: object,
        run: object | None = None,
        *,
        grep: str | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
    ) -> str:
        """All that the newest attempt of a job has written; "" when it has not started yet.

        `grep`: only lines that hold this text. `since`, `until`: only what was written in between.
        """
        work = self._here().fetch_logs(job_id, run, grep=grep, since=since, until=until)
        return self._call(work)

    def search_logs(
        self,
        target: object,
        text: str = "",
        *,
        since: Moment | None = None,
        until: Moment | None = None,
    ) -> list[LogLine]:
        """Lines with `text` in the newest output of every job of a run, or of one job."""
        return self._call(self._here().search_logs(target, text, since=since, until=until))

    def follow_logs(self, job_id: object, run: object | None = None) -> Iterator[str]:
        """What a job writes, from the beginning of its newest attempt until the job has ended."""
        return self._iterate(self._here().follow_logs(job_id, run))
