"""The jobs of a warden, and to which of them a process belongs. Part of the warden: it imports little."""

from __future__ import annotations

from titan.exec import procfs
from titan.exec.spawning import Order

_ATTEMPT_MARK = b"TITAN_ATTEMPT"


class Job:
    """A job whose main process has not been reaped. It leads its own session and group."""

    __slots__ = ("key", "log", "pid", "reach", "started_ns", "started_ticks")

    def __init__(self, order: Order, pid: int, started_ns: int) -> None:
        self.key, self.log, self.reach = order.key, order.log, order.reach
        self.pid, self.started_ns = pid, started_ns
        self.started_ticks = -1  # read only when a stray has to be told apart


class Jobs:
    """By process and by key."""

    def __init__(self) -> None:
        self.by_pid: dict[int, Job] = {}
        self.by_key: dict[int, Job] = {}

    def add(self, job: Job) -> None:
        """Its process runs."""
        self.by_pid[job.pid] = self.by_key[job.key] = job

    def owner(self, pid: int) -> Job | None:
        """Whose a process is: by its session, else by the mark in its first environment."""
        seen = procfs.stat(pid)
        if seen is None:
            return None
        if (job := self.by_pid.get(seen.session)) is not None:
            return job
        mark = procfs.environ_value(pid, _ATTEMPT_MARK)
        return self.by_key.get(int(mark)) if mark is not None and mark.isdigit() else None

    def may_live(self, pid: int) -> bool:
        """Whether a stray may belong to a job that runs."""
        seen = procfs.stat(pid)
        if seen is None or seen.state == "Z":
            return True  # reaped in its turn
        if self.owner(pid) is not None:
            return True
        if procfs.environ_value(pid, _ATTEMPT_MARK) is not None:
            return False
        # It hid its environment. It may belong to any job that is older than itself.
        return any(_ticks(job) <= seen.started_ticks for job in self.by_pid.values())


def _ticks(job: Job) -> int:
    if job.started_ticks < 0:
        seen = procfs.stat(job.pid)
        job.started_ticks = seen.started_ticks if seen is not None else 0
    return job.started_ticks
