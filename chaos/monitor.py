"""Looks at every master a few times a second: who leads, which term, how far applied; who died."""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple

import aiohttp

from chaos.control import Cluster, Member
from chaos.history import Recorder

PERIOD_S: Final = 0.15
TIMEOUT_S: Final = 0.5
LEADER_POLL_S: Final = 0.02
DEATHS_MAX: Final = 30  # a member that cannot live at all is no news any more: give up


class Seen(NamedTuple):
    """One master as it sees itself. None of it when it did not answer."""

    is_leader: bool
    term: int
    applied: int


class Monitor:
    """Keeps the newest look and writes changes into the history."""

    def __init__(self, cluster: Cluster, recorder: Recorder) -> None:
        self._cluster = cluster
        self._recorder = recorder
        self._session: aiohttp.ClientSession | None = None
        self._deaths = 0
        self.seen: dict[str, Seen | None] = {}

    async def run(self) -> None:
        """Look until cancelled."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as self._session:
            told: dict[str, tuple[bool, int] | None] = {}
            while True:
                await self.look()
                roles = {m: s and (s.is_leader, s.term) for m, s in self.seen.items()}
                if roles != told:
                    told = roles
                    self._recorder.event("roles", roles=roles)
                await self._bury()
                await asyncio.sleep(PERIOD_S)

    async def look(self) -> None:
        """Ask everyone once."""
        masters = self._cluster.masters
        answers = await asyncio.gather(*(self._ask(n) for n in range(len(masters))))
        self.seen = {m.name: seen for m, seen in zip(masters, answers, strict=True)}

    async def _ask(self, n: int) -> Seen | None:
        if self._session is None:
            return None
        try:
            url = f"http://{self._cluster.network.places[n].http}/metrics"
            async with self._session.get(url) as answer:
                return _parse(await answer.text())
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    async def _bury(self) -> None:
        for member in self._cluster.died():
            words = member.last_words()
            self._recorder.event("died", member=member.name, code=member.exit_code, log=words)
            self._deaths += 1
            if self._deaths > DEATHS_MAX:
                raise RuntimeError(f"{member.name} and others keep dying: {words[-2:]}")
            member.start()

    def leader(self) -> Member | None:
        """Who claims to lead in the highest term."""
        claims = [(s.term, name) for name, s in self.seen.items() if s is not None and s.is_leader]
        if not claims:
            return None
        _, name = max(claims)
        return next(m for m in self._cluster.masters if m.name == name)

    async def wait_leader(self, *, timeout_s: float) -> Member | None:
        """The leader, waiting for one; None when there is none in time."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    await self.look()
                    found = self.leader()
                    if found is not None and found.is_alive and not found.is_paused:
                        return found
                    await asyncio.sleep(LEADER_POLL_S)
        except TimeoutError:
            return None

    async def wait_whole(self, *, timeout_s: float) -> bool:
        """Whether every master comes to answer with one leader and nearly the same index."""
        try:
            async with asyncio.timeout(timeout_s):
                while not self._is_whole():
                    await asyncio.sleep(LEADER_POLL_S)
                    await self.look()
        except TimeoutError:
            return False
        return True

    def _is_whole(self) -> bool:
        views = list(self.seen.values())
        there = [seen for seen in views if seen is not None]
        if not there or len(there) != len(views) or len({seen.term for seen in there}) != 1:
            return False
        applied = [seen.applied for seen in there]
        return sum(s.is_leader for s in there) == 1 and max(applied) - min(applied) < 1_000


def _parse(text: str) -> Seen:
    values = dict(line.split() for line in text.splitlines() if line and line[0] != "#")
    return Seen(
        is_leader=values["titan_raft_is_leader"] == "1",
        term=int(values["titan_raft_term"]),
        applied=int(values["titan_raft_applied_index"]),
    )
