"""The worker's end of one function process: orders out, results in, and what it is busy with."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from titan.exec.functions.protocol import (
    CallEnd,
    CallOrder,
    end_decoder,
    frame,
    output_file,
    take_frames,
    value_file,
)
from titan.exec.workspace import Workspace
from titan.ids import AttemptId

log = logging.getLogger(__name__)

_READ_BYTES: Final = 1 << 16


class FunctionProcess:
    """One process. It makes one call at a time; `attempt` is whose, 0 while it waits for one."""

    __slots__ = (
        "_inbox",
        "_link",
        "_loop",
        "_on_end",
        "_on_hang_up",
        "_outbox",
        "_printed",
        "attempt",
        "idle_since_s",
        "is_closed",
        "is_doomed",
        "is_up",
        "key",
        "logs",
        "masters",
        "output",
        "workspace",
    )

    def __init__(
        self,
        key: AttemptId,
        link: socket.socket,
        *,
        workspace: Workspace,
        logs: str,
        on_end: Callable[[FunctionProcess, CallEnd], None],
        on_hang_up: Callable[[], None],
    ) -> None:
        self.key = key  # by which the warden knows it
        self.attempt = AttemptId(0)
        self.workspace = workspace
        self.logs = logs
        self.output = Path(output_file(logs, 0))  # where its present call prints
        self.masters: tuple[str, ...] = ()  # that its environment names
        self.idle_since_s = 0.0
        self.is_up = False  # the warden has told that it runs
        self.is_closed = False
        self.is_doomed = False  # a signal is on its way to it
        self._printed = 0
        self._link = link
        self._on_end = on_end
        self._on_hang_up = on_hang_up
        self._inbox = bytearray()
        self._outbox = bytearray()
        self._loop = asyncio.get_running_loop()
        link.setblocking(False)
        self._loop.add_reader(link.fileno(), self.receive)

    def call(self, order: CallOrder) -> None:
        """Give it a call; it must be waiting for one."""
        assert not self.attempt
        self.attempt = AttemptId(order.attempt)
        self._outbox += frame(order)
        self._send()

    def receive(self) -> None:
        """Take in what it has said."""
        while not self.is_closed:
            try:
                data = self._link.recv(_READ_BYTES)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._hang_up()  # its end is told by the warden
                return
            self._inbox += data
            try:
                ends = [end_decoder.decode(body) for body in take_frames(self._inbox)]
            except (ValueError, msgspec.MsgspecError):
                log.warning("function process %d says what makes no sense", self.key)
                self._hang_up()
                return
            for end in ends:
                if end.attempt == self.attempt:
                    self._on_end(self, end)
            if len(data) < _READ_BYTES:
                return

    def _hang_up(self) -> None:
        self.close()
        self._on_hang_up()

    def next_output(self) -> None:
        """Its last call has printed, so the next one prints to another file."""
        self._printed += 1
        self.output = Path(output_file(self.logs, self._printed))

    def take_value(self) -> Path:
        """The file with what its last call has put out; the next call writes another one."""
        value = Path(value_file(self.logs))
        return value.rename(value.with_name(f"{value.name}.{self.attempt}"))

    def close(self) -> None:
        """Hang up: it ends when it is done with what it does."""
        if not self.is_closed:
            self.is_closed = True
            self._loop.remove_reader(self._link.fileno())
            self._loop.remove_writer(self._link.fileno())
            self._link.close()

    def _send(self) -> None:
        if self.is_closed:
            return
        try:
            sent = self._link.send(self._outbox)
            del self._outbox[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self._outbox.clear()  # it is dead, which the warden will tell
        if self._outbox:
            self._loop.add_writer(self._link.fileno(), self._send)
        else:
            self._loop.remove_writer(self._link.fileno())
