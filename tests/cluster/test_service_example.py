"""The example of a service does what its README says: its commands are run as they stand there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster, titan

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

FOLDER = Path(__file__).parents[2] / "examples/services"


def commands() -> list[tuple[list[str], int]]:
    """Arguments and expected exit code of every line of the README's shell block."""
    (block,) = re.findall(r"```sh\n(.*?)```", (FOLDER / "README.md").read_text(), re.DOTALL)
    found = []
    for line in block.splitlines():
        expected = re.search(r"# exit code (\d+)", line)
        found.append((shlex.split(line, comments=True), int(expected[1]) if expected else 0))
    return found


async def test_the_readme_is_true(single: Cluster) -> None:
    said = []
    for (program, *arguments), expected in commands():
        assert program == "titan"
        if arguments[0] == "logs":
            await single.wait_until(
                lambda: single.client.get_job("call"),
                lambda job: job.state == "COMPLETED",
                timeout_s=15,
            )
        code, out, err = await titan(
            *arguments, cwd=FOLDER, env={"TITAN_MASTERS": ",".join(single.addresses)}
        )
        assert code == expected, (arguments, out, err)
        said.append(out or err)
    first, listed, called, second, broken, after, stopped = said
    address = re.fullmatch(r"hello is healthy at (\S+) \(run r-\w+\)\n", first)
    assert address is not None
    assert address[1] in listed
    assert f"{address[1]} says: hello from version 1" in called
    run_of_second = re.search(r"run (r-\w+)", second)
    assert run_of_second is not None
    assert f"the version of run {run_of_second[1]} stays" in broken
    assert run_of_second[1] in after
    assert stopped == "STOPPED: DAG-hello\n"
