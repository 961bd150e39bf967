"""Which of the warden's children are warm Pythons and their blanks, told by a server played by the test."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Mapping
from types import SimpleNamespace

import pytest

from titan.exec import procfs, warm_pool
from titan.exec.jobs import Jobs
from titan.exec.spawning import Order
from titan.exec.warden import Warden
from titan.exec.warm_pool import WarmPythons

SERVER, BLANK, STRAY = 4_000_001, 4_000_002, 4_000_003


def test_a_blank_whose_announcement_was_not_read_yet_is_no_stray(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ends: list[socket.socket] = []

    def spawn(_key: object, fd: int, *, null_fd: int, marks: Mapping[bytes, bytes]) -> int:
        ends.append(socket.socket(fileno=os.dup(fd)))
        return SERVER

    monkeypatch.setattr(warm_pool, "_spawn", spawn)
    monkeypatch.setattr(procfs, "children", lambda _pid: [SERVER, BLANK, STRAY])
    pool = WarmPythons(select.poll(), null_fd=0)
    order = Order(
        1, [b"/usr/bin/python3", b"x.py"], b"/", {}, b"/dev/null", how={"is_script": True}
    )
    assert pool.server_for(order) is None  # it is started, and not waited for
    (server,) = pool._servers.values()
    ends[0].send(b"ready")
    assert server.receive()
    server.refill()
    ends[0].send(b"%d" % BLANK)  # made and announced; the warden has not looked
    served: list[object] = []
    warden = SimpleNamespace(_warm=pool, _own_pid=1, _jobs=Jobs(), _serve_waiting=served.append)
    assert Warden._strays(warden) == [STRAY]  # type: ignore[arg-type]
    assert served == [server]  # whoever waits for a blank hears of it, since nothing else will tell
    server.close()
    ends[0].close()
