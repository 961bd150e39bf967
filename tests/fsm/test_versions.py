"""A command is taken only once every master can read it, and a master that cannot says so and stops."""

from __future__ import annotations

import pytest

from tests.fsm.driver import MachineDriver
from titan.errors import Fatal
from titan.fsm import commands
from titan.fsm.commands import KvIncr, KvPut, RaiseVersion
from titan.fsm.machine import Machine


@pytest.fixture(autouse=True)
def this_build_reads_version_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "VERSION", 2)
    monkeypatch.setattr(KvIncr, "since", 2)


def test_a_newer_command_waits_for_the_clusters_version(machine: MachineDriver) -> None:
    machine.do(KvPut(key="old", value=b"command"))
    assert machine.refuse(KvIncr(key="n")) == "not_yet"
    assert machine.do(RaiseVersion(version=2)) == 2
    assert machine.do(KvIncr(key="n")) == 1


def test_the_version_never_falls(machine: MachineDriver) -> None:
    machine.do(RaiseVersion(version=2))
    assert machine.refuse(RaiseVersion(version=1)) == "invalid"
    assert machine.refuse(RaiseVersion(version=2)) == "invalid"


def test_a_master_that_cannot_read_the_version_stops(machine: MachineDriver) -> None:
    with pytest.raises(Fatal, match="moved to version 3, this master reads 2"):
        machine.do(RaiseVersion(version=3))


def test_the_version_is_in_snapshots(machine: MachineDriver) -> None:
    machine.do(RaiseVersion(version=2))
    other = Machine()
    other.restore(list(machine.machine.freeze()))
    assert other.state.version == 2
