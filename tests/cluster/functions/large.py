"""Calls with values that no message can hold."""

from __future__ import annotations

import os
import time
from pathlib import Path

from titan.sdk import current, pipeline, task


def turned(data: bytes, by: int) -> bytes:
    """Another value of the same length."""
    return data.translate(bytes((n + by) % 256 for n in range(256)))


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} does not come"
        time.sleep(0.01)


@task
def turn(data: bytes, by: int) -> bytes:
    return turned(data, by)


@task(isolated=True)
def turn_alone(data: bytes, by: int) -> bytes:
    return turned(data, by)


@task(serializer="pickle")
def turn_pickled(data: bytearray, by: int) -> bytearray:
    return bytearray(turned(bytes(data), by))


@task
def hold(data: bytes, folder: str) -> bytes:
    """Says that it runs; ends when it is told to, with the number of its attempt at the end."""
    number = os.environ["TITAN_ATTEMPT_NUMBER"]
    (Path(folder) / f"started-{number}").touch()
    wait_for(Path(folder) / f"go-{number}")
    (Path(folder) / f"ended-{number}").touch()
    return data + number.encode()


@task
def put_out(size: int) -> str:
    current().set_output("y" * size)
    return "not this"


@task
def spread(data: bytes) -> list[str]:
    """Gives children of its own a large argument."""
    with pipeline("children") as p:
        turn(data, 1)
    p.submit()
    return list(p.nodes)
