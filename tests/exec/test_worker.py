"""A whole worker against a master over real sockets, with real processes."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path

import pytest

from tests.exec.fake_master import FakeMaster, read_log
from tests.exec.running import Running, StartWorker, bundle, log_text, result
from tests.exec.support import RUN, is_alive, order, until
from titan.errors import Conflict, Fatal, NotFound, UserError
from titan.exec import session as session_module
from titan.exec.attempt import Phase
from titan.exec.config import WorkerConfig
from titan.exec.worker import Worker
from titan.wire.messages import (
    Confirmed,
    KillAttempt,
    LeaveNow,
    LogEnd,
    ReadLog,
    Retract,
)

# --- running ------------------------------------------------------------------------------------


async def test_it_registers_with_what_it_offers_and_beats(
    master: FakeMaster, start: StartWorker
) -> None:
    await start(capabilities=("GPU",), slots=3, resources={"gpus": 2, "memory_mb": 7})
    (register,) = master.registers
    assert register.capabilities[:2] == ("GENERAL", "GPU")
    assert register.slots == 3
    assert register.resources["gpus"] == 2
    assert register.resources["memory_mb"] == 7
    assert register.resources["cpu_milli"] >= 1000
    await until(lambda: len(master.beats) >= 3)
    assert master.beats[-1].memory_free_mb > 0


async def test_jobs_run_and_their_results_and_output_come_back(
    master: FakeMaster, start: StartWorker
) -> None:
    running = await start()
    line = b'echo "$1 $TITAN_JOB_ID $TITAN_ATTEMPT"; echo -n 42 > "$TITAN_OUTPUT"; exit 3'
    master.say(order(1, shell=line, args=(b"hi|;",)))
    ended = await result(master, 1)
    assert (ended.exit_code, ended.cause, ended.output) == (3, "", b"42")
    assert ended.duration_us > 0
    assert log_text(running, 1) == "hi|; job1 1\n"
    assert ended.log_bytes == len("hi|; job1 1\n")
    await until(lambda: not [p for p in (running.data / "work").rglob("*") if p.is_file()])


async def test_hundreds_of_jobs_all_end_once(master: FakeMaster, start: StartWorker) -> None:
    await start(slots=4)
    for attempt in range(1, 31):
        master.say(order(attempt, argv=(b"true",)))
    await until(lambda: len(master.results) == 30, last=lambda: len(master.results))
    assert {r.attempt for r in master.results} == set(range(1, 31))
    assert {(r.exit_code, r.detail) for r in master.results} == {(0, "")}


async def test_python_and_shell_files_run_inside_a_private_copy_of_the_bundle(
    master: FakeMaster, start: StartWorker
) -> None:
    running = await start()
    digest = bundle(master, a_py="import b; open('b.py', 'a').write('#'); print(b.x)", b_py="x = 7")
    for attempt in (1, 2):
        master.say(order(attempt, file="a.py", bundle=digest))
        assert (await result(master, attempt)).exit_code == 0
        assert log_text(running, attempt) == "7\n"
    cached = running.data / "bundles" / digest / "files" / "b.py"
    assert cached.read_text() == "x = 7"
    assert master.fetches == [0]


async def test_concurrent_jobs_fetch_a_bundle_once_and_resume_after_a_break(
    master: FakeMaster, start: StartWorker
) -> None:
    await start()
    digest = bundle(master, a_sh="exit 5", data_bin=os.urandom(40_000).hex())
    master.blob_cut_bytes = 10_000
    for attempt in (1, 2):
        master.say(order(attempt, file="a.sh", bundle=digest))
    assert [(await result(master, n)).exit_code for n in (1, 2)] == [5, 5]
    assert len(master.fetches) == 2
    assert 0 < master.fetches[1] <= 10_000


async def test_bundles_that_are_missing_damaged_or_unsafe_fail_the_start_with_the_reason(
    master: FakeMaster, start: StartWorker
) -> None:
    await start()
    wrong, unsafe = "1" * 64, hashlib.sha256(b"garbage").hexdigest()
    master.blobs[wrong] = b"something else"
    master.blobs[unsafe] = b"garbage"
    good = bundle(master, a_sh="")
    reasons = {}
    for attempt, digest in enumerate(("0" * 64, wrong, unsafe, good), start=1):
        master.say(order(attempt, file="nothere.sh", bundle=digest))
        ended = await result(master, attempt)
        assert (ended.exit_code, ended.cause) == (-1, "start_failed")
        reasons[attempt] = ended.detail
    assert "does not hold bundle" in reasons[1]
    assert "SHA-256" in reasons[2]
    assert "damaged" in reasons[3]
    assert "'nothere.sh'" in reasons[4]
    assert "a.sh" in reasons[4]


async def test_a_time_out_kills_grandchildren_too(master: FakeMaster, start: StartWorker) -> None:
    running = await start()
    line = b"trap '' TERM; (trap '' TERM; sleep 1000) & echo $!; wait; sleep 1000"
    master.say(order(1, shell=line, timeout_ms=300))
    ended = await result(master, 1)
    assert (ended.exit_code, ended.cause) == (137, "timeout")
    grandchild = int(log_text(running, 1))
    await until(lambda: not is_alive(grandchild))


async def test_endless_output_is_stopped(master: FakeMaster, start: StartWorker) -> None:
    await start(output_bytes_max=100_000)
    master.say(order(1, argv=(b"yes",)))
    ended = await result(master, 1)
    assert ended.cause == "output_limit"
    assert ended.exit_code == 143


async def test_a_cancelled_attempt_is_killed_silently_and_its_slot_is_free(
    master: FakeMaster, start: StartWorker
) -> None:
    await start(slots=1)
    master.say(order(1, argv=(b"sleep", b"1000")))
    master.say(order(2, argv=(b"true",)))
    await until(lambda: any(1 in beat.started for beat in master.beats))
    master.say(KillAttempt(attempt=1, epoch=1, reason="cancelled"))
    assert (await result(master, 2)).exit_code == 0
    assert master.result(1) is None


async def test_a_queued_attempt_is_given_back(master: FakeMaster, start: StartWorker) -> None:
    await start(slots=1)
    master.say(order(1, argv=(b"sleep", b"1000")))
    master.say(order(2, argv=(b"true",)))
    for attempt in (1, 2):
        master.say(Retract(attempt=attempt, epoch=1))
    await until(lambda: master.released)
    assert master.released == [2]


# --- the session --------------------------------------------------------------------------------


async def test_it_follows_a_redirect_to_the_leader(master: FakeMaster, start: StartWorker) -> None:
    follower = FakeMaster()
    follower.leads, follower.leader = False, master.address
    await follower.open()
    await start(masters=(follower.address,))
    assert follower.hellos >= 1
    assert len(master.registers) == 1
    await follower.close()


async def test_masters_that_disagree_about_the_leader_do_not_hold_it_up(
    master: FakeMaster, start: StartWorker
) -> None:
    one, two = FakeMaster(), FakeMaster()
    for fake in (one, two):
        fake.leads = False
        await fake.open()
    one.leader, two.leader = two.address, one.address
    await start(masters=(one.address, two.address, "127.0.0.1:1", master.address))
    assert len(master.registers) == 1
    for fake in (one, two):
        await fake.close()


async def test_a_running_attempt_outlives_a_lost_connection(
    master: FakeMaster, start: StartWorker
) -> None:
    running = await start()
    master.say(order(1, shell=b"echo $$ $PWD; while [ ! -e go ]; do sleep 0.02; done; exit 6"))
    pid, cwd = (await until(lambda: log_text(running, 1))).split()
    master.cut()
    await until(lambda: len(master.registers) == 2)
    assert master.registers[1].holds == (1,)
    assert master.registers[1].incarnation == master.registers[0].incarnation
    await until(lambda: len(master.beats) > 3)
    assert is_alive(int(pid))
    (Path(cwd) / "go").touch()
    assert (await result(master, 1)).exit_code == 6


async def test_a_result_is_repeated_until_it_is_confirmed(
    master: FakeMaster, start: StartWorker
) -> None:
    running = await start()
    master.confirms = False
    master.say(order(1, argv=(b"true",)))
    await result(master, 1)
    master.cut()
    await until(lambda: len(master.results) == 2)
    assert master.registers[1].holds == (1,)
    await running.cancel()
    await start(data_dir=running.data)  # a new life with the same data
    assert master.registers[2].worker == master.registers[0].worker
    assert master.registers[2].incarnation != master.registers[0].incarnation
    assert master.registers[2].holds == (1,)
    await until(lambda: len(master.results) == 3)
    assert len(set(master.results)) == 1
    master.say(Confirmed(attempts=(1,)))
    master.say(order(1, argv=(b"true",)))  # a late repeat
    master.say(order(2, argv=(b"true",)))
    await result(master, 2)
    master.cut()
    await until(lambda: len(master.registers) == 4)
    assert master.registers[3].holds in ((), (2,))
    assert sum(r.attempt == 1 for r in master.results) == 3


async def test_what_the_new_leader_does_not_know_is_killed(
    master: FakeMaster, start: StartWorker
) -> None:
    running = await start()
    for attempt in (1, 2):
        master.say(order(attempt, shell=b"echo $$; sleep 1000"))
    first, second = [int(await until(lambda n=n: log_text(running, n))) for n in (1, 2)]  # type: ignore[misc]
    master.live, master.epoch = [2], 2
    master.cut()
    await until(lambda: not is_alive(first))
    assert is_alive(second)
    assert not master.results


async def test_an_order_in_the_packet_of_the_registration_is_not_taken_for_an_old_one(
    master: FakeMaster, start: StartWorker
) -> None:
    master.live, master.at_once = [], [order(1, argv=(b"true",))]
    await start()
    assert (await result(master, 1)).exit_code == 0


async def test_a_session_that_is_closed_ends_without_being_cancelled(
    master: FakeMaster, start: StartWorker
) -> None:
    """A cancellation may get lost in the moment in which a connection is made."""
    running = await start()
    session = running.worker._session
    another = asyncio.create_task(session.run(), name="session that nobody cancels")
    await until(lambda: len(master.registers) == 2)
    session.close()
    await asyncio.wait_for(another, 10)
    await asyncio.wait_for(running.task, 10)


async def test_a_leader_of_an_older_epoch_is_left(master: FakeMaster, start: StartWorker) -> None:
    master.epoch = 5
    await start()
    master.epoch = 4
    master.cut()
    await until(lambda: len(master.registers) >= 3)
    assert master.registers[-1].epoch_seen == 5
    master.epoch = 5
    before = len(master.beats)
    await until(lambda: len(master.beats) > before + 3)


async def test_a_worker_whose_id_is_taken_gives_up_with_the_reason(
    master: FakeMaster, start: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "_CONFLICTS_MAX", 3)
    master.refusal = Conflict("connected elsewhere")
    running = await start()
    with pytest.raises(Fatal, match="another worker uses the id w-"):
        await running.task
    assert len(master.registers) == 3


async def test_a_worker_whose_launch_is_over_leaves_at_once(
    master: FakeMaster, start: StartWorker
) -> None:
    master.refusal = Conflict("launch l-1 has its worker already", reason="launch_over")
    running = await start(launch="l-1", ephemeral=True)
    with pytest.raises(Fatal, match="has its worker already"):
        await running.task
    (register,) = master.registers
    assert (register.launch, register.ephemeral) == ("l-1", True)


async def test_an_ephemeral_worker_without_a_leader_leaves_once_it_has_nothing_to_do(
    master: FakeMaster, start: StartWorker, tmp_path: Path
) -> None:
    running = await start(ephemeral=True, orphan_ms=100)
    go = tmp_path / "go"
    line = b"while [ ! -e %s ]; do sleep 0.02; done" % str(go).encode()
    master.say(order(1, shell=line))
    await until(lambda: running.worker._core.phase(1) is Phase.RUNNING)
    await master.close()
    done, _ = await asyncio.wait({running.task}, timeout=0.5)  # five times its patience
    assert not done
    go.touch()
    await asyncio.wait_for(running.task, 20)


async def test_a_data_directory_in_use_is_refused(master: FakeMaster, start: StartWorker) -> None:
    running = await start()
    second = Worker(WorkerConfig(masters=(master.address,), data_dir=running.data))
    with pytest.raises(Fatal, match="another running worker"):
        await second.run()


def test_a_worker_needs_a_master_slots_and_sound_tags(tmp_path: Path) -> None:
    for wrong in ({"masters": ()}, {"slots": 0}, {"capabilities": ("a,b",)}):
        with pytest.raises(UserError):
            WorkerConfig(**{"masters": ("a:1",), "data_dir": tmp_path, **wrong})  # type: ignore[arg-type]


# --- leaving ------------------------------------------------------------------------------------


async def test_a_drained_worker_finishes_says_goodbye_and_ends(
    master: FakeMaster, start: StartWorker
) -> None:
    running = await start(slots=1)
    master.say(order(1, shell=b"echo $PWD; while [ ! -e go ]; do sleep 0.02; done; exit 4"))
    master.say(order(2, argv=(b"true",)))
    cwd = (await until(lambda: log_text(running, 1))).strip()
    master.say(LeaveNow(drain=True))
    await until(lambda: master.released == [2])
    assert not running.task.done()
    (Path(cwd) / "go").touch()
    await asyncio.wait_for(running.task, 20)
    assert master.result(1).exit_code == 4  # type: ignore[union-attr]
    await until(lambda: master.goodbyes == 1)


@pytest.mark.parametrize("how", ["stop", "cancel"])
async def test_nothing_is_left_running_when_it_stops(
    master: FakeMaster, start: StartWorker, how: str
) -> None:
    running = await start()
    master.say(order(1, shell=b"trap '' TERM; setsid sleep 1000 & echo $$ $!; sleep 1000"))
    pids = [int(word) for word in (await until(lambda: log_text(running, 1))).split()]
    await (running.stop() if how == "stop" else running.cancel())
    assert not any(map(is_alive, pids))
    if how == "stop":
        await until(lambda: master.goodbyes == 1)
    assert not master.results


async def test_an_unreachable_cluster_does_not_hold_up_a_stop(tmp_path: Path) -> None:
    worker = Worker(WorkerConfig(masters=("127.0.0.1:1",), data_dir=tmp_path / "data"))
    running = Running(worker, tmp_path / "data")
    await until((tmp_path / "data" / "worker-id").exists)
    await running.stop()


async def test_the_death_of_the_warden_ends_the_worker(
    master: FakeMaster, start: StartWorker
) -> None:
    running = await start()
    os.kill(running.worker._runner._warden.pid, 9)  # no public way to hurt it
    with pytest.raises(Fatal, match="warden died"):
        await asyncio.wait_for(running.task, 20)


# --- logs ---------------------------------------------------------------------------------------


async def test_a_log_is_followed_until_the_attempt_has_ended(
    master: FakeMaster, start: StartWorker
) -> None:
    await start(slots=1)
    line = b"for i in 1 2 3; do echo line $i; sleep 0.05; done"
    master.say(order(1, shell=b"sleep 0.1"))
    master.say(order(2, shell=line))
    await until(lambda: any(1 in beat.started for beat in master.beats))
    request = ReadLog(run=RUN, job="job2", attempt=2, follow=True)  # type: ignore[arg-type]
    data, end = await asyncio.wait_for(read_log(master, request), 20)
    assert data == b"line 1\nline 2\nline 3\n"
    assert end == LogEnd(attempt=2, size=21)  # type: ignore[arg-type]


async def test_a_log_is_read_from_an_offset_and_the_newest_attempt_by_default(
    master: FakeMaster, start: StartWorker
) -> None:
    await start()
    for attempt in (1, 12):
        master.say(order(attempt, id="job", shell=b"echo attempt $TITAN_ATTEMPT"))
        await result(master, attempt)
    request = ReadLog(run=RUN, job="job", offset=8)  # type: ignore[arg-type]
    assert await read_log(master, request) == (b"12\n", LogEnd(attempt=12, size=11))  # type: ignore[arg-type]
    for missing in (ReadLog(run=RUN, job="other"), ReadLog(run="../..", job="job")):  # type: ignore[arg-type]
        with pytest.raises(NotFound):
            await read_log(master, missing)


async def test_a_large_log_is_read_whole_while_the_worker_keeps_beating(
    master: FakeMaster, start: StartWorker
) -> None:
    await start()
    size = 64 * 1024 * 1024
    master.say(order(1, shell=b"head -c %d /dev/zero" % size))
    ended = await result(master, 1)
    assert ended.log_bytes == size
    before = len(master.beats)
    request = ReadLog(run=RUN, job="job1", attempt=1)  # type: ignore[arg-type]
    data, end = await read_log(master, request)
    assert len(data) == end.size == size
    assert len(master.beats) > before
