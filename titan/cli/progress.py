"""A run as it goes: a live picture on a terminal, one line per change anywhere else.

It is fed views and draws them; it asks nobody.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol

from titan.cli import output
from titan.fsm.queries import JobView, RunView

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.live import Live

SHOWN_JOBS_MAX: Final = 12  # running ones in the live picture
_OVER: Final = ("COMPLETED", "FAILED", "DEAD", "CANCELLED", "SKIPPED")
_REFRESH_PER_S: Final = 8


class Progress(Protocol):
    """Where updates go; a context manager around the time of the run."""

    def __enter__(self) -> Progress:
        """Begin to show."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Leave what was shown last on the screen."""

    def update(self, run: RunView, changed: Iterable[JobView]) -> None:
        """The run as of now, and the jobs that changed since the update before."""

    def say(self, line: str) -> None:
        """A line of rich markup that stays, above the picture."""


def progress(console: Console, *, names: Mapping[str, str] | None = None) -> Progress:
    """The form that fits the console. `names` are the workers' names by id; the id is shown else."""
    kind = LiveProgress if console.is_terminal else LineProgress
    return kind(console, names=names or {})


class LineProgress:
    """One line per job that starts or ends."""

    def __init__(self, console: Console, *, names: Mapping[str, str]) -> None:
        self._console = console
        self._names = names
        self._began = time.monotonic()
        self._shown: dict[str, tuple[str, int]] = {}

    def __enter__(self) -> LineProgress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        return

    def update(self, run: RunView, changed: Iterable[JobView]) -> None:
        """Print what changed; jobs that only wait are left out."""
        over = sum(run.jobs.get(state, 0) for state in _OVER)
        for job in changed:
            now = (job.state, job.attempts)
            if job.state == "PENDING" or self._shown.get(job.id) == now:
                continue
            self._shown[job.id] = now
            self.say(job_line(job, self._names) + f"  [dim]({over} of {sum(run.jobs.values())})[/]")

    def say(self, line: str) -> None:
        """A line with the time since the beginning in front."""
        self._console.print(f"[dim]{time.monotonic() - self._began:7.2f}s[/]  {line}")


class LiveProgress:
    """A bar, the counts, and the jobs that run now, redrawn in place."""

    def __init__(self, console: Console, *, names: Mapping[str, str]) -> None:
        self._console = console
        self._names = names
        self._running: dict[str, JobView] = {}
        self._run: RunView | None = None
        self._live: Live | None = None

    def __enter__(self) -> LiveProgress:
        from rich.live import Live

        self._live = Live(
            console=self._console,
            get_renderable=self._picture,
            refresh_per_second=_REFRESH_PER_S,
        )
        self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        assert self._live is not None
        self._live.__exit__(kind, error, at)

    def update(self, run: RunView, changed: Iterable[JobView]) -> None:
        """Take the news; the picture is drawn on its own time."""
        self._run = run
        for job in changed:
            if job.state == "RUNNING":
                self._running[job.id] = job
            else:
                self._running.pop(job.id, None)
            if job.state in ("FAILED", "DEAD", "WAITING"):
                self.say(job_line(job, self._names))

    def say(self, line: str) -> None:
        """A line above the picture."""
        self._console.print(line)

    def _picture(self) -> Group:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        if self._run is None:
            return Group(Text("waiting for the cluster …", style="dim"))
        total = sum(self._run.jobs.values())
        over = sum(self._run.jobs.get(state, 0) for state in _OVER)
        head = Table.grid(padding=(0, 2))
        head.add_row(
            Text(self._run.name, style="bold"),
            ProgressBar(total=max(1, total), completed=over, width=30),
            f"{over} of {total}",
            output.count_words(self._run.jobs),
            output.took(self._run.created_ms, self._run.ended_ms),
        )
        rows = Table.grid(padding=(0, 2))
        for job in list(self._running.values())[:SHOWN_JOBS_MAX]:
            rows.add_row(
                "  [cyan]●[/]",
                job.id,
                f"[dim]{output.plain(self._names.get(job.worker, job.worker))}[/]",
                f"[dim]attempt {job.attempts}, {output.took(job.started_ms, 0)}[/]",
            )
        return Group(head, rows)


def job_line(job: JobView, names: Mapping[str, str]) -> str:
    """A job in one line of markup."""
    where = f" on {output.plain(names.get(job.worker, job.worker))}" if job.worker else ""
    again = f", attempt {job.attempts}" if job.attempts > 1 else ""
    why = f": {output.plain(job.reason)}" if job.reason else ""
    how = f"  [dim]titan approve {job.id}[/]" if job.state == "WAITING" else ""
    return f"[bold]{job.id}[/] {output.styled(job.state)}[dim]{where}{again}[/]{why}{how}"
