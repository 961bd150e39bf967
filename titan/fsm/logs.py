"""Finished logs: the small ones travel with the result and wait here until many are one blob.

So a log is as durable as the result it belongs to, a job that prints nothing costs nothing, and the state
keeps no word about any single log: a pack is one record for thousands of them, and the blob itself tells
which attempts it holds. Packs of larger logs come from the workers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from titan.fsm import references
from titan.fsm.commands import KeepLogs, PackLogs
from titan.fsm.events import LogTailGrew
from titan.fsm.handling import Stamp, Turn, handles
from titan.fsm.outcomes import Outcome, Rejected
from titan.fsm.records.files import LogPack, TailLog
from titan.fsm.state import Attempt, State
from titan.ids import AttemptId, Digest, RunId, is_digest
from titan.limits import (
    LOG_INLINE_BYTES_MAX,
    LOG_PACK_ATTEMPTS_MAX,
    LOG_TAIL_BYTES_MAX,
    LOG_TAIL_ENTRY_BYTES,
    LOG_TAIL_PACK_BYTES,
)


def note(turn: Turn, attempt: Attempt, *, text: bytes) -> None:
    """Keep the small log of an attempt that ends now. When packing is far behind, the oldest go."""
    state = turn.state
    if not text or len(text) > LOG_INLINE_BYTES_MAX:
        return
    state.log_tail[attempt.id] = TailLog(
        attempt.run, attempt.job, text, attempt.assigned_ms, turn.at.now_ms
    )
    state.log_tail_bytes += size_of(state.log_tail[attempt.id])
    while state.log_tail_bytes > LOG_TAIL_BYTES_MAX:
        _drop(state, next(iter(state.log_tail)))
    if state.log_tail_bytes >= LOG_TAIL_PACK_BYTES:
        turn.events.append(LogTailGrew())


def size_of(log: TailLog) -> int:
    """What a log counts for in the tail."""
    return LOG_TAIL_ENTRY_BYTES + len(log.text)


def _drop(state: State, attempt: AttemptId) -> RunId | None:
    log = state.log_tail.pop(attempt, None)
    if log is None:
        return None
    state.log_tail_bytes -= size_of(log)
    return log.run


@handles(PackLogs)
def pack_logs(state: State, cmd: PackLogs, at: Stamp) -> Outcome:
    """The small logs of these attempts are in a blob now. Answers how many left the tail."""
    refusal = _why_not(state, cmd.digest, cmd.attempts) if cmd.digest else None
    if refusal is not None:
        return refusal
    dropped = [run for run in (_drop(state, one) for one in cmd.attempts) if run is not None]
    if cmd.digest:
        _keep(state, cmd.digest, attempts=cmd.attempts, runs=dropped)
    return Turn(state, at).done(len(dropped))


@handles(KeepLogs)
def keep_logs(state: State, cmd: KeepLogs, at: Stamp) -> Outcome:
    """Logs of a worker are in a blob. Answers whether any of their runs is still known."""
    refusal = _why_not(state, cmd.digest, cmd.attempts)
    if refusal is not None:
        return refusal
    return Turn(state, at).done(_keep(state, cmd.digest, attempts=cmd.attempts, runs=cmd.runs))


def _why_not(state: State, digest: Digest, attempts: Sequence[AttemptId]) -> Rejected | None:
    if not is_digest(digest) or not 0 < len(attempts) <= LOG_PACK_ATTEMPTS_MAX:
        return Rejected("invalid", f"a pack is a blob with 1 to {LOG_PACK_ATTEMPTS_MAX} logs")
    if digest not in state.blobs:
        return Rejected("unknown_blob", f"no master holds {digest}; upload it first")
    return None


def _keep(
    state: State, digest: Digest, *, attempts: Sequence[AttemptId], runs: Iterable[RunId]
) -> bool:
    wanted = tuple(state.runs[run].id for run in dict.fromkeys(runs) if run in state.runs)
    first, last = min(attempts), max(attempts)
    if not wanted or _is_kept(state, wanted[0], LogPack(digest, first, last, wanted)):
        return bool(wanted)
    number = state.next_log_pack
    state.next_log_pack += 1
    state.log_packs[number] = LogPack(digest, first, last, wanted)
    for run in wanted:
        state.packs_of[run] = (*state.packs_of.get(run, ()), number)
    references.hold(state, (digest,))
    return True


def _is_kept(state: State, run: RunId, pack: LogPack) -> bool:
    """A repeat of what was said before, maybe by another life of the worker."""
    return any(state.log_packs[number] == pack for number in state.packs_of.get(run, ()))


def run_is_forgotten(turn: Turn, run: RunId) -> None:
    """The run is gone: so is a pack whose runs are all gone."""
    state = turn.state
    for number in state.packs_of.pop(run, ()):
        pack = state.log_packs[number]
        left = tuple([other for other in pack.runs if other != run])
        if left:
            state.log_packs[number] = msgspec.structs.replace(pack, runs=left)
        else:
            del state.log_packs[number]
            references.release(turn, (pack.digest,))


def packs_with(state: State, run: RunId, attempt: AttemptId) -> list[LogPack]:
    """The packs that may hold an attempt's log, the newest first."""
    found = [state.log_packs[number] for number in state.packs_of.get(run, ())]
    return [pack for pack in reversed(found) if pack.first <= attempt <= pack.last]


def rebuild(state: State) -> None:
    """The indices of this noun, from the records."""
    state.log_tail_bytes = sum(size_of(log) for log in state.log_tail.values())
    state.packs_of = {}
    for number, pack in state.log_packs.items():
        for run in pack.runs:
            state.packs_of[state.runs[run].id] = (*state.packs_of.get(run, ()), number)
