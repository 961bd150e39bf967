"""The key-value store: values, counters and sets. A key is one kind at a time; `KvPut` replaces any.

What a write does is decided and carried out by `kv_changes.py`; here it meets the log, alone or in a
batch.
"""

from __future__ import annotations

from typing import Any, Final

from titan.fsm.batch import Draft, batchable
from titan.fsm.commands import KvCas, KvDelete, KvIncr, KvPut, KvSetAdd, KvSetRemove, KvWrite
from titan.fsm.handling import Stamp, Turn, handles
from titan.fsm.kv_changes import Change, Pad, decide, perform
from titan.fsm.locks import why_not_held
from titan.fsm.outcomes import Outcome, Rejected
from titan.fsm.state import State

_WRITES: Final = (KvPut, KvDelete, KvCas, KvIncr, KvSetAdd, KvSetRemove)


def write(state: State, cmd: KvWrite, at: Stamp) -> Outcome:
    """Change a key; answers as the command says."""
    if cmd.lock:
        refusal = why_not_held(state, cmd.lock, cmd.token)
        if refusal is not None:
            return refusal
    change = decide(cmd, state.kv.get(cmd.key), keys=len(state.kv))
    if isinstance(change, Rejected):
        return change
    turn = Turn(state, at)
    return turn.done(perform(turn, change))


def check(draft: Draft, cmd: KvWrite) -> Change | Rejected:
    """The same in a batch: what it does after what comes before it there."""
    refusal = why_not_held(draft.state, cmd.lock, cmd.token)
    if refusal is not None:
        return refusal
    pad = draft.pad(Pad)
    before = pad.keys[cmd.key] if cmd.key in pad.keys else draft.state.kv.get(cmd.key)
    change = decide(cmd, before, keys=len(draft.state.kv) + pad.added)
    if isinstance(change, Rejected):
        return change
    if isinstance(cmd, KvCas) and not change.act:
        return Rejected("cas_failed", f"'{cmd.key}' does not hold what was expected")
    pad.note(change, before)
    return change


def apply(turn: Turn, _cmd: KvWrite, change: Change) -> Any:
    """Carry out what `check` decided."""
    return perform(turn, change)


for _kind in _WRITES:
    handles(_kind)(write)
    batchable(_kind, check=check, apply=apply)
