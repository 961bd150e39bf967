"""Results outlive the worker: the file of unconfirmed results under every kind of damage."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from titan.errors import Fatal
from titan.exec.datadir import DataDir
from titan.exec.outbox import Outbox
from titan.wire.messages import AttemptEnded


def ended(attempt: int, **fields: object) -> AttemptEnded:
    return AttemptEnded(attempt=attempt, exit_code=attempt % 3, detail=f"d{attempt}", **fields)  # type: ignore[arg-type]


def contents(path: Path) -> list[AttemptEnded]:
    outbox = Outbox(path)
    found = list(outbox)
    outbox.close()
    return found


def filled(path: Path, attempts: range, *, removed: tuple[int, ...] = ()) -> None:
    outbox = Outbox(path)
    for attempt in attempts:
        outbox.add(ended(attempt))
    outbox.remove(removed)
    outbox.close()


def test_results_come_back_in_order_without_the_confirmed_ones(tmp_path: Path) -> None:
    filled(tmp_path / "outbox", range(5), removed=(1, 3, 77))
    assert contents(tmp_path / "outbox") == [ended(0), ended(2), ended(4)]


def test_every_cut_leaves_a_sound_beginning(tmp_path: Path) -> None:
    path = tmp_path / "outbox"
    filled(path, range(4))
    whole = path.read_bytes()
    seen = set()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        found = contents(path)
        assert found == [ended(n) for n in range(len(found))]
        seen.add(len(found))
    assert seen == {0, 1, 2, 3}


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_flipped_bit_never_makes_up_a_result(
    tmp_path_factory: pytest.TempPathFactory, at: int, bit: int
) -> None:
    path = tmp_path_factory.mktemp("flip") / "outbox"
    filled(path, range(4))
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= 1 << bit
    path.write_bytes(data)
    found = contents(path)
    assert found == [ended(n) for n in range(len(found))]
    assert len(found) < 4


def test_after_damage_new_results_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "outbox"
    filled(path, range(2))
    with path.open("ab") as file:
        file.write(b"\x10\0\0\0torn")
    filled(path, range(5, 6))
    assert contents(path) == [ended(0), ended(1), ended(5)]


def test_the_file_shrinks_once_most_of_it_is_confirmed(tmp_path: Path) -> None:
    path = tmp_path / "outbox"
    outbox = Outbox(path)
    for attempt in range(100):
        outbox.add(ended(attempt, output=b"x" * 20_000))
    assert path.stat().st_size > 2_000_000
    outbox.remove(range(95))
    assert path.stat().st_size < 120_000
    outbox.add(ended(100))
    outbox.close()
    assert [result.attempt for result in contents(path)] == [95, 96, 97, 98, 99, 100]


WRITER = """
import sys
from pathlib import Path
from titan.exec.outbox import Outbox
from titan.wire.messages import AttemptEnded
outbox = Outbox(Path(sys.argv[1]))
for attempt in range(1_000_000):
    outbox.add(AttemptEnded(attempt=attempt, exit_code=0, output=b"x" * 1000))
    if attempt % 3 == 0:
        outbox.remove([attempt])
    print(attempt, flush=True)
"""


def test_what_was_kept_before_a_sigkill_is_there_after_it(tmp_path: Path) -> None:
    path = tmp_path / "outbox"
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        for _ in range(3000):
            last = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
    found = [result.attempt for result in contents(path)]
    expected = [n for n in range(last + 1) if n % 3]
    assert found[: len(expected)] == expected


def test_a_full_disk_keeps_the_result_in_memory_and_the_file_sound(tmp_path: Path) -> None:
    code = f"""
import resource, signal
from pathlib import Path
from titan.exec.outbox import Outbox
from titan.wire.messages import AttemptEnded
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
outbox = Outbox(Path({str(tmp_path / "outbox")!r}))
outbox.add(AttemptEnded(attempt=1, exit_code=0))
resource.setrlimit(resource.RLIMIT_FSIZE, (200, resource.RLIM_INFINITY))
try:
    outbox.add(AttemptEnded(attempt=2, exit_code=0, output=b"x" * 1000))
except OSError:
    print(outbox.attempts)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
outbox.add(AttemptEnded(attempt=3, exit_code=0))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "(1, 2)\n"
    assert [result.attempt for result in contents(tmp_path / "outbox")] == [1, 3]


def test_a_data_directory_serves_one_worker_and_keeps_its_id(tmp_path: Path) -> None:
    first = DataDir(tmp_path)
    with pytest.raises(Fatal, match=f"another running worker .process {os.getpid()}"):
        DataDir(tmp_path)
    first.close()
    second = DataDir(tmp_path)
    assert second.worker == first.worker
    second.close()
