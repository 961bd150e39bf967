"""Services: one name, new versions of it again and again, and clients that look it up and ask it.

A version answers every connection with its run and its attempt, so that a client knows who spoke. Some
versions are broken and must give way. The one who deploys also says what it tried, in order; in the end
it waits until the service answers once more, and stops it, so that its runs are over.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from typing import Any, Final

from chaos.client import NotSent, PinnedClient, Refused
from chaos.control import RECORDS
from chaos.faults.base import World
from chaos.history import Recorder
from titan.errors import TitanError
from titan.ids import new_run_id

NAME: Final = "svc"
SERVER: Final = """
import os, socket
with socket.create_server(("127.0.0.1", int(os.environ["TITAN_PORT"]))) as server:
    while True:
        connection, _ = server.accept()
        with connection:
            connection.sendall(f"{os.environ['TITAN_RUN_ID']} {os.environ['TITAN_ATTEMPT']}".encode())
"""
WAIT_MS: Final = 20_000
DEPLOY_REST_S: Final = 6.0
ASK_REST_S: Final = 0.05
ASK_TIMEOUT_S: Final = 1.0
BROKEN: Final = 0.2  # how many versions never become healthy
COMES_BACK_S: Final = 15.0  # after everybody was healed
TROUBLE: Final = (TitanError, NotSent, Refused, OSError, TimeoutError)


class ServiceClient:
    """Looks the service up, linearizably, and asks whoever is there."""

    def __init__(
        self, name: str, masters: tuple[str, ...], recorder: Recorder, *, seed: str
    ) -> None:
        self.name = name
        self._clients = [PinnedClient(address) for address in masters]
        self._recorder = recorder
        self._rng = random.Random(seed)

    async def run(self, until: asyncio.Event) -> None:
        """Again and again."""
        try:
            while not until.is_set():
                await self.ask()
                await asyncio.sleep(self._rng.expovariate(1 / ASK_REST_S))
        finally:
            await self.close()

    async def close(self) -> None:
        """Hang up."""
        await asyncio.gather(*(client.close() for client in self._clients))

    async def ask(self) -> bool:
        """One look-up and one question; whether the service has answered."""
        number = self._recorder.invoke(self.name, "look", NAME)
        try:
            _, view = await self._rng.choice(self._clients).read({"?": "service", "name": NAME})
        except TROUBLE as error:
            self._recorder.unknown(number, error)
            return False
        except asyncio.CancelledError as error:
            self._recorder.unknown(number, error)
            raise
        self._recorder.ok(number, [view["run"], view["attempt"], view["health"]])
        if not view["address"]:
            return False
        number = self._recorder.invoke(
            self.name, "ask", NAME, view["run"], view["attempt"], view["health"]
        )
        try:
            run, attempt = await _answer_at(view["address"])
        except (OSError, TimeoutError, ValueError) as error:
            self._recorder.fail(number, error)
            return False
        self._recorder.ok(number, [run, attempt])
        return True


async def _answer_at(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    async with asyncio.timeout(ASK_TIMEOUT_S):
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            run, attempt = (await reader.read()).decode().split()
        finally:
            writer.close()
    return run, int(attempt)


class ServiceDeployer:
    """Deploys versions, one after another, and ends it all."""

    def __init__(self, name: str, world: World, *, seed: str) -> None:
        self.name = name
        self._recorder = world.recorder
        self._records = world.cluster.records
        self._rng = random.Random(seed)
        masters = world.cluster.addresses
        self._clients = [PinnedClient(address) for address in masters]
        self._asking = ServiceClient(f"{name}-asking", masters, world.recorder, seed=f"{seed}/ask")
        self._request = 0

    async def run(self, until: asyncio.Event) -> None:
        """Deploy until told to stop; then see the service once more, and stop it."""
        try:
            while not until.is_set():
                await self._deploy()
                await _sleep(self._rng.expovariate(1 / DEPLOY_REST_S), until)
            began_s = time.monotonic()
            while not await self._asking.ask():
                if time.monotonic() > began_s + COMES_BACK_S:
                    self._recorder.event("service", came_back=False)
                    break
                await asyncio.sleep(0.1)
            else:
                self._recorder.event("service", came_back=True)
            await self._stop_all()
        finally:
            await self._asking.close()
            await asyncio.gather(*(client.close() for client in self._clients))

    async def _deploy(self) -> None:
        run = str(new_run_id())
        is_broken = self._rng.random() < BROKEN
        argv = [sys.executable, "-c", "raise SystemExit(7)" if is_broken else SERVER]
        job = {
            "id": NAME,
            "type": "service",
            "argv": [word.encode() for word in argv],
            "env": {RECORDS: str(self._records)},
            "resources": {"slots": 0},
            "health": {"interval_ms": 300, "unhealthy_after": 2},
            "restart": {"backoff_ms": 100, "backoff_cap_ms": 500},
        }
        command = {"!": "service.deploy", "run": run, "name": "chaos-svc", "jobs": [job]}
        number = self._recorder.invoke(self.name, "deploy", NAME, run, is_broken)
        try:
            await self._write({**command, "wait_ms": WAIT_MS})
        except Refused as refused:
            self._recorder.ok(number, refused.code)
        except TROUBLE as error:
            self._recorder.unknown(number, error)
        else:
            self._recorder.ok(number, "")

    async def _stop_all(self) -> None:
        """End every version, whatever has become of it."""
        for _ in range(50):
            try:
                _, views = await self._rng.choice(self._clients).read({"?": "services"})
                if not views:
                    return
                for view in views:
                    await self._write(
                        {"!": "service.stop", "run": view["run"], "job": view["name"]}
                    )
            except TROUBLE:
                await asyncio.sleep(0.2)

    async def _write(self, command: dict[str, Any]) -> Any:
        """One write with one identity, at one master after another until one answers."""
        self._request += 1
        error: Exception = TimeoutError("not tried")
        for _ in range(8):
            client = self._rng.choice(self._clients)
            try:
                return await client.write(
                    command, client=self._clients[0].id, request=self._request
                )
            except Refused as refused:
                if refused.code != "stale_epoch":
                    raise
                error = refused
            except (TitanError, NotSent) as failed:
                error = failed
            await asyncio.sleep(0.3)
        raise error


async def _sleep(seconds: float, until: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await until.wait()
    except TimeoutError:
        return


def service_users(world: World, seed: int) -> list[ServiceClient | ServiceDeployer]:
    """Everybody who has to do with the service."""
    masters = world.cluster.addresses
    names = [f"caller-{n}" for n in range(2)]
    return [
        ServiceDeployer("deployer", world, seed=f"{seed}/deployer"),
        *[ServiceClient(name, masters, world.recorder, seed=f"{seed}/{name}") for name in names],
    ]
