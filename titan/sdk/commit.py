"""Effects of a task that are committed together: collected here, sent as one when the block ends.

The same collector serves code with and without asyncio, since nothing happens before the end.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from titan.errors import LimitExceeded, UserError
from titan.fsm.commands import (
    AckSignal,
    CommitEffects,
    KvCas,
    KvDelete,
    KvIncr,
    KvPut,
    KvSetAdd,
    KvSetRemove,
    SetOutput,
    Spend,
    encode_command,
)
from titan.fsm.commands import Effect as Command
from titan.limits import EFFECTS_PER_COMMIT_MAX, ENTRY_BYTES_MAX, ENTRY_MARGIN_BYTES
from titan.sdk.fencing import Fence, fence
from titan.sdk.payloads import json_bytes
from titan.sdk.store import Value, encode_value, ttl_ms_of

if TYPE_CHECKING:
    from titan.sdk.jobs import TitanJob
    from titan.sdk.runs import RunsApi
    from titan.sdk.signals import Signal

COMMIT_BYTES_MAX: Final = ENTRY_BYTES_MAX - ENTRY_MARGIN_BYTES
Later = Callable[["RunsApi"], Awaitable[Command]]  # an effect that needs files to be there first


class Answer:
    """What an effect of a commit will answer; known once the block has ended."""

    def __init__(self) -> None:
        self._known = False
        self._value: Any = None

    @property
    def value(self) -> Any:
        """The answer. Raises `UserError` before the commit."""
        if not self._known:
            raise UserError("the answer is known once the commit's block has ended")
        return self._value

    def settle(self, value: Any) -> None:
        """The commit is done."""
        self._known, self._value = True, value

    def __repr__(self) -> str:
        return f"<answer {self._value!r}>" if self._known else "<answer, not yet>"


class Commit:
    """`with current().commit() as c:`; see the module. Effects apply in the order of the calls, each
    sees those before it, and one that cannot be takes all of them with it."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._effects: list[Command | Later] = []
        self._answers: list[Answer] = []

    def add(self, effect: Command | Later) -> Answer:
        """One more effect; how other kinds of effects join."""
        self._effects.append(effect)
        self._answers.append(Answer())
        return self._answers[-1]

    def set_output(self, value: Any) -> Answer:
        """What the job puts out."""
        return self.add(SetOutput(value=json_bytes(value, what="an output")))

    def store_put(self, key: str, value: Value | float, *, ttl_s: float | None = None) -> Answer:
        """Set a key; answers its version."""
        raw, binary = encode_value(value)
        return self.add(KvPut(key=key, value=raw, binary=binary, ttl_ms=ttl_ms_of(ttl_s)))

    def store_delete(self, key: str) -> Answer:
        """Remove a key; answers whether it was there."""
        return self.add(KvDelete(key=key))

    def store_cas(
        self,
        key: str,
        expected: Value | float | None,
        value: Value | float,
        *,
        ttl_s: float | None = None,
    ) -> Answer:
        """Set a key that holds `expected` (None: is missing). If it does not, the whole commit is
        refused with `cas_failed`."""
        raw, binary = encode_value(value)
        before = None if expected is None else encode_value(expected)[0]
        ttl_ms = ttl_ms_of(ttl_s)
        return self.add(KvCas(key=key, expected=before, value=raw, binary=binary, ttl_ms=ttl_ms))

    def store_incr(self, key: str, by: int = 1) -> Answer:
        """Add to a counter; answers the new value."""
        return self.add(KvIncr(key=key, by=by))

    def store_sadd(self, key: str, member: str) -> Answer:
        """Add a member to a set; answers 1 if it is new, else 0."""
        return self.add(KvSetAdd(key=key, member=str(member)))

    def store_srem(self, key: str, member: str) -> Answer:
        """Remove a member from a set; answers 1 if it was there, else 0."""
        return self.add(KvSetRemove(key=key, member=str(member)))

    def submit(self, jobs: TitanJob | Iterable[TitanJob]) -> Answer:
        """Add jobs to the task's own run; answers how many. Their files are sent before the commit."""
        listed = as_list(jobs)

        async def addition(client: RunsApi) -> Command:
            return await client._addition(self._run, listed)

        return self.add(addition)

    def publish_artifact(self, key: str, file: str | os.PathLike[str]) -> Answer:
        """Store a file under a key; its bytes are sent before the commit."""

        async def publication(client: RunsApi) -> Command:
            return await client._publication(key, file)

        return self.add(publication)

    def spend(self, unit: str, amount: int) -> Answer:
        """Use some units; answers what is left. If there are not enough, the whole commit is refused."""
        return self.add(Spend(unit=unit, amount=amount))

    def ack(self, signal: Signal) -> Answer:
        """Take a signal that `wait_signal(ack=False)` gave: it and what it led to count once."""
        return self.add(AckSignal(seq=signal.seq))

    async def command(self, client: RunsApi, *, if_lock: Fence | None) -> CommitEffects | None:
        """All of it as one command, with everything it refers to in place; None when it is empty.
        Raises `LimitExceeded`."""
        if len(self._effects) > EFFECTS_PER_COMMIT_MAX:
            raise LimitExceeded(
                f"{len(self._effects)} effects in one commit; at most {EFFECTS_PER_COMMIT_MAX}",
                hint="commit in several steps",
            )
        effects = [await one(client) if callable(one) else one for one in self._effects]
        if not effects:
            return None
        command = CommitEffects(effects=tuple(effects), **fence(if_lock))
        size = len(encode_command(command))
        if size > COMMIT_BYTES_MAX:
            raise LimitExceeded(
                f"the commit takes {size} bytes; at most {COMMIT_BYTES_MAX}",
                hint="store large values as files, or commit in several steps",
            )
        return command

    def settle(self, values: Iterable[Any]) -> None:
        """The answers of the effects, in order."""
        for answer, value in zip(self._answers, values, strict=True):
            answer.settle(value)


def as_list(jobs: TitanJob | Iterable[TitanJob]) -> list[TitanJob]:
    """One job or several, as a list."""
    return list(jobs) if isinstance(jobs, Iterable) else [jobs]
