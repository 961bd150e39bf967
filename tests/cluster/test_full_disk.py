"""A full disk: writes are refused, reads go on, nothing is damaged, and space makes it well again."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster, titan
from titan.limits import DISK_RESERVE_BYTES, MIB

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with little more than the reserve; needs the right to mount."""
    place = tmp_path / "disk"
    place.mkdir()
    size = f"size={DISK_RESERVE_BYTES // MIB + 60}m"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount: {mounted.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


async def test_a_full_disk_refuses_writes_until_there_is_space_again(small_disk: Path) -> None:
    cluster = Cluster(small_disk / "cluster", masters=1, workers=0, slots=1)
    filler = small_disk / "filler"
    masters = ["--masters", cluster.addresses[0]]
    try:
        await cluster.start()
        await cluster.client.store_put("before", "kept")
        with filler.open("wb") as file:
            for _ in range(55):
                file.write(bytes(MIB))

        async def refused() -> tuple[int, str]:
            code, _, err = await titan("store", "set", "during", "x", *masters, timeout_s=60)
            return code, err

        code, err = await cluster.wait_until(refused, lambda said: said[0] != 0, timeout_s=60)
        assert code == 69, err
        assert "Traceback" not in err
        assert (await titan("store", "get", "before", *masters))[1] == "kept\n"
        filler.unlink()

        async def accepted() -> int:
            return (await titan("store", "set", "after", "x", *masters, timeout_s=60))[0]

        await cluster.wait_until(accepted, lambda code: code == 0, timeout_s=60)
        master = cluster.masters[0]
        master.kill()
        master.start()
        assert await cluster.client.store_get("before") == "kept"
        assert await cluster.client.store_get("after") == "x"
    finally:
        cluster.show_logs()
        await cluster.stop()
