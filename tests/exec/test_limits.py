"""What a job may take of its worker, enforced; and that an end for want of memory is called one."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from tests.exec.engines import needs_bubblewrap
from tests.exec.fake_master import FakeMaster
from tests.exec.running import Running, StartWorker, bundle, log_text, result
from tests.exec.support import order, until
from titan.exec.isolation import limits as limits_module
from titan.exec.isolation.cgroups import open_cgroups
from titan.exec.isolation.limits import Limits, rlimits_of
from titan.limits import MIB
from titan.spec.model import JobSpec

pytestmark = pytest.mark.timeout(60)

_PROBE = open_cgroups("w-probe")
_PROBE.close()


def needs(controller: str) -> pytest.MarkDecorator:
    why = _PROBE.missing.get(controller, "")
    return pytest.mark.skipif(bool(why), reason=f"no control group for {controller}: {why}")


every_fence = pytest.mark.parametrize(
    "isolation", ["process", pytest.param("sandbox", marks=needs_bubblewrap)]
)
HOG = """
import sys
held = []
for n in range(400):
    held.append(bytearray(1024 * 1024))
print("kept", len(held))
"""
FILES = """
import resource
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@needs("memory")
@every_fence
async def test_a_job_that_takes_too_much_memory_ends_as_out_of_memory(
    master: FakeMaster, start: StartWorker, isolation: str
) -> None:
    running = await start()
    digest = bundle(master, hog_py=HOG)
    resources = {"memory_mb": 64}
    master.say(order(1, file="hog.py", bundle=digest, isolation=isolation, resources=resources))
    ended = await result(master, 1)
    assert (ended.exit_code, ended.cause) == (137, "out_of_memory"), log_text(running, 1)
    assert "its limit is 64 MiB; it had 6" in ended.detail
    assert "kept" not in log_text(running, 1)


@needs("memory")
async def test_a_warm_python_has_the_limits_of_its_job(
    master: FakeMaster, start: StartWorker
) -> None:
    running = await start()
    digest = bundle(master, hog_py=HOG, files_py=FILES)
    attempt = 0
    while running.worker._runner._warden.warm_starts < 2:
        attempt += 1
        assert attempt < 100, "no job was warm"
        limits = {"open_files": 99}
        master.say(order(attempt, file="files.py", bundle=digest, limits=limits))
        assert (await result(master, attempt)).exit_code == 0
        assert log_text(running, attempt) == "99 99\n"
    before = running.worker._runner._warden.warm_starts
    master.say(order(attempt + 1, file="hog.py", bundle=digest, resources={"memory_mb": 64}))
    ended = await result(master, attempt + 1)
    assert ended.cause == "out_of_memory"
    assert running.worker._runner._warden.warm_starts == before + 1


@needs("memory")
async def test_a_job_that_survives_the_loss_of_a_child_is_judged_by_its_own_end(
    master: FakeMaster, start: StartWorker
) -> None:
    running = await start()
    digest = bundle(master, hog_py=HOG)
    line = b"python3 hog.py || echo lost a child"
    master.say(order(1, shell=line, bundle=digest, resources={"memory_mb": 64}))
    ended = await result(master, 1)
    assert (ended.exit_code, ended.cause) == (0, "")
    assert "lost a child" in log_text(running, 1)


@every_fence
async def test_open_files_are_limited_for_good(
    master: FakeMaster, start: StartWorker, isolation: str
) -> None:
    running = await start()
    line = b"ulimit -Sn; ulimit -Hn"
    master.say(order(1, shell=line, isolation=isolation, limits={"open_files": 64}))
    assert (await result(master, 1)).exit_code == 0
    assert log_text(running, 1) == "64\n64\n"


async def test_a_limit_that_the_worker_may_not_give_fails_before_the_start(
    master: FakeMaster, start: StartWorker
) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY:
        pytest.skip("this machine gives any number of open files")
    await start()
    master.say(order(1, limits={"open_files": hard + 1}))
    ended = await result(master, 1)
    assert ended.cause == "not_prepared"
    assert f"may give {hard}" in ended.detail


@needs("cpu")
async def test_a_share_of_a_cpu_is_no_more_than_that(
    master: FakeMaster, start: StartWorker
) -> None:
    """What the kernel says about throttling, since times are no proof on a busy machine."""
    running = await start()
    master.say(order(1, shell=b"while :; do :; done", resources={"cpu_milli": 100}))
    await until(lambda: running.worker._runner.running)
    place = _PROBE._places["cpu"]
    stat = place.folder.with_name(f"titan-{running.worker._data.worker}") / "1" / "cpu.stat"

    def throttled() -> int:
        words = stat.read_text().split()
        return int(words[words.index("nr_throttled") + 1])

    await until(lambda: throttled() >= 2, last=stat.read_text)
    await running.cancel()
    assert not stat.parent.parent.exists()


@needs("pids")
async def test_a_job_cannot_start_more_processes_than_it_may(
    master: FakeMaster, start: StartWorker
) -> None:
    running = await start()
    line = b"for n in 1 2 3 4 5 6 7 8 9; do sleep 30 & done"
    master.say(order(1, shell=line, limits={"processes": 5}))
    ended = await result(master, 1)
    assert ended.exit_code != 0
    assert "fork" in log_text(running, 1)


