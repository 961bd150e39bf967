"""The simulated network behaves like TCP where it matters, under the product's own wire."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from typing import Any

import pytest

from tests.sim.loop import Life, SimLoop
from tests.sim.network import Network
from titan.errors import ConnectionLost, TimedOut
from titan.wire.connection import Connection
from titan.wire.endpoint import Listener, dial, listen
from titan.wire.handler import Refusing
from titan.wire.messages import ROLE_CLIENT, Hello, Message, Ok, Welcome


class Server(Refusing):
    """Writes down the notes it gets and answers every call."""

    def __init__(self) -> None:
        self.raw: list[bytes] = []
        self.closed = 0

    def on_raw(self, connection: Connection, payload: bytes) -> None:
        self.raw.append(payload)

    def on_call(self, connection: Connection, message: Message) -> Message:
        return Ok()

    def on_closed(self, connection: Connection) -> None:
        self.closed += 1


class Two:
    """A server on host "s", a client on host "c"."""

    def __init__(self) -> None:
        self.errors: list[Any] = []
        self.loop = SimLoop(on_error=lambda life, context: self.errors.append(context))
        self.network = Network(self.loop, random.Random(1), on_delivery=lambda *_: None)
        self.loop.network = self.network
        self.server, self.client = Life("s", 1), Life("c", 1)
        self.handler = Server()
        self.listener: Listener | None = None

    async def serve(self) -> None:
        welcome = Welcome(cluster_id="", id="s")
        self.listener = await listen("s:1", lambda connection, hello: (welcome, self.handler))

    def run(self, life: Life, work: Coroutine[Any, Any, Any], *, seconds: float = 5.0) -> Any:
        answers: list[Any] = []

        async def capture() -> None:
            try:
                answers.append(await work)
            except Exception as error:
                answers.append(error)

        self.loop.spawn(life, capture(), name="test")
        self.loop.run(self.loop.now + seconds)
        assert not self.errors
        return answers[0] if answers else None

    def connected(self) -> Connection:
        self.run(self.server, self.serve())
        connection = self.run(self.client, self.dial())
        assert isinstance(connection, Connection)
        return connection

    async def dial(self, *, timeout_s: float = 2.0) -> Connection:
        return await dial("s:1", Hello(role=ROLE_CLIENT), Refusing(), timeout_s=timeout_s)


@pytest.fixture
def two() -> Two:
    return Two()


async def tell(connection: Connection, *payloads: bytes) -> None:
    for payload in payloads:
        connection.raw(payload)


def test_a_call_is_answered(two: Two) -> None:
    connection = two.connected()
    assert two.run(two.client, connection.call(Ok(), timeout_s=1.0)) == Ok()


def test_nobody_listening_is_told_at_once(two: Two) -> None:
    error = two.run(two.client, two.dial())
    assert isinstance(error, ConnectionLost)
    assert "refused" in str(error)


def test_a_blocked_link_keeps_what_is_sent_and_delivers_it_in_order(two: Two) -> None:
    connection = two.connected()
    two.network.block("c", "s")
    two.run(two.client, tell(connection, *(b"%d" % n for n in range(20))), seconds=0.5)
    assert two.handler.raw == []
    two.network.unblock("c", "s")
    two.loop.run(two.loop.now + 1)
    assert two.handler.raw == [b"%d" % n for n in range(20)]


def test_a_silent_peer_is_given_up_and_a_healed_link_resets_the_rest(two: Two) -> None:
    connection = two.connected()
    two.network.block("s", "c")
    two.loop.run(two.loop.now + 6)
    assert connection.is_closed
    two.network.unblock("s", "c")
    two.loop.run(two.loop.now + 6)
    assert two.handler.closed == 1
    assert not two.network.open


def test_a_connection_attempt_waits_for_a_blocked_link(two: Two) -> None:
    two.run(two.server, two.serve())
    two.network.block("c", "s")
    assert isinstance(two.run(two.client, two.dial(timeout_s=1.0)), TimedOut)
    two.loop.later(0.5, two.network.unblock, "c", "s")
    assert isinstance(two.run(two.client, two.dial(timeout_s=3.0)), Connection)


def test_a_killed_process_is_noticed_and_does_nothing_more(two: Two) -> None:
    connection = two.connected()
    two.loop.kill(two.server)
    two.network.life_ended(two.server, power=False)
    two.loop.run(two.loop.now + 0.1)
    assert connection.is_closed
    assert two.handler.closed == 0


def test_a_machine_without_power_says_nothing(two: Two) -> None:
    connection = two.connected()
    two.loop.kill(two.server)
    two.network.life_ended(two.server, power=True)
    two.network.dark.add("s")
    two.loop.run(two.loop.now + 0.5)
    assert not connection.is_closed
    two.loop.run(two.loop.now + 6)
    assert connection.is_closed


def test_a_paused_process_reads_everything_when_it_goes_on(two: Two) -> None:
    connection = two.connected()
    two.server.is_paused = True
    two.run(two.client, tell(connection, b"a", b"b"), seconds=1.0)
    assert two.handler.raw == []
    two.server.is_paused = False
    two.loop.wake(two.server)
    two.loop.run(two.loop.now + 0.1)
    assert two.handler.raw == [b"a", b"b"]


def test_a_process_that_waits_for_its_disk_is_late_for_everything(two: Two) -> None:
    connection = two.connected()
    answers: list[Message] = []

    async def ask() -> None:
        answers.append(await connection.call(Ok(), timeout_s=None))

    two.loop.busy(two.server, 1.0)
    two.run(two.client, ask(), seconds=0.9)
    assert not answers
    two.loop.run(two.loop.now + 0.2)
    assert answers == [Ok()]


def test_a_spinning_callback_is_an_error(two: Two) -> None:
    async def spin() -> None:
        while True:
            await asyncio.sleep(0)

    two.loop.spawn(two.client, spin(), name="spin")
    with pytest.raises(RuntimeError, match="at one instant"):
        two.loop.run(two.loop.now + 1)
