"""Which content-addressed files the masters hold. The bytes are beside the log, never in it."""

from __future__ import annotations

from titan.fsm import references
from titan.fsm.commands import PublishBlob, RenewBlobs
from titan.fsm.events import BlobForgotten, BlobPublished
from titan.fsm.handling import Stamp, Turn, handles
from titan.fsm.outcomes import Outcome, Rejected
from titan.fsm.state import Blob, State
from titan.ids import Digest, is_digest
from titan.limits import LOG_PACK_ATTEMPTS_MAX


@handles(PublishBlob)
def publish_blob(state: State, cmd: PublishBlob, at: Stamp) -> Outcome:
    """Record that masters hold a blob; their names add up over time."""
    if not is_digest(cmd.digest) or cmd.size < 0 or not cmd.holders:
        return Rejected("invalid", "a blob has a SHA-256, a size and somebody who holds it")
    blob = state.blobs.get(cmd.digest)
    if blob is not None and blob.size != cmd.size:
        return Rejected("invalid", f"blob {cmd.digest} has {blob.size} bytes, not {cmd.size}")
    turn = Turn(state, at)
    holders = tuple(dict.fromkeys((*(blob.holders if blob else ()), *cmd.holders)))
    is_news = blob is None or blob.holders != holders
    if blob is None:
        blob = state.blobs[cmd.digest] = Blob(
            digest=cmd.digest, size=cmd.size, holders=holders, published_ms=at.now_ms
        )
    blob.holders = holders
    references.renew(state, blob)
    if is_news:
        turn.events.append(BlobPublished(cmd.digest, cmd.size))
    return turn.done()


@handles(RenewBlobs)
def renew_blobs(state: State, cmd: RenewBlobs, at: Stamp) -> Outcome:
    """Keep blobs for another lease. Answers those that are not there."""
    if len(cmd.digests) > LOG_PACK_ATTEMPTS_MAX:
        return Rejected("too_large", f"at most {LOG_PACK_ATTEMPTS_MAX} blobs at once")
    missing: list[Digest] = []
    for digest in cmd.digests:
        blob = state.blobs.get(digest)
        if blob is None:
            missing.append(digest)
        else:
            references.renew(state, blob)
    return Turn(state, at).done(missing)


def timer_fired(turn: Turn, digest: Digest) -> None:
    """Delete a blob that nobody refers to and whose lease is over; else look again when it may be."""
    state = turn.state
    blob = state.blobs[digest]
    blob.due_ms = 0
    if digest in state.blob_refs:
        return
    if blob.lease_ms > state.now_ms:
        references.look_later(state, blob)
        return
    del state.blobs[digest]
    turn.events.append(BlobForgotten(digest))
