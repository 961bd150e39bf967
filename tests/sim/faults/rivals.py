"""Two masters that both believe they lead: each is asked in a way that shows whether it may answer.

Somebody has a connection to the old leader, which is cut off from the other masters, or paused. As
soon as there is a new leader, values are written there, and after each answer the old one is asked:
whatever it says then must not be older. Everything goes into the one history that is checked.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tests.sim.faults.base import Hurting, Kind
from tests.sim.faults.links import both_ways
from tests.sim.loop import Life
from titan.errors import TitanError
from titan.fsm.commands import KvPut, encode_command
from titan.fsm.queries import KvGet, KvView
from titan.ids import new_client_id
from titan.wire.connection import Connection
from titan.wire.endpoint import dial
from titan.wire.handler import Refusing
from titan.wire.messages import ROLE_CLIENT, Hello, Read, ReadDone, Write, WriteDone

if TYPE_CHECKING:
    from tests.sim.hosts import MasterHost
    from tests.sim.world import World

ROUNDS: Final = 12
LOOK_S: Final = 0.003
NEW_LEADER_S: Final = 3.0
CALL_S: Final = 2.0
REST_S: Final = 0.004
KEYS: Final = ("a", "b", "c")


class Rivals(Hurting):
    """See the module."""

    def __init__(self, world: World, rng: random.Random) -> None:
        super().__init__(world, rng)
        self._numbers = itertools.count(1)

    def kinds(self) -> tuple[Kind, ...]:
        return (
            Kind(3, self.isolate_under_reads),
            Kind(3, self.pause_under_reads),
            Kind(6, self.estrange_leader),
        )

    def isolate_under_reads(self) -> str | None:
        """Cut off from all masters; whoever asks it can still reach it."""
        leader = self.world.leader()
        if leader is None:
            return None
        others = [one.name for one in self.world.masters if one is not leader]
        pairs = both_ways((leader.name, other) for other in others)

        def cut() -> None:
            for pair in pairs:
                self.world.network.block(*pair)

        def mend() -> None:
            for pair in pairs:
                self.world.network.unblock(*pair)

        self._duel(leader, cut, mend)
        return leader.name

    def pause_under_reads(self) -> str | None:
        """It wakes with questions in its sockets that were asked after a new leader had been told more."""
        leader = self.world.leader()
        if leader is None or leader.is_paused:
            return None
        self._duel(leader, leader.pause, leader.resume)
        return leader.name

    def estrange_leader(self) -> str | None:
        """It stands still while workers and clients, whose connections it still takes for whole, go to a
        new leader; it wakes in the middle of what that one assigns to them."""
        leader = self.world.leader()
        if leader is None or leader.is_paused:
            return None
        leader.pause()
        self.undo_later(leader.resume, 1.5, 3.0)
        self._estrange(leader)
        return leader.name

    def _estrange(self, old: MasterHost) -> None:
        """Once there is a new leader: before, they would be sent back to the old one, and wait there."""
        new = self.world.leader()
        if not old.is_paused:
            return
        if new is old or new is None:
            self.world.loop.later(LOOK_S, self._estrange, old)
            return
        for host in (*self.world.workers, *self.world.clients):
            self.world.network.break_one_end(host.name, old.name)
        self.world.happened("leader estranged")
        self.world.loop.later(self.rng.uniform(0.2, 0.8), old.resume)

    def _duel(self, old: MasterHost, begin: Any, end: Any) -> None:
        number = next(self._numbers)
        duel = Duel(self.world, old, name=f"rival-{number}", rng=random.Random(self.rng.random()))
        self.world.loop.spawn(duel.life, duel.run(begin, end), name=f"duel {number}")


class Duel:
    """One old leader, one new, and somebody who talks to both."""

    def __init__(self, world: World, old: MasterHost, *, name: str, rng: random.Random) -> None:
        self.world, self.old, self.name, self.rng = world, old, name, rng
        self.life = Life(name, 1)
        self._questions: list[asyncio.Task[None]] = []

    async def run(self, begin: Any, end: Any) -> None:
        """From the last moment of peace to the last answer."""
        self.world.workload.at_work[self.life] = None
        is_begun = False
        try:
            old = await self._reach(self.old)
            begin()
            is_begun = True
            new = await self._reach(await self._new_leader())
            await self._ask_both(old, new)
            self.world.happened(f"two leaders were asked ({begin.__name__})")
        except (TitanError, TimeoutError) as error:
            self.world.note(f"{self.name} ends: {type(error).__name__} {error}")
        finally:
            if is_begun:
                end()
            await asyncio.gather(*self._questions)
            self.world.workload.at_work.pop(self.life, None)

    async def _reach(self, master: MasterHost) -> Connection:
        hello = Hello(role=ROLE_CLIENT, id=new_client_id())
        return await dial(master.address, hello, Refusing(), timeout_s=CALL_S)

    async def _new_leader(self) -> MasterHost:
        async with asyncio.timeout(NEW_LEADER_S):
            while True:
                leader = self.world.leader()
                if leader is not None and leader is not self.old:
                    return leader
                await asyncio.sleep(LOOK_S)

    async def _ask_both(self, old: Connection, new: Connection) -> None:
        client = new_client_id()
        for number in range(1, ROUNDS + 1):
            key = self.rng.choice(KEYS)
            await self._write(new, key, client=client, number=number)
            question = asyncio.create_task(self._read(old, key), name=f"{self.name} {number}")
            self._questions.append(question)
            await asyncio.sleep(self.rng.uniform(0, 2 * REST_S))

    async def _write(self, new: Connection, key: str, *, client: str, number: int) -> None:
        value = f"{self.name}.{number}"
        command = encode_command(KvPut(key=key, value=value.encode()))
        message = Write(client=client, request=number, floor=number, command=command)

        async def call() -> Any:
            done = await new.call(message, timeout_s=CALL_S)
            if not isinstance(done, WriteDone) or done.rejected:
                raise TitanError(f"rejected: {done}")
            return done.value

        await self.world.workload.record(f"{self.name}-w", "put", key, (value,), call)

    async def _read(self, old: Connection, key: str) -> None:
        message = Read(query=msgspec.msgpack.encode(KvGet(key=key)))

        async def call() -> Any:
            done = await old.call(message, timeout_s=CALL_S)
            assert isinstance(done, ReadDone), done
            item = msgspec.msgpack.decode(done.value, type=KvView | None)
            return None if item is None else item.value

        await self.world.workload.record(f"{self.name}-r", "get", key, (), call)
