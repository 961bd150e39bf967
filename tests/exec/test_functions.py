"""Functions in warm processes: what they share, what they do not, and how they end."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.exec.fake_master import FakeMaster, read_log
from tests.exec.running import Running, StartWorker, bundle, log_text, result
from tests.exec.support import RUN, is_alive, order, until
from titan.exec.drivers import PACKAGE_ROOT
from titan.exec.functions import crews, host, starting
from titan.spec import call_pickles
from titan.spec.call_values import Ref, decode_result, encode_argument, encode_call
from titan.spec.model import Call
from titan.wire.messages import KillAttempt, LogEnd, ReadLog

CODE = """
import os, sys, time, signal, subprocess, threading
from pathlib import Path

calls = []
start = time.monotonic()

def add(x: int, y: int = 1) -> int:
    return x + y

def count() -> tuple[int, int]:
    calls.append(1)
    return os.getpid(), len(calls)

def say(text: str) -> None:
    print(text)
    print(text.upper(), file=sys.stderr)
    os.system("echo from a child")

def whoami() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k.startswith("TITAN_")}

def colour() -> str | None:
    return os.environ.get("COLOUR")

def fail(text: str) -> None:
    inner(text)

def inner(text):
    raise ValueError(text)

def chained() -> None:
    try:
        inner("first")
    except ValueError as error:
        raise RuntimeError("second") from error

def crash() -> None:
    print("so far", flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)

def leave(code: int) -> None:
    os._exit(code)

def quit(code: int) -> None:
    sys.exit(code)

def sleep(flag: str) -> None:
    Path(flag).write_text(str(os.getpid()))
    time.sleep(60)

