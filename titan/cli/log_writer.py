"""Writes log lines from a thread of its own: whoever reads the log may stop, the process may not.

A terminal held by Ctrl-S, a pipe nobody empties, a disk busy with somebody else's files: each blocks a
`write` for seconds or for ever. An event loop that waited for it would miss heartbeats and elections.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import Final, TextIO

from titan.limits import LOG_LINES_WAITING_MAX

FLUSH_TIMEOUT_S: Final = 1.0  # the last words of a process that ends


class LogWriter(logging.Handler):
    """Hands lines to a thread and never waits.

    Beyond `LOG_LINES_WAITING_MAX` lines that nobody took, new ones are dropped and counted; the count is
    written when the reader is back.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._waiting: deque[str] = deque()
        self._dropped = 0
        self._changed = threading.Condition()
        self._is_writing = False
        self._thread = threading.Thread(target=self._write, name="log writer", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue one line."""
        try:
            line = self.format(record)
        except Exception:  # logging's own rule: a line that cannot be formatted ends nobody
            self.handleError(record)
            return
        with self._changed:
            if len(self._waiting) >= LOG_LINES_WAITING_MAX:
                self._dropped += 1
            else:
                self._waiting.append(line)
                self._changed.notify_all()

    def flush(self) -> None:
        """Wait for the queued lines, at most `FLUSH_TIMEOUT_S` seconds."""
        with self._changed:
            self._changed.wait_for(
                lambda: not self._waiting and not self._is_writing, timeout=FLUSH_TIMEOUT_S
            )

    def _write(self) -> None:
        while True:
            with self._changed:
                self._is_writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting)
                lines, dropped = list(self._waiting), self._dropped
                self._waiting.clear()
                self._dropped, self._is_writing = 0, True
            if dropped:
                lines.append(f"{dropped} log lines were dropped here: nobody took them in time")
            try:
                self._stream.write("\n".join(lines) + "\n")
                self._stream.flush()
            except (OSError, ValueError):  # closed, or its disk is full: there is nowhere to say so
                continue
