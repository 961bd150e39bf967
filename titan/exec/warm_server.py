"""A warm Python: an interpreter that is up already and forks itself for every `.py` job.

The warden runs this file with the jobs' own interpreter, so it imports little, and nothing of Titan:
every module here costs each fork. It makes *blanks*, processes that wait for the order of one job. The
server itself never sees an order, so no job can find another's secrets in its memory. A blank is forked
twice, which makes it a child of the warden as every job is.

`docs/python-jobs.md` says what a job cannot tell from `python file.py` and what it can. What cannot be
done alike is left to the interpreter itself, by an exec in the blank. The last lines of this file are the
only ones of Titan on a job's stack.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    sys.path.pop(0)  # this file's folder: nothing is to be imported from it
    sys.path_importer_cache.clear()

import _signal  # type: ignore[import-not-found]
import _socket
import _thread
import gc
import io
import marshal
import os
import stat

TYPE_CHECKING = False  # as `typing` has it, which is too large to be imported here
if TYPE_CHECKING:
    from typing import Any

CONTROL_FD = 3
BLANKS_MAX = 16  # descriptors in one message
ORDER_BYTES_MAX = 1 << 16
FD_BYTES = 4


# --- making blanks -----------------------------------------------------------------------------------


def serve() -> tuple[list[bytes], bytes, dict[bytes, bytes], dict[bytes, bytes], int]:
    """Make blanks until the warden hangs up. Returns in a blank only: the order it was given."""
    area, added = _start_area(), _added_by_start()
    control = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, CONTROL_FD)
    _practise()
    gc.collect()
    gc.freeze()  # what is shared stays shared: the collections of jobs do not write to it
    if sys.hexversion < 0x030B0000:
        os._exit(1)  # the way tracebacks are cut below is not true there
    control.send(b"ready")
    while True:
        word, fds = _receive(control, descriptors_max=BLANKS_MAX)
        if not word:
            os._exit(0)
        maker = os.fork()
        if maker == 0:
            order_fd = _make_blanks(control, fds)
            os.setsid()
            argv, cwd, env, log_fd = _wait_for_order(order_fd)
            os.environ.clear()  # before its memory is written over
            _show_as(area, argv, env)
            return argv, cwd, env, added, log_fd
        for fd in fds:
            os.close(fd)
        if os.waitpid(maker, 0)[1] != 0:
            control.send(b"none")


def _practise() -> None:
    """Do once what every job does, so that what is made by its first time is shared, not made again.

    The first `compile` of a process makes about a hundred types for syntax trees.
    """
    exec(compile("", "", "exec"), {})  # noqa: S102 - nothing


def _make_blanks(control: _socket.socket, fds: list[int]) -> int:
    """Fork one blank for each descriptor and tell the warden their ids; returns in the blanks."""
    made = []
    for fd in fds:
        blank = os.fork()
        if blank == 0:
            control.close()
            for other in fds:
                if other != fd:
                    os.close(other)
            return fd
        made.append(b"%d" % blank)
    control.send(b" ".join(made))
    os._exit(0)


def _wait_for_order(fd: int) -> tuple[list[bytes], bytes, dict[bytes, bytes], int]:
    link = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, fd)
    body, fds = _receive(link, descriptors_max=1)
    link.close()
    if not fds:
        os._exit(0)  # no more blanks are needed
    argv, cwd, env = marshal.loads(body)  # noqa: S302 - the warden wrote it
    return argv, cwd, env, fds[0]


def _receive(link: _socket.socket, *, descriptors_max: int) -> tuple[bytes, list[int]]:
    room = _socket.CMSG_SPACE(FD_BYTES * descriptors_max)
    body, extra, _flags, _address = link.recvmsg(ORDER_BYTES_MAX, room)
    packed = b"".join(data for _level, _type, data in extra)
    starts = range(0, len(packed), FD_BYTES)
    return body, [int.from_bytes(packed[at : at + FD_BYTES], sys.byteorder) for at in starts]


# --- becoming the job --------------------------------------------------------------------------------


def _start_area() -> tuple[int, ...]:
    """Where the arguments and the environment of the exec lie, which is what `/proc` shows of them."""
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    return tuple(int(field) for field in fields[45:49])


def _added_by_start() -> dict[bytes, bytes]:
    """What the interpreter has put into its environment itself: a coerced LC_CTYPE."""
    with open("/proc/self/environ", "rb") as file:
        given = set(file.read().split(b"\0"))
    return {k: v for k, v in os.environb.items() if k + b"=" + v not in given}


def _show_as(area: tuple[int, ...], argv: list[bytes], env: dict[bytes, bytes]) -> None:
    """Let `ps` show the job, and let the warden find its daemons by their environment."""
    arg_start, arg_end, env_start, env_end = area
    title = b" ".join(argv)[: arg_end - arg_start - 2]
    first = sorted(env.items(), key=lambda item: not item[0].startswith(b"TITAN_"))
    variables = b"".join(k + b"=" + v + b"\0" for k, v in first)[: env_end - env_start - 1]
    fd = os.open("/proc/self/mem", os.O_WRONLY | os.O_CLOEXEC)
    os.pwrite(fd, title.ljust(arg_end - arg_start - 1, b"\0") + b" ", arg_start)
    os.pwrite(fd, variables.ljust(env_end - env_start, b"\0"), env_start)
    os.close(fd)


def become(argv: list[bytes], cwd: bytes, env: dict[bytes, bytes], log_fd: int) -> None:
    """Take on everything of the job but its program."""
    os.dup2(log_fd, 1)
    os.dup2(log_fd, 2)
    os.close(log_fd)
    os.chdir(cwd)
    for name, value in env.items():
        os.environb[name] = value
    words = [os.fsdecode(word) for word in argv]
    sys.orig_argv = words
    sys.argv = words[1:]
    folder = os.path.dirname(os.path.realpath(words[1]))  # noqa: PTH120 - pathlib costs each fork
    sys.path.insert(0, folder)
    for fd, stream_name in enumerate(("stdin", "stdout", "stderr")):
        stream = _stream(fd)
        setattr(sys, stream_name, stream)
        setattr(sys, f"__{stream_name}__", stream)


def _stream(fd: int) -> Any:
    """A standard stream as the interpreter makes it (`create_stdio` in pylifecycle.c)."""
    old: Any = (sys.__stdin__, sys.__stdout__, sys.__stderr__)[fd]
    mode = "w" if fd else "r"
    is_raw = fd > 0 and old.write_through  # PYTHONUNBUFFERED, which the server was started with
    buffer = open(fd, mode + "b", 0 if is_raw else -1, closefd=False)  # noqa: SIM115 - for life
    raw: Any = getattr(buffer, "raw", buffer)
    raw.name = old.name
    stream: Any = io.TextIOWrapper(
        buffer,
        old.encoding,
        old.errors,
        "\n" if fd else None,
        line_buffering=fd == 2 and not is_raw,
        write_through=old.write_through,
    )
    stream.mode = mode
    return stream


def compiled(path: str) -> Any:
    """The script's code, or None when only the interpreter itself can say what is wrong with it."""
    try:
        with open(path, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            source = file.read()
    except OSError:
        return None
    stderr, sys.stderr = sys.stderr, (said := io.StringIO())
    try:
        code = compile(source, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError):
        return None
    finally:
        sys.stderr = stderr
    if text := said.getvalue():
        sys.stderr.write(text)
    return code


def exec_plainly(argv: list[bytes], env: dict[bytes, bytes]) -> None:
    """Run the job by a new interpreter after all, in the same process: only time tells."""
    for signum in (_signal.SIGPIPE, _signal.SIGXFSZ):
        _signal.signal(signum, _signal.SIG_DFL)  # an exec passes on what is ignored
    os.execve(argv[0], argv, env)  # noqa: S606 - a shell would change the job


def make_main(path: str) -> None:
    """An empty `__main__` in place of this one, filled in the order in which the interpreter does."""
    main: Any = type(sys)("__main__")
    loader: Any = sys.modules["__main__"].__loader__
    main.__loader__ = type(loader)("__main__", path)
    main.__annotations__ = {}
    main.__builtins__ = sys.modules["builtins"]
    main.__file__ = path
    main.__cached__ = None
    sys.modules["__main__"] = main


# --- ending ------------------------------------------------------------------------------------------


class _End:
    """Ends the process when it is deleted, instead of taking down the rest of the interpreter."""

    def __init__(self, code: int) -> None:
        self.code = code

    def __del__(self, leave: Any = os._exit) -> None:
        leave(self.code)


def shorten_end(code: int) -> None:
    """Let the interpreter stop when everything of the job is gone: what is left is as it was before.

    Taking apart modules that the job has not touched writes to half of the shared memory. They are
    taken apart from the last to the first, so the end goes between theirs and the job's. Only where
    nothing can hang on the rest: no buffered stream, no thread, no foreign library with an exit of
    its own.
    """
    modules, stdout = sys.modules, sys.__stdout__
    if _thread._count() or type(modules) is not dict or not (stdout and stdout.write_through):
        return
    mine = [name for name in modules if name == "__main__" or name not in INHERITED]
    for name in mine:
        file = getattr(modules[name], "__dict__", {}).get("__file__") or ""
        is_library = isinstance(file, str) and file.endswith(".so")
        if name == "_ctypes" or (is_library and not file.startswith(LIBRARIES)):
            return
    taken = [(name, modules.pop(name)) for name in mine]
    KEPT.end = _End(code)
    modules[KEPT.__name__] = KEPT
    modules.update(taken)


def exit_code(error: BaseException) -> int:
    """What the interpreter makes of an error that nobody caught; -1 where it takes more than that."""
    if isinstance(error, SystemExit):
        code = 0 if error.code is None else error.code
        return code if isinstance(code, int) and 0 <= code <= 255 else -1
    is_plain = isinstance(error, Exception) and sys.excepthook is sys.__excepthook__
    return 1 if is_plain else -1


INHERITED = frozenset(sys.modules)
LIBRARIES = os.__file__.rpartition("/")[0] + "/lib-dynload/"
KEPT: Any = type(sys)("titan_end")

if __name__ == "__main__":
    ARGV, CWD, ENV, ADDED, LOG_FD = serve()
    become(ARGV, CWD, {**ENV, **ADDED}, LOG_FD)
    CODE = compiled(sys.argv[0])
    if CODE is None:
        exec_plainly(ARGV, ENV)
    make_main(sys.argv[0])
    try:
        exec(CODE, sys.modules["__main__"].__dict__)  # noqa: S102 - it is the job
    except BaseException as error:  # its traceback begins with the job's own line
        if error.__traceback__ is not None:
            error.__traceback__ = error.__traceback__.tb_next
        if (status := exit_code(error)) >= 0:
            shorten_end(status)
        raise
    # The interpreter takes these back before it runs what `atexit` holds.
    sys.modules["__main__"].__dict__.pop("__file__", None)
    sys.modules["__main__"].__dict__.pop("__cached__", None)
    shorten_end(0)
