"""Committing a batch of effects: all of them or none, in one entry of the log. See `batch.py`."""

from __future__ import annotations

from typing import Any

import msgspec

from titan.fsm.batch import BATCHABLES, Draft, checked
from titan.fsm.commands import CommitEffects
from titan.fsm.handling import Stamp, Turn, handles
from titan.fsm.locks import why_not_held
from titan.fsm.outcomes import Outcome, Rejected
from titan.fsm.state import State
from titan.limits import EFFECTS_PER_COMMIT_MAX


@handles(CommitEffects)
def commit_effects(state: State, cmd: CommitEffects, at: Stamp) -> Outcome:
    """Check everything, then do everything. Answers what each effect answers, in order."""
    if len(cmd.effects) > EFFECTS_PER_COMMIT_MAX:
        why = f"{len(cmd.effects)} effects; one commit has at most {EFFECTS_PER_COMMIT_MAX}"
        return Rejected("too_large", why)
    refusal = why_not_held(state, cmd.lock, cmd.token)
    if refusal is not None:
        return refusal
    draft = Draft(state, at)
    tickets: list[Any] = []
    for place, effect in enumerate(cmd.effects, start=1):
        ticket = checked(draft, effect)
        if isinstance(ticket, Rejected):
            why = f"effect {place} of {len(cmd.effects)}: {ticket.why}"
            return msgspec.structs.replace(ticket, why=why)
        tickets.append(ticket)
    turn = Turn(state, at)
    return turn.done(
        [
            BATCHABLES[type(effect)].apply(turn, effect, ticket)
            for effect, ticket in zip(cmd.effects, tickets, strict=True)
        ]
    )
