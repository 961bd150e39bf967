"""A command is taken only once every master can read it, and a master that cannot says so and stops."""

from __future__ import annotations

import msgspec
import pytest

from tests.fsm.driver import MachineDriver, job
from titan.errors import Fatal
from titan.fsm import commands
from titan.fsm.commands import KvIncr, KvPut, RaiseVersion, SubmitRun
from titan.fsm.machine import Machine
from titan.ids import RunId


@pytest.fixture(autouse=True)
def this_build_reads_version_3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "VERSION", 3)
    monkeypatch.setattr(KvIncr, "since", 3)


def test_a_newer_command_waits_for_the_clusters_version(machine: MachineDriver) -> None:
    machine.do(KvPut(key="old", value=b"command"))
    assert machine.refuse(KvIncr(key="n")) == "not_yet"
    assert machine.do(RaiseVersion(version=3)) == 3
    assert machine.do(KvIncr(key="n")) == 1


def test_the_version_never_falls(machine: MachineDriver) -> None:
    machine.do(RaiseVersion(version=3))
    assert machine.refuse(RaiseVersion(version=2)) == "invalid"
    assert machine.refuse(RaiseVersion(version=3)) == "invalid"


def test_a_master_that_cannot_read_the_version_stops(machine: MachineDriver) -> None:
    with pytest.raises(Fatal, match="moved to version 4, this master reads 3"):
        machine.do(RaiseVersion(version=4))


def test_the_version_is_in_snapshots(machine: MachineDriver) -> None:
    machine.do(RaiseVersion(version=3))
    other = Machine()
    other.restore(list(machine.machine.freeze()))
    assert other.state.version == 3


def test_a_declaration_needs_the_version_of_its_youngest_field() -> None:
    plain, gate = job("a"), msgspec.structs.replace(job("b"), type="gate", argv=())
    assert SubmitRun(run=RunId("r"), name="r", jobs=(plain,)).needs_version() == 1
    assert SubmitRun(run=RunId("r"), name="r", jobs=(plain, gate)).needs_version() == 2
    labels = {"team": "data"}
    assert SubmitRun(run=RunId("r"), name="r", jobs=(plain,), labels=labels).needs_version() == 2
