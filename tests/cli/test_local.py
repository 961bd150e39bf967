"""Ports and members of a local cluster, with programs that are not Titan's."""

from __future__ import annotations

import json
import signal
import socket
from pathlib import Path

import pytest

from titan.cli.local import LocalCluster, Member, free_ports, quiet_ports
from titan.cli.up import remembered_ports
from titan.errors import UserError


def test_taken_ports_are_passed_over() -> None:
    wanted = free_ports(1)[0]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", wanted[1]))
        taken.listen()
        assert free_ports(1)[0] > wanted


def test_no_port_is_given_twice() -> None:
    for pairs in (free_ports(7), quiet_ports(7)):
        numbers = [port for pair in pairs for port in pair]
        assert len(set(numbers)) == 14


def test_every_master_is_told_of_all(tmp_path: Path) -> None:
    cluster = LocalCluster(tmp_path, masters=3, workers=2, slots=4)
    assert len(cluster.addresses) == 3
    assert [member.name for member in cluster.members] == [
        "master-1",
        "master-2",
        "master-3",
        "worker-1",
        "worker-2",
    ]


def test_data_remembers_its_ports_and_refuses_another_size(tmp_path: Path) -> None:
    first = remembered_ports(tmp_path, 3)
    assert remembered_ports(tmp_path, 3) == first
    with pytest.raises(UserError, match="a cluster of 3 masters"):
        remembered_ports(tmp_path, 1)


def test_data_whose_port_is_taken_is_refused(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (tmp_path / "ports.json").write_text(json.dumps([[port, port]]))
        with pytest.raises(UserError, match=f"port {port}"):
            remembered_ports(tmp_path, 1)


def test_a_member_that_ends_by_itself_is_found_with_its_last_words(tmp_path: Path) -> None:
    member = Member("odd", ["--nonsense"], log=tmp_path / "odd.log")
    assert member.exit_code is None
    assert not member.is_alive
    member.start()
    assert member.pid
    member._process.wait(20)  # type: ignore[union-attr]
    assert member.exit_code == 2
    assert "error: " in member.last_words()


def test_a_killed_member_is_gone(tmp_path: Path) -> None:
    member = Member("odd", ["completion", "bash"], log=tmp_path / "odd.log")
    member.start()
    member.send(signal.SIGSTOP)
    member.kill()
    assert not member.is_alive
