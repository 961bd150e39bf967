"""A function's process: takes calls one by one from its worker, and lives on between them.

Runs in the user's Python with the bundle as its folder, so modules are imported once and what they keep
in globals is there for the next call. Everything of a call that can be undone is undone after it: folder,
environment, output. It ends with its socket, however the worker dies.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import socket
import sys
import time
import traceback
from typing import Final, NoReturn

from titan.exec.functions.protocol import (
    SOCKET_FD,
    CallEnd,
    CallOrder,
    frame,
    order_decoder,
    output_file,
    take_frames,
    value_file,
)
from titan.exec.functions.putting_out import forget, put_out
from titan.exec.functions.resolving import Functions
from titan.limits import (
    CALL_GROWTH_BYTES_MAX,
    CALLS_PER_PROCESS_MAX,
    ERROR_TEXT_BYTES_MAX,
)

_READ_BYTES: Final = 1 << 16
_LOOK_EVERY_CALLS: Final = 64  # how often the memory is looked at …
_LONG_US: Final = 5_000  # … and after each call that took so long
_LOG_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class Host:
    """See the module. `logs` is the beginning of the names of the files it prints to."""

    def __init__(self, link: socket.socket, *, logs: str) -> None:
        self._link = link
        self._logs = logs
        self._value = value_file(logs)
        self._printed = 0  # calls that have printed anything
        self._calls = 0
        self._pid = os.getpid()
        self._rss_first = 0
        self._folder = os.getcwd()  # noqa: PTH109 - few imports
        self._functions = Functions(self._folder)

    def serve(self) -> None:
        """Until the worker hangs up, or this process has grown old."""
        inbox = bytearray()
        while data := self._link.recv(_READ_BYTES):
            inbox += data
            for body in take_frames(inbox):
                end = self._perform(order_decoder.decode(body))
                self._link.sendall(frame(end))
                if end.is_last:
                    return

    def _perform(self, order: CallOrder) -> CallEnd:
        started_ns = time.perf_counter_ns()
        undo = _enter(order)
        exit_code, output, detail, is_large = 0, b"", "", False
        try:
            output, is_large = put_out(self._functions.call(order), self._value)
        except BaseException as error:
            exit_code, detail = _report(error)
        if os.getpid() != self._pid:
            _end(exit_code)  # a fork that the function let return: the call is not its to answer
        self._leave(order, undo, is_large=is_large)
        duration_us = (time.perf_counter_ns() - started_ns) // 1000
        self._calls += 1
        return CallEnd(
            attempt=order.attempt,
            exit_code=exit_code,
            output=output,
            detail=detail,
            duration_us=duration_us,
            log_bytes=self._close_log(),
            is_last=self._is_old(duration_us),
            is_large=is_large,
        )

    def _leave(self, order: CallOrder, undo: dict[str, str | None], *, is_large: bool) -> None:
        for name, value in undo.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        os.chdir(self._folder)
        if not is_large:
            forget(self._value)
        if order.workspace:
            shutil.rmtree(_workspace(order), ignore_errors=True)

    def _close_log(self) -> int:
        """What the call has printed, in bytes; if anything, the next call prints to a new file."""
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError, AttributeError):
                continue  # the function has closed or replaced it
        size = os.fstat(1).st_size
        if size:
            self._printed += 1
            open_log(output_file(self._logs, self._printed))
        return size

    def _is_old(self, duration_us: int) -> bool:
        if self._calls >= CALLS_PER_PROCESS_MAX:
            return True
        if self._calls % _LOOK_EVERY_CALLS and duration_us < _LONG_US and self._rss_first:
            return False
        rss = _rss_bytes()
        if not self._rss_first:
            self._rss_first = rss
        if rss - self._rss_first <= CALL_GROWTH_BYTES_MAX:
            return False
        gc.collect()
        return _rss_bytes() - self._rss_first > CALL_GROWTH_BYTES_MAX


def _enter(order: CallOrder) -> dict[str, str | None]:
    """Become the attempt; what has to be put back after it."""
    environ = os.environ
    environ["TITAN_ATTEMPT"] = str(order.attempt)
    environ["TITAN_ATTEMPT_NUMBER"] = str(order.number)
    environ["TITAN_FENCE"] = str(order.fence)
    environ["TITAN_RUN_ID"] = order.run
    environ["TITAN_JOB_ID"] = order.job
    undo = {name: environ.get(name) for name in order.env}
    environ.update(order.env)
    if order.workspace:
        folder = _workspace(order)
        os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103 - speed
        os.chdir(folder)
    return undo


def _workspace(order: CallOrder) -> str:
    return os.path.join(os.environ["TMPDIR"], f"call-{order.attempt}")  # noqa: PTH118 - speed


def _report(error: BaseException) -> tuple[int, str]:
    """Print the traceback as the interpreter would, without the frames of Titan; exit code and reason."""
    if isinstance(error, SystemExit) and (isinstance(error.code, int) or error.code is None):
        code = error.code or 0
        # Only returning is success: whoever leaves with 0 in the middle has no result.
        return (code & 255) or 1, f"the function called sys.exit({code})"
    shown = traceback.TracebackException.from_exception(error)
    _hide_our_frames(shown)
    try:
        sys.stderr.write("".join(shown.format()))
    except (OSError, ValueError, AttributeError):
        os.write(2, "".join(shown.format()).encode(errors="replace"))
    said = " ".join("".join(traceback.format_exception_only(error)).split())
    return 1, said.encode()[:ERROR_TEXT_BYTES_MAX].decode(errors="ignore")


_OURS: Final = os.path.dirname(os.path.abspath(__file__)) + os.sep  # noqa: PTH120, PTH100


def _hide_our_frames(shown: traceback.TracebackException) -> None:
    """Also in what it was caused by. Frames of the import system below ours go as well."""
    one: traceback.TracebackException | None = shown
    seen: set[int] = set()
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        ours = [n for n, line in enumerate(one.stack) if line.filename.startswith(_OURS)]
        if ours:
            rest = list(one.stack)[ours[-1] + 1 :]
            while rest and rest[0].filename.startswith(("<frozen importlib", _IMPORTLIB)):
                rest.pop(0)
            one.stack = traceback.StackSummary.from_list(rest)
        one = one.__cause__ or one.__context__


_IMPORTLIB: Final = os.path.join(os.path.dirname(os.__file__), "importlib")  # noqa: PTH118, PTH120


def _rss_bytes() -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * _PAGE_BYTES


def open_log(path: str) -> None:
    """Print to this file from now on. What earlier calls left running prints to theirs."""
    fd = os.open(path, _LOG_FLAGS, 0o640)
    for number in (1, 2):
        os.dup2(fd, number)
    os.close(fd)


def main() -> NoReturn:
    """Serve the socket; the argument is the beginning of the names of log files."""
    link = socket.socket(fileno=SOCKET_FD)
    link.set_inheritable(False)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.argv = [""]
    try:
        Host(link, logs=os.environ.pop("TITAN_CALL_LOGS")).serve()
    except ConnectionError:
        pass
    finally:
        _end(0)


def _end(code: int) -> NoReturn:
    """Leave at once: what the functions left in threads must not keep it."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)
