"""Signals to runs and jobs, for code without asyncio: the twin of `signals.py`."""

from __future__ import annotations

from typing import Any

from titan.sdk.face import Face


class SignalsFace(Face):
    """Signals of a client."""

    def signal(self, run: object, name: str, payload: Any = None, *, job: str | None = None) -> int:
        """Tell a live run, or one of its jobs, something; answers the number of the signal.

        It waits in a mailbox until a task takes it: one of the job, or the first of the run that asks.
        `payload` is anything JSON knows, at most 64 KiB. Raises `Conflict` when the run or job has
        ended or its mailbox is full.
        """
        return self._call(self._here().signal(run, name, payload, job=job))
