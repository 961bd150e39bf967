"""The leader's hand on the pools: asks `titan.sched.autoscale` what to do, records it, calls providers.

A launch is committed before its provider is called, and is called under its id until the state says
that the call was taken. So a leader that dies in between leaves nothing undone and nothing done twice.
Lives for one reign; what it remembers is in `Lookout` and costs nothing to lose.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, Final

from titan.errors import TitanError
from titan.fsm.commands import Command, RecordLaunch, RetireWorker, SettleLaunch
from titan.fsm.events import AnyEvent
from titan.fsm.records.pools import ASKED, ENDING, STARTED, Launch
from titan.fsm.state import State
from titan.ids import new_launch_id
from titan.limits import PROVIDER_CALLS_MAX
from titan.master.proposer import Answer
from titan.master.providers.base import Order, Provider, ProviderFailed
from titan.master.providers.local import LocalProvider
from titan.sched.autoscale import Decisions, LaunchWorkers, Retire, Standing, decide
from titan.sched.lookout import Lookout
from titan.sched.planner import Planner

log = logging.getLogger(__name__)

PERIOD_S: Final = 0.25
OTHERS_PATIENCE_MS: Final = 5_000  # what another master has begun to start may still come


class Autoscaler:
    """Grows and shrinks the pools during one reign."""

    def __init__(
        self,
        *,
        state: Callable[[], State],
        submit: Callable[[Command], Answer],
        providers: Mapping[str, Provider],
        address: str,
        now_ms: Callable[[], int],
    ) -> None:
        self._state = state
        self._submit = submit
        self._providers = providers
        self._address = address
        self._now_ms = now_ms
        self._lookout = Lookout()
        self._calls: dict[str, asyncio.Task[None]] = {}  # by launch
        self._proposed: dict[str, None] = {}  # pools and workers with a proposal on its way
        self._began_ms = now_ms()
        self._next_look_ms = 0
        self.decisions: Decisions | None = None  # the last ones, for `why`

    @property
    def standings(self) -> Mapping[str, Standing]:
        """Why each pool does what it does, as of the last look."""
        return {} if self.decisions is None else self.decisions.standings

    def observe(self, events: Iterable[AnyEvent]) -> None:
        """What was applied."""
        self._lookout.observe(events)

    def look(self, planner: Planner) -> None:
        """Act on how things stand; called often, looks now and then."""
        now_ms = self._now_ms()
        if 0 < self._next_look_ms - now_ms <= PERIOD_S * 1000:
            return
        self._next_look_ms = now_ms + int(PERIOD_S * 1000)
        state = self._state()
        self._call_providers(state)
        if not state.pools and not any(worker.ephemeral for worker in state.workers.values()):
            self.decisions = None
            return
        self.decisions = decide(self._lookout.look(state, planner, now_ms=now_ms))
        for launch in self.decisions.launches:
            self._record(launch)
        for retirement in self.decisions.retirements:
            self._retire(state, retirement)

    async def close(self) -> None:
        """The reign is over; the next leader makes the calls that are cut short here."""
        calls = list(self._calls.values())
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    # --- proposing ------------------------------------------------------------------------------

    def _record(self, launch: LaunchWorkers) -> None:
        names = tuple(new_launch_id() for _ in range(launch.count))
        command = RecordLaunch(pool=launch.pool, launches=names, master=self._address)
        if self._propose(f"pool {launch.pool}", command):
            log.info("pool %s: %d more workers: %s", launch.pool, launch.count, launch.reason)

    def _retire(self, state: State, retirement: Retire) -> None:
        worker = state.workers[retirement.worker]
        command = RetireWorker(worker=worker.id, incarnation=worker.incarnation)
        if self._propose(f"worker {worker.id}", command):
            log.info("worker %s (%s) may leave: %s", worker.id, worker.name, retirement.reason)

    def _settle(self, launch: str, outcome: str, *, why: str = "") -> None:
        command = SettleLaunch(launch=launch, outcome=outcome, why=why, master=self._address)
        self._propose(f"launch {launch}", command)

    def _propose(self, about: str, command: Command) -> bool:
        """Propose unless something about the same is on its way; the next look sees what came of it."""
        if about in self._proposed:
            return False
        try:
            answer = self._submit(command)
        except TitanError as error:
            log.info("%s must wait: %s", about, error)
            return False
        self._proposed[about] = None
        answer.add_done_callback(lambda _: self._proposed.pop(about, None))
        return True

    # --- calling providers ----------------------------------------------------------------------

    def _call_providers(self, state: State) -> None:
        for launch in list(state.launches.values()):
            if len(self._calls) >= PROVIDER_CALLS_MAX:
                return
            if launch.id in self._calls or f"launch {launch.id}" in self._proposed:
                continue
            if launch.state == ASKED and not self._may_still_come(state, launch):
                self._call(launch.id, self._start(launch.id, self._order(state, launch)))
            elif launch.state == ENDING:
                self._call(launch.id, self._end(launch.id, self._order(state, launch)))
            elif launch.state == STARTED:
                self._notice_death(state, launch)

    def _may_still_come(self, state: State, launch: Launch) -> bool:
        """Whether another master, which led before, may have started it on its own machine."""
        if state.pools[launch.pool].provider != "local" or launch.master in ("", self._address):
            return False
        return self._now_ms() - self._began_ms < OTHERS_PATIENCE_MS

    def _notice_death(self, state: State, launch: Launch) -> None:
        """A local worker that died before it registered need not be waited for."""
        local = self._providers.get("local")
        is_ours = state.pools[launch.pool].provider == "local" and launch.master == self._address
        if is_ours and isinstance(local, LocalProvider):
            folder = local.folder(launch.id)
            if folder.process() is None:
                why = f"its process ended: {folder.last_words()}"
                self._settle(launch.id, "failed", why=why)

    def _order(self, state: State, launch: Launch) -> tuple[Provider | None, Order]:
        pool = state.pools[launch.pool]
        order = Order(
            launch=launch.id,
            pool=pool.name,
            capabilities=pool.capabilities,
            slots=pool.slots,
            resources=pool.resources,
            ephemeral=not pool.permanent,
            idle_ms=pool.idle_ms,
            url=pool.url,
            secret=pool.secret,
        )
        return self._providers.get(pool.provider), order

    def _call(self, launch: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=f"provider call for {launch}")
        self._calls[launch] = task
        task.add_done_callback(lambda done: self._called(launch, done))

    def _called(self, launch: str, done: asyncio.Task[None]) -> None:
        del self._calls[launch]
        if not done.cancelled() and (error := done.exception()) is not None:
            log.error("call for launch %s: a defect", launch, exc_info=error)
            self._settle(launch, "failed", why=f"internal error: {type(error).__name__}")

    async def _start(self, launch: str, what: tuple[Provider | None, Order]) -> None:
        provider, order = what
        try:
            if provider is None:
                raise ProviderFailed("this master has no such provider")
            await provider.launch(order)
        except ProviderFailed as error:
            log.warning("launch %s of pool %s failed: %s", launch, order.pool, error)
            self._settle(launch, "failed", why=str(error))
        else:
            self._settle(launch, "started")

    async def _end(self, launch: str, what: tuple[Provider | None, Order]) -> None:
        provider, order = what
        try:
            if provider is not None:
                await provider.end(order)
        except ProviderFailed as error:
            log.warning("what is left of launch %s may still be there: %s", launch, error)
        self._settle(launch, "ended")
