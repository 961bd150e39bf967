"""What a worker finds on its machine: control groups and GPUs, from files as the kernel writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from titan.exec import cgroups, gpus, host


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return write(tmp_path / "self", "0::/system.slice/titan.service\n")


def test_the_tightest_limit_on_the_way_up_counts(tmp_path: Path, own: Path) -> None:
    root = tmp_path / "cgroup"
    write(root / "system.slice/titan.service/cpu.max", "max 100000\n")
    write(root / "system.slice/cpu.max", "150000 100000\n")
    write(root / "system.slice/titan.service/memory.max", "1073741824\n")
    write(root / "system.slice/memory.max", "max\n")
    assert cgroups.cpu_limit_milli(root=root, own=own) == 1500
    assert cgroups.memory_limit_bytes(root=root, own=own) == 1 << 30


def test_version_1_has_a_tree_for_each_controller(tmp_path: Path) -> None:
    own = write(tmp_path / "self", "4:memory:/box\n3:cpu,cpuacct:/box\n0::/\n")
    root = tmp_path / "cgroup"
    write(root / "cpu,cpuacct/box/cpu.cfs_quota_us", "50000\n")
    write(root / "cpu,cpuacct/box/cpu.cfs_period_us", "100000\n")
    write(root / "memory/box/memory.limit_in_bytes", "536870912\n")
    write(root / "memory/memory.limit_in_bytes", "9223372036854771712\n")
    assert cgroups.cpu_limit_milli(root=root, own=own) == 500
    assert cgroups.memory_limit_bytes(root=root, own=own) == 512 << 20


def test_inside_a_container_the_root_is_what_counts(tmp_path: Path) -> None:
    own = write(tmp_path / "self", "0::/../../elsewhere\n")
    root = tmp_path / "cgroup"
    write(root / "cpu.max", "200000 100000\n")
    assert cgroups.cpu_limit_milli(root=root, own=own) == 2000


@pytest.mark.parametrize("text", ["max 100000", "-1", "", "nonsense words", "100000 0"])
def test_no_limit_and_nonsense_limit_nothing(tmp_path: Path, own: Path, text: str) -> None:
    write(tmp_path / "cgroup/cpu.max", text)
    assert cgroups.cpu_limit_milli(root=tmp_path / "cgroup", own=own) is None
    assert cgroups.memory_limit_bytes(root=tmp_path / "cgroup", own=tmp_path / "none") is None


def smi(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    file = write(folder / "bin/nvidia-smi", f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{file.parent}:/usr/bin:/bin")


def test_gpus_by_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smi(tmp_path, monkeypatch, "echo 16384; echo 8192")
    assert gpus.detect_gpus() == {"gpus": 2, "gpu_memory_mb": 24_576}


def test_gpus_by_the_driver_and_by_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smi(tmp_path, monkeypatch, "echo 'driver mismatch' >&2; exit 9")
    for name in ("nvidia0", "nvidia1", "nvidia-uvm", "nvidiactl"):
        write(tmp_path / "dev" / name, "")
    nothing = tmp_path / "nothing"
    assert gpus.detect_gpus(proc=nothing, dev=tmp_path / "dev") == {"gpus": 2}
    for bus in ("0000:01:00.0", "0000:02:00.0", "0000:03:00.0"):
        write(tmp_path / "proc/driver/nvidia/gpus" / bus / "information", "")
    assert gpus.detect_gpus(proc=tmp_path / "proc", dev=nothing) == {"gpus": 3}
    assert gpus.detect_gpus(proc=nothing, dev=nothing) == {}


def test_a_driver_that_hangs_does_not_hold_up_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smi(tmp_path, monkeypatch, "exec sleep 60")
    monkeypatch.setattr(gpus, "SMI_TIMEOUT_S", 0.05)
    assert gpus.detect_gpus(proc=tmp_path, dev=tmp_path) == {}


def test_what_is_declared_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smi(tmp_path, monkeypatch, "echo 16384")
    found = host.detect_resources({"cpu_milli": 250, "disk": 7})
    assert (found["cpu_milli"], found["disk"], found["gpus"]) == (250, 7, 1)
    assert host.detect_resources({"gpus": 0})["gpus"] == 0
    assert found["memory_mb"] > 0
    assert host.default_slots() >= 1