def stubborn(flag: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sleep(flag)

def parent(flag: str) -> None:
    child = subprocess.Popen(["sleep", "60"])
    Path(flag).write_text(f"{os.getpid()} {child.pid}")
    time.sleep(60)

def thing() -> object:
    return object()

def big(size: int = 100_000) -> bytes:
    return b"x" * size

def size(*values) -> list[int]:
    return [len(one) for one in values]

def nested(values: list[object]) -> list[object]:
    return [values[0], len(values[1])]

def write(size: int) -> str:
    with open(os.environ["TITAN_OUTPUT"], "w") as file:
        file.write("y" * min(size, 1_000_000))
        file.truncate(size)
    return "what is returned"

def write_and_fail() -> None:
    write(100_000)
    raise ValueError("no")

def wander() -> str:
    os.chdir("/")
    Path(os.environ["TMPDIR"], "left").write_text("")
    return os.getcwd()

def here() -> list[str]:
    Path("new").write_text("")
    return [os.getcwd(), *sorted(os.listdir())]

def total(values: list[int]) -> int:
    return sum(values)

def grow() -> int:
    calls.append(bytearray(os.urandom(1)) * 40_000_000)
    return os.getpid()

def flags(x: set[int]) -> set[int]:
    return x

def garble() -> None:
    os.write(3, b"\\xff" * 64)
    time.sleep(60)

def deafen() -> None:
    os.close(3)
    time.sleep(60)

def fork() -> int:
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
    return os.getpid()

class Tools:
    @staticmethod
    def double(x: int) -> int:
        return 2 * x
"""


def call(name: str, *args: Any, module: str = "mod", **fields: Any) -> Call:
    data = encode_call([encode_argument(one, "x") for one in args], {})
    return Call(module=module, name=name, args=data, **fields)


@pytest.fixture
def digest(master: FakeMaster) -> str:
    return bundle(master, mod_py=CODE)


class Caller:
    """Gives one call after the other and waits for its end."""

    def __init__(self, master: FakeMaster, digest: str) -> None:
        self.master, self.digest, self.last = master, digest, 0

    def give(self, name: str, *args: Any, spec: dict[str, Any] | None = None, **fields: Any) -> int:
        self.last += 1
        one = call(name, *args, **fields)
        self.master.say(order(self.last, call=one, bundle=self.digest, **(spec or {})))
        return self.last

    async def __call__(self, name: str, *args: Any, **fields: Any) -> Any:
        return await result(self.master, self.give(name, *args, **fields))

    async def value(self, name: str, *args: Any, **fields: Any) -> Any:
        ended = await self(name, *args, **fields)
        assert (ended.exit_code, ended.detail) == (0, "")
        return decode_result(ended.output)


@pytest.fixture
def do(master: FakeMaster, digest: str) -> Caller:
    return Caller(master, digest)


async def test_calls_share_a_process_and_its_globals(start: StartWorker, do: Caller) -> None:
    await start(slots=1)
    assert await do.value("add", 1, 2) == 3
    assert await do.value("add", 5) == 6
    first = await do.value("count")
    assert await do.value("count") == (first[0], 2)
    assert await do.value("Tools.double", 4) == 8
    assert await do.value("flags", {1, 2}) == {1, 2}


async def test_calls_use_as_many_processes_as_there_are_slots(
    start: StartWorker, do: Caller, tmp_path: Path
) -> None:
    await start(slots=2)
    for n in range(3):
        do.give("sleep", str(tmp_path / f"flag{n}"))
    flags = [tmp_path / f"flag{n}" for n in range(2)]
    await until(lambda: all(flag.exists() and flag.read_text() for flag in flags))
    assert len({flag.read_text() for flag in flags}) == 2
    assert not (tmp_path / "flag2").exists()


async def test_each_call_has_its_own_output_and_a_silent_one_has_no_file(
    master: FakeMaster, start: StartWorker, do: Caller
) -> None:
    running = await start(slots=1)
    for text in ("one", "two"):
        ended = await do("say", text)
        assert log_text(running, do.last) == f"{text}\n{text.upper()}\nfrom a child\n"
        assert ended.log_bytes == len(log_text(running, do.last))
    ended = await do("add", 1)
    assert ended.log_bytes == 0
    assert not list((running.data / "logs").rglob(f"*.{do.last}.log"))
    text, end = await read_log(master, ReadLog(run=RUN, job="job2", attempt=2))
    assert (text, end) == (b"two\nTWO\nfrom a child\n", LogEnd(attempt=2, size=21))


async def test_a_call_knows_its_attempt_and_leaves_its_environment_to_nobody(
    start: StartWorker, do: Caller
) -> None:
    await start(slots=1)
    assert await do.value("colour", spec={"env": {"COLOUR": "red"}}) == "red"
    assert await do.value("colour") is None
    seen = await do.value("whoami")
    assert seen["TITAN_ATTEMPT"] == str(do.last)
    assert seen["TITAN_JOB_ID"] == f"job{do.last}"
    assert seen["TITAN_FENCE"] == str(do.last * 10)
    assert seen["TITAN_RUN_ID"] == RUN


async def test_the_folder_is_put_back_after_each_call(start: StartWorker, do: Caller) -> None:
    await start(slots=1)
    assert await do.value("wander") == "/"
    folder, *names = await do.value("here", workspace=True)
    assert names == ["new"]
    assert not Path(folder).exists()
    assert "mod.py" in await do.value("here")


async def test_an_exception_is_the_reason_and_its_traceback_begins_in_the_function(
    start: StartWorker, do: Caller
) -> None:
    running = await start(slots=1)
    ended = await do("fail", "no luck")
    assert (ended.exit_code, ended.cause, ended.detail) == (1, "", "ValueError: no luck")
    lines = log_text(running, do.last).splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1].endswith("in fail")
    assert "titan/" not in log_text(running, do.last)
    await do("chained")
    text = log_text(running, do.last)
    assert "direct cause" in text
    assert "titan/" not in text
    assert await do.value("add", 1, 1) == 2


async def test_a_module_that_cannot_be_imported_is_the_users_error(
    start: StartWorker, do: Caller
) -> None:
    running = await start(slots=1)
    ended = await do("add", module="missing")
    assert (ended.exit_code, ended.detail) == (1, "ModuleNotFoundError: No module named 'missing'")
    assert "titan/" not in log_text(running, do.last)
    ended = await do("missing")
    assert "there is no function 'missing' in module 'mod'" in ended.detail


@pytest.mark.parametrize(
    ("name", "args", "code"),
    [
        ("crash", (), 139),
        ("leave", (3,), 3),
        ("leave", (0,), 1),
        ("quit", (4,), 4),
        ("quit", (0,), 1),
    ],
)
async def test_only_a_return_is_success(
    start: StartWorker, do: Caller, name: str, args: tuple[int, ...], code: int
) -> None:
    running = await start(slots=1)
    ended = await do(name, *args)
    assert (ended.exit_code, ended.cause) == (code, "")
    assert ended.detail
    if name == "crash":
        assert log_text(running, do.last) == "so far\n"
    assert await do.value("add", 1, 1) == 2


async def test_a_crash_fails_no_other_call(start: StartWorker, do: Caller, tmp_path: Path) -> None:
    await start(slots=2)
    flag = tmp_path / "flag"
    sleeper = do.give("sleep", str(flag))
    await until(lambda: flag.exists() and flag.read_text())
    assert (await do("crash")).exit_code == 139
    assert is_alive(int(flag.read_text()))
    assert do.master.result(sleeper) is None
    assert await do.value("add", 1, 1) == 2


@pytest.mark.parametrize("name", ["garble", "deafen"])
async def test_a_process_that_breaks_its_link_is_ended(
    start: StartWorker, do: Caller, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crews, "_SWEEP_S", 0.05)
    await start(slots=1)
    ended = await do(name)
    assert ended.exit_code == 128 + signal.SIGKILL
    assert "in the middle of the call" in ended.detail
    assert await do.value("add", 1, 1) == 2


async def test_a_fork_that_returns_answers_for_nothing(start: StartWorker, do: Caller) -> None:
    await start(slots=1)
    pid = (await do.value("count"))[0]
    assert await do.value("fork") == pid
    assert await do.value("count") == (pid, 2)


async def test_a_time_out_ends_the_process_with_its_children(
    start: StartWorker, do: Caller, tmp_path: Path
) -> None:
    await start(slots=1)
    assert await do.value("add", 1, 1) == 2
    flag = tmp_path / "flag"
    ended = await do("parent", str(flag), spec={"timeout_ms": 400})
    assert (ended.cause, ended.exit_code) == ("timeout", 128 + signal.SIGTERM)
    await until(lambda: not any(map(is_alive, map(int, flag.read_text().split()))))
    assert await do.value("add", 1, 1) == 2


async def test_a_kill_ends_even_a_function_that_ignores_it(
    master: FakeMaster, start: StartWorker, do: Caller, tmp_path: Path
) -> None:
    await start(slots=1)
    flag = tmp_path / "flag"
    attempt = do.give("stubborn", str(flag))
    await until(lambda: flag.exists() and flag.read_text())
    pid = int(flag.read_text())
    master.say(KillAttempt(attempt=attempt, epoch=1, reason="cancelled"))
    await until(lambda: not is_alive(pid))
    assert await do.value("add", 1, 1) == 2
    assert master.result(attempt) is None


async def test_the_worker_leaves_no_function_process(
    start: StartWorker, do: Caller, tmp_path: Path
) -> None:
    running = await start(slots=2)
    idle = (await do.value("count"))[0]
    flag = tmp_path / "flag"
    do.give("sleep", str(flag))
    await until(lambda: flag.exists() and flag.read_text())
    await running.stop()
    assert not is_alive(idle)
    assert not is_alive(int(flag.read_text()))


async def test_results_of_parents_are_given_as_values(
    master: FakeMaster, start: StartWorker, do: Caller
) -> None:
    await start(slots=1)
    one = call("total", [Ref(0), Ref(1), 4], inputs=("a", "b"))
    master.say(order(1, call=one, bundle=do.digest, results=(b"1", b"2")))
    assert decode_result((await result(master, 1)).output) == 7
    master.say(order(2, call=one, bundle=do.digest, results=()))
    ended = await result(master, 2)
    assert ended.cause == "start_failed"
    assert "take more than" in ended.detail


async def test_wrong_arguments_and_results_are_told_by_name(start: StartWorker, do: Caller) -> None:
    await start(slots=1)
    ended = await do("add", "one")
    assert ended.detail == "TypeError: argument 'x' of add: Expected `int`, got `str`"
    ended = await do("thing")
    assert "the result of thing cannot be kept" in ended.detail


async def test_pickles_are_decoded_by_the_task_that_chose_them_only(
    master: FakeMaster, start: StartWorker, do: Caller
) -> None:
    await start(slots=1)
    data = call_pickles.dumps(([complex(1, 2), 3], {}), "x")
    one = Call(module="mod", name="add", args=data, serializer="pickle")
    master.say(order(1, call=one, bundle=do.digest))
    pickled = (await result(master, 1)).output
    assert call_pickles.load_result(pickled) == 4 + 2j
    taker = call("total", [Ref(0)], inputs=("a",))
    master.say(order(2, call=taker, bundle=do.digest, results=(pickled,)))
    assert "give this task serializer='pickle' too" in (await result(master, 2)).detail


async def test_a_process_that_has_grown_is_replaced(
    start: StartWorker, do: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    await start(slots=1)
    pids = [await do.value("grow") for _ in range(12)]
    assert len(set(pids)) == 2
    assert pids == sorted(pids, key=pids.index)
    await until(lambda: not is_alive(pids[0]))


async def test_an_idle_process_goes(
    start: StartWorker, do: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crews, "CALL_PROCESS_IDLE_S", 0.0)
    monkeypatch.setattr(crews, "_SWEEP_S", 0.05)
    await start(slots=1)
    pid, _ = await do.value("count")
    await until(lambda: not is_alive(pid))
    assert (await do.value("count"))[1] == 1


@pytest.mark.parametrize("how", [{"isolated": True}, {"spec": {"resources": {"memory_mb": 300}}}])
async def test_an_isolated_call_shares_nothing(
    start: StartWorker, do: Caller, how: dict[str, Any]
) -> None:
    running = await start(slots=1)
    assert (await do.value("count", **how))[1] == 1
    assert (await do.value("count", **how))[1] == 1
    ended = await do("fail", "alone", **how)
    assert ended.exit_code == 1
    text = log_text(running, do.last)
    assert text.endswith("ValueError: alone\n")
    assert "titan/" not in text
    assert await do.value("add", 1, 2, **how) == 3


async def test_a_script_is_imported_by_its_path(master: FakeMaster, start: StartWorker) -> None:
    await start(slots=1)
    script = "def where() -> str:\n    return __name__\nif __name__ == '__main__':\n    boom()\n"
    digest = bundle(master, run_py=script)
    one = call("where", module="__titan_main__", path="run.py")
    master.say(order(1, call=one, bundle=digest))
    assert decode_result((await result(master, 1)).output) == "__titan_main__"


async def test_the_warden_gives_each_process_its_own_end_of_a_socket(
    start: StartWorker, do: Caller
) -> None:
    running: Running = await start(slots=4)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(6):
        await do("leave", 9)
    await do.value("add", 1, 1)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 4
    assert not list((running.data / "private" / "calls").glob("*.1"))


def test_a_traceback_without_frames_of_ours_stays_whole() -> None:
    try:
        raise KeyError("x")
    except KeyError as error:
        code, said = host._report(error)
    assert (code, said) == (1, "KeyError: 'x'")


async def test_a_python_that_cannot_use_what_is_lent_says_what_it_lacks(
    master: FakeMaster, start: StartWorker, do: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "LIBRARY", "/nowhere")
    monkeypatch.setattr(starting, "PACKAGE_ROOT", PACKAGE_ROOT + "/.")  # not where this one has it
    running = await start(slots=1)
    bare = do.give("add", 1, spec={"python": sys.base_prefix + "/bin/python3", "retries": 0})
    assert (await result(master, bare)).exit_code == 1
    assert "add 'msgspec' and 'pathspec' to what is installed in it" in log_text(running, bare)
