"""User code that type checkers must accept as it is; `test_functions.py` runs mypy --strict over it."""

from __future__ import annotations

from typing import assert_type

from titan.sdk import AsyncClient, CallHandle, Node, Task, TitanClient, pipeline, task


@task
def add(x: int, y: int) -> int:
    return x + y


@task(retries=2, requirement="GPU", isolated=True)
def describe(numbers: list[int], *, label: str = "") -> str:
    return f"{label}{numbers}"


def graph(client: TitanClient) -> str:
    with pipeline("sums") as p:
        a = add(1, 2)
        b = add(a, 3)
        text = describe([a, b], label="sums: ")
        seen = add.node(a, 4)
        describe.options(job_id="last", after=[text])([b])
    assert_type(a, int)
    assert_type(seen, Node[int])
    run = p.submit(client)
    assert_type(run.result(b), int)
    assert_type(run.result(seen, timeout=3), int)
    return run.result(text)


def calls(client: TitanClient) -> int:
    handle = client.submit(add, 1, 2)
    assert_type(handle, CallHandle[int])
    assert_type(client.map(add, [1, 2], [3, 4]), list[int])
    assert_type(client.submit(describe, [1], label="x").result(), str)
    return handle.result(timeout=5)


async def later(client: AsyncClient) -> None:
    await client.submit(add, 1, 2)
    found: list[str] = await client.map(describe, [[1], [2]])
    assert found


def local() -> int:
    assert_type(add(1, 2), int)
    kept: Task[[int, int], int] = add
    return kept(1, 2)
