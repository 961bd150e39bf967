"""Client sessions: a request that is repeated gets its first answer and has no second effect.

The method is that of RIFL (Lee et al., SOSP 2015): a client numbers its requests and tells below which
number all were answered, so the memory of a session stays as small as what the client has in flight.
A session that was silent for `SESSION_IDLE_MS`, or the least recently used one when there are too many,
is forgotten; a client may repeat a request only for that long.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from titan.fsm import timers
from titan.fsm.commands import Proposal
from titan.fsm.outcomes import Applied, Outcome, Rejected
from titan.fsm.state import Session, State
from titan.limits import SESSION_IDLE_MS, SESSION_RESULTS_MAX, SESSIONS_MAX

_EXPIRED: Final = Rejected("request_expired", "the client has said that it would not repeat this")
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[list[Any]] = msgspec.msgpack.Decoder(list[Any])


def encode_outcome(outcome: Outcome) -> bytes:
    """What is remembered of an outcome, and what the digest of the state covers: all but its events."""
    if isinstance(outcome, Applied):
        return _encoder.encode((outcome.value,))
    return _encoder.encode((outcome.code, outcome.why))


def decode_outcome(data: bytes) -> Outcome:
    """The outcome in `data`, without events."""
    fields = _decoder.decode(data)
    return Applied(fields[0]) if len(fields) == 1 else Rejected(fields[0], fields[1])


def recall(state: State, proposal: Proposal, *, now_ms: int) -> Outcome | None:
    """The answer that was given before, or None when the request is new and may go ahead."""
    session = _touch(state, proposal.client, now_ms=now_ms)
    _raise_floor(session, proposal.floor)
    if proposal.request < session.floor:
        return _EXPIRED
    known = session.results.get(proposal.request)
    return None if known is None else decode_outcome(known)


def remember(state: State, proposal: Proposal, answer: bytes) -> None:
    """Keep the encoded answer to a request that `recall` let go ahead."""
    session = state.sessions[proposal.client]
    session.results[proposal.request] = answer
    if len(session.results) > SESSION_RESULTS_MAX:
        _raise_floor(session, min(session.results) + 1)


def _touch(state: State, client: str, *, now_ms: int) -> Session:
    """The client's session, moved to the end of those that are forgotten first."""
    session = state.sessions.pop(client, None)
    if session is None:
        if len(state.sessions) >= SESSIONS_MAX:
            del state.sessions[next(iter(state.sessions))]
        session = Session(expires_ms=now_ms + SESSION_IDLE_MS)
        timers.set_timer(state, timers.SESSION, client, due_ms=session.expires_ms)
    session.last_ms = now_ms
    state.sessions[client] = session
    return session


def _raise_floor(session: Session, floor: int) -> None:
    if floor > session.floor:
        session.floor = floor
        for request in [number for number in session.results if number < floor]:
            del session.results[request]
