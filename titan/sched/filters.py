"""Whether a worker may have a job: one small predicate per reason, each answering a code or "".

Placement and `explain` share them, so that what is explained is what is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from titan.ids import AttemptId
from titan.sched.need import Need
from titan.sched.seat import Seat

Ports = Mapping[str, Mapping[int, AttemptId]]  # machine → port → who holds it; `State.ports`


def closed(seat: Seat) -> str:
    """Why the worker takes no work at all: offline, no_session, cordoned, draining, resting."""
    if not seat.online:
        return "offline"
    if not seat.session:
        return "no_session"
    if seat.mode != "open":
        return seat.mode
    return "resting" if seat.rests_until_ms else ""


def lacks_tags(capabilities: tuple[str, ...], requirement: tuple[str, ...]) -> str:
    """The first required tag that is not offered."""
    for tag in requirement:
        if tag not in capabilities:
            return tag
    return ""


def too_small(seat: Seat, need: Need) -> str:
    """The first resource of which even the idle worker has too little."""
    if need.slots > seat.slots:
        return "slots"
    for name, amount in need.others:
        if amount > seat.totals.get(name, 0):
            return name
    return ""


def lacks_room(seat: Seat, need: Need) -> str:
    """The first resource besides slots of which too little is free now.

    `attempts`: it holds as many as the state machine allows, whatever they need.
    """
    if seat.count >= seat.count_max:
        return "attempts"
    for name, amount in need.others:
        if amount > seat.free.get(name, 0):
            return name
    return ""


def lacks_port(seat: Seat, port: int, ports: Ports) -> str:
    """`no_services` when the worker is too old to have any, `port` when another one holds a fixed port."""
    if not seat.offers_services:
        return "no_services"
    return "port" if port and port in ports.get(seat.machine, {}) else ""


def lacks_slots(seat: Seat, need: Need) -> str:
    """`slots` when too few are free now; a job that takes no slot always finds enough."""
    return "slots" if need.slots and need.slots > seat.slots - seat.used else ""


class Refusal(NamedTuple):
    """The first filter that refuses a worker, and what it says."""

    filter: str  # closed, tags, size, room or slots
    code: str


def trace(seat: Seat, need: Need) -> Refusal | None:
    """All of the filters in the order in which they bind; None when every one lets the worker pass."""
    for name, code in (
        ("closed", closed(seat)),
        ("tags", lacks_tags(seat.capabilities, need.requirement)),
        ("size", too_small(seat, need)),
        ("room", lacks_room(seat, need)),
        ("slots", lacks_slots(seat, need)),
    ):
        if code:
            return Refusal(name, code)
    return None
