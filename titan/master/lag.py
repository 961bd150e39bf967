"""How late this master's loop runs, and what it was busy with.

A loop that stands still for longer than an election takes costs the leadership, so the lag is measured all
the time, shown among the metrics, and explained in the log when it matters. Never changes anything.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from titan.consensus.api import Freeze, ReplicatedMachine
from titan.fsm.commands import decode_entry
from titan.master.replica import AppliedEntry, Replica

log = logging.getLogger(__name__)

PERIOD_S: Final = 0.02  # a standstill is seen up to this much shorter than it was
WARN_MS: Final = 100.0  # two heartbeats
RECENT_S: Final = 10


class Deed(NamedTuple):
    """The longest thing that the state machine did since the last look."""

    what: str  # apply, freeze or restore
    took_ms: float
    entry: int
    payload: bytes

    def __str__(self) -> str:
        if self.what != "apply":
            return f"{self.what} took {self.took_ms:.0f} ms"
        kinds = Counter(type(one.command).__name__ for one in decode_entry(self.payload).proposals)
        listed = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(4))
        return f"apply of entry {self.entry} ({listed}) took {self.took_ms:.0f} ms"


class Longest:
    """The longest of some durations: of all, and of the last `RECENT_S` seconds."""

    def __init__(self) -> None:
        self.total_ms = 0.0
        self._by_second: deque[float] = deque([0.0] * RECENT_S, maxlen=RECENT_S)

    @property
    def recent_ms(self) -> float:
        """Of the last seconds."""
        return max(self._by_second)

    def note(self, took_ms: float) -> None:
        """One more."""
        self.total_ms = max(self.total_ms, took_ms)
        self._by_second[-1] = max(self._by_second[-1], took_ms)

    def next_second(self) -> None:
        """A second is over."""
        self._by_second.append(0.0)


class _TimedFreeze:
    def __init__(self, freeze: Freeze, *, did: Callable[[float], None]) -> None:
        self._freeze = freeze
        self._did = did

    def step(self) -> bool:
        started = time.perf_counter()
        is_last = self._freeze.step()
        self._did(started)
        return is_last

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._freeze)


class LagMeter(ReplicatedMachine):
    """Stands between consensus and the replica, and looks at the clock."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._deed = Deed("nothing", 0.0, 0, b"")
        self._lag = Longest()
        self._busy = Longest()  # the part of it in which this thread computed: the rest was waiting
        self.apply_max_ms = 0.0
        self.freeze_max_ms = 0.0
        self.apply_cpu_max_ms = 0.0  # tells a long apply from a machine that was busy elsewhere
        self.steps_max = 0

    @property
    def recent_max_ms(self) -> float:
        """The longest standstill of the last `RECENT_S` seconds."""
        return self._lag.recent_ms

    def rows(self) -> dict[str, float]:
        """The gauges."""
        return {
            "titan_loop_lag_recent_max_ms": round(self.recent_max_ms, 1),
            "titan_loop_lag_max_ms": round(self._lag.total_ms, 1),
            "titan_loop_busy_recent_max_ms": round(self._busy.recent_ms, 1),
            "titan_loop_busy_max_ms": round(self._busy.total_ms, 1),
            "titan_apply_max_ms": round(self.apply_max_ms, 1),
            "titan_apply_cpu_max_ms": round(self.apply_cpu_max_ms, 1),
            "titan_freeze_max_ms": round(self.freeze_max_ms, 1),
            "titan_apply_steps_max": self.steps_max,
        }

    async def run(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        second = loop.time()
        while True:
            before, cpu_before = loop.time(), time.thread_time()
            await asyncio.sleep(PERIOD_S)
            now = loop.time()
            if now - second >= 1:
                second = now
                self._lag.next_second()
                self._busy.next_second()
            lag_ms = max(0.0, (now - before - PERIOD_S) * 1000)
            self._busy.note(min(lag_ms, (time.thread_time() - cpu_before) * 1000))
            self._note(lag_ms)

    def _note(self, lag_ms: float) -> None:
        self._lag.note(lag_ms)
        deed, self._deed = self._deed, Deed("nothing", 0.0, 0, b"")
        if lag_ms > WARN_MS:
            busy = f"; the longest {deed}" if deed.took_ms > lag_ms / 4 else ""
            log.warning("the loop stood still for %.0f ms%s", lag_ms, busy)

    def _did(self, what: str, started: float, *, index: int = 0, payload: bytes = b"") -> float:
        took_ms = (time.perf_counter() - started) * 1000
        if took_ms > self._deed.took_ms:
            self._deed = Deed(what, took_ms, index, payload)
        return took_ms

    # --- ReplicatedMachine --------------------------------------------------------------------

    @property
    def digest(self) -> bytes:
        """Of the replica."""
        return self._replica.digest

    def apply(self, index: int, payload: bytes) -> AppliedEntry:
        """Apply by the replica, timed."""
        started, cpu_started = time.perf_counter(), time.thread_time()
        applied = self._replica.apply(index, payload)
        cpu_ms = (time.thread_time() - cpu_started) * 1000
        self.apply_cpu_max_ms = max(self.apply_cpu_max_ms, cpu_ms)
        took_ms = self._did("apply", started, index=index, payload=payload)
        self.apply_max_ms = max(self.apply_max_ms, took_ms)
        self.steps_max = max(self.steps_max, applied.result.steps)
        return applied

    def freeze(self) -> Freeze:
        """Freeze by the replica, its steps timed; what is encoded later in a thread does not count."""
        return _TimedFreeze(self._replica.freeze(), did=self._did_freeze)

    def _did_freeze(self, started: float) -> None:
        self.freeze_max_ms = max(self.freeze_max_ms, self._did("freeze", started))

    def restore(self, blocks: Iterable[bytes]) -> None:
        """Restore by the replica, timed."""
        started = time.perf_counter()
        self._replica.restore(blocks)
        self._did("restore", started)
