"""How the cluster fares, over HTTP: its workers and what waits, as the leader sees them, and the pulse."""

from __future__ import annotations

from typing import Final

import msgspec

from titan.master.fleet import Fleet
from titan.master.http.api import Api
from titan.master.http.table import Call, Endpoint
from titan.master.pulse import BEAT_MS, Beat


class PulseView(msgspec.Struct, frozen=True):
    """The beats that this master has counted, oldest first, one every `beat_ms`."""

    beat_ms: int
    beats: list[Beat]


async def fleet(api: Api, call: Call) -> Fleet:
    """The leader is asked, so there is no answer while nobody leads."""
    return await api.gateway.fleet(forwarded=False)


async def pulse(api: Api, call: Call) -> PulseView:
    """Of this master, from memory."""
    return PulseView(BEAT_MS, list(api.pulse.beats))


ENDPOINTS: Final = (
    Endpoint(
        "GET", "/api/v1/fleet", fleet,
        "Heartbeats of the workers and depths of the queues, as the leader knows them", Fleet,
    ),
    Endpoint(
        "GET", "/api/v1/pulse", pulse,
        "Throughput and latencies of the last quarter of an hour, as this master has counted them",
        PulseView,
    ),
)  # fmt: skip
