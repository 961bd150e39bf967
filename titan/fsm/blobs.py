"""Which content-addressed files the masters hold. The bytes are beside the log, never in it."""

from __future__ import annotations

from titan.fsm.commands import PublishBlob
from titan.fsm.events import BlobPublished
from titan.fsm.handling import Stamp, Turn, handles
from titan.fsm.outcomes import Applied, Outcome, Rejected
from titan.fsm.state import Blob, State
from titan.ids import is_digest


@handles(PublishBlob)
def publish_blob(state: State, cmd: PublishBlob, at: Stamp) -> Outcome:
    """Record that masters hold a blob; their names add up over time."""
    if not is_digest(cmd.digest) or cmd.size < 0 or not cmd.holders:
        return Rejected("invalid", "a blob has a SHA-256, a size and somebody who holds it")
    blob = state.blobs.get(cmd.digest)
    if blob is not None and blob.size != cmd.size:
        return Rejected("invalid", f"blob {cmd.digest} has {blob.size} bytes, not {cmd.size}")
    holders = tuple(dict.fromkeys((*(blob.holders if blob else ()), *cmd.holders)))
    if blob is not None and blob.holders == holders:
        return Applied()
    turn = Turn(state, at)
    if blob is None:
        state.blobs[cmd.digest] = Blob(
            digest=cmd.digest, size=cmd.size, holders=holders, published_ms=at.now_ms
        )
    else:
        blob.holders = holders
    turn.events.append(BlobPublished(cmd.digest, cmd.size))
    return turn.done()