async def test_output_beyond_the_jobs_own_limit_ends_it(
    master: FakeMaster, start: StartWorker
) -> None:
    await start()
    master.say(order(1, argv=(b"yes",), limits={"output_mb": 1}))
    ended = await result(master, 1)
    assert ended.cause == "output_limit"
    assert "its limit of 1 MiB" in ended.detail
    assert ended.log_bytes > MIB


async def test_a_limited_program_that_cannot_be_executed_says_why(
    master: FakeMaster, start: StartWorker, tmp_path: Path
) -> None:
    await start()
    program = tmp_path / "a"
    program.write_text("#!/nowhere/at/all\n")
    program.chmod(0o755)
    master.say(order(1, argv=(bytes(program),), limits={"open_files": 50}))
    ended = await result(master, 1)
    assert ended.cause == "start_failed"
    assert "No such file or directory" in ended.detail


async def test_control_groups_go_with_their_jobs_and_their_worker(
    master: FakeMaster, start: StartWorker
) -> None:
    running = await start()
    folders = _folders_of(running)
    line = b"setsid env -i sleep 30 </dev/null >/dev/null 2>&1 & true"
    for attempt in range(1, 6):
        resources, limits = {"memory_mb": 50, "cpu_milli": 500}, {"processes": 50}
        master.say(order(attempt, shell=line, resources=resources, limits=limits))
        await result(master, attempt)
    await until(lambda: not [p for f in folders for p in f.iterdir() if p.is_dir()])
    await running.stop()
    assert not any(folder.exists() for folder in folders)


def _folders_of(running: Running) -> list[Path]:
    name = f"titan-{running.worker._data.worker}"
    return [place.folder.with_name(name) for place in _PROBE._places.values()]


def test_without_a_memory_group_an_rlimit_takes_its_place() -> None:
    limits = limits_module.limits_of(JobSpec(id="a", resources={"memory_mb": 5}))
    assert rlimits_of(limits, has_memory_cgroup=True) == ()
    assert rlimits_of(limits, has_memory_cgroup=False) == ((resource.RLIMIT_DATA, 5 * MIB),)


# --- the unified hierarchy, on a folder with its files, where the machine has the older one ---------


def _unified(root: Path, *, controllers: str = "cpu memory pids", inside: str = "") -> str:
    own = root / "service"
    own.mkdir(parents=True)
    for folder in (own, own / "titan-w1", own / "titan-w1" / "7", own / "titan-self"):
        folder.mkdir(exist_ok=True)
        for name in ("cgroup.procs", "cgroup.subtree_control", "cpu.max", "memory.max",
                     "memory.swap.max", "memory.oom.group", "pids.max"):  # fmt: skip
            (folder / name).write_text("")
    (own / "cgroup.controllers").write_text(controllers)
    (own / "cgroup.type").write_text("domain\n")
    (own / "cgroup.procs").write_text(inside)
    return f"30 24 0:26 / {root} rw,nosuid - cgroup2 cgroup2 rw\n"


def test_limits_in_the_unified_hierarchy(tmp_path: Path) -> None:
    mounts = _unified(tmp_path, inside="41\n")
    groups = open_cgroups("w1", own="0::/service\n", mounts=mounts, self_pid=41)
    assert groups.missing == {}
    limits = Limits(cpu_milli=1500, memory_mb=3, processes=9)
    group = groups.make("7", limits)
    assert group is not None
    folder = tmp_path / "service" / "titan-w1" / "7"
    assert group.doors == [bytes(folder / "cgroup.procs")]
    assert (tmp_path / "service" / "titan-self" / "cgroup.procs").read_text() == "41"
    written = {name: (folder / name).read_text() for name in ("cpu.max", "memory.max", "pids.max")}
    assert written == {
        "cpu.max": "150000 100000", "memory.max": str(3 * MIB), "pids.max": "9"
    }  # fmt: skip
    (folder / "memory.events").write_text("low 0\nhigh 0\nmax 9\noom 1\noom_kill 2\n")
    (folder / "memory.peak").write_text(str(3 * MIB))
    assert (group.oom_kills(), group.peak_mb()) == (2, 3)


def test_a_control_group_shared_with_others_is_left_alone(tmp_path: Path) -> None:
    mounts = _unified(tmp_path, inside="41\n42\n")
    groups = open_cgroups("w1", own="0::/service\n", mounts=mounts, self_pid=41)
    assert "Delegate=yes" in groups.missing["memory"]
    assert groups.make("7", Limits(memory_mb=3)) is None


def test_a_controller_that_is_not_delegated_is_named(tmp_path: Path) -> None:
    mounts = _unified(tmp_path, controllers="cpu", inside="41\n")
    groups = open_cgroups("w1", own="0::/service\n", mounts=mounts, self_pid=41)
    assert groups.has("cpu")
    assert "memory is not delegated" in groups.missing["memory"]
