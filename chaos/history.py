"""What happened, one JSON object a line: operations, faults, roles, executions, final states.

An operation is one `invoke` line and one that ends it: `ok`; `unknown` for whatever failed, because a
failed call may have taken effect; `fail` only when it never left the client, which is as if it had not been
invoked. An invocation without an end is unknown as well. Times are seconds
since the start of the run on one monotonic clock. Owns the format; judges nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

NEVER: Final = float("inf")


@dataclass(slots=True)
class Op:
    """One operation of one client."""

    number: int
    client: str
    verb: str
    key: str
    args: list[Any]
    invoked_s: float
    ended_s: float = NEVER  # of an unknown one: never, so that it may take effect at any time
    known: bool = False
    value: Any = None
    why: str = ""  # it is unknown
    gave_up_s: float = NEVER  # when the client stopped waiting for an unknown one


@dataclass(slots=True)
class History:
    """A whole run, read back."""

    meta: dict[str, Any] = field(default_factory=dict)
    ops: list[Op] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)  # everything that is no operation

    def of(self, kind: str) -> Iterator[dict[str, Any]]:
        """The events of one kind, in order."""
        return (event for event in self.events if event["type"] == kind)

    def with_verb(self, *verbs: str) -> list[Op]:
        """Operations of some kinds, in order of invocation."""
        return [op for op in self.ops if op.verb in verbs]


class Recorder:
    """Appends to a history file. Flushed by line, so that a killed harness leaves a usable one."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8", buffering=1 << 16)
        self._began_s = time.monotonic()
        self._next = 1

    def now_s(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._began_s

    def event(self, kind: str, **fields: Any) -> None:
        """Write down anything that is no operation."""
        self._write({"t": round(self.now_s(), 6), "type": kind, **fields})
        self._file.flush()

    def invoke(self, client: str, verb: str, key: str, *args: Any) -> int:
        """An operation is about to be sent; answers its number."""
        number, self._next = self._next, self._next + 1
        self._write(
            {
                "t": round(self.now_s(), 6),
                "type": "invoke",
                "op": number,
                "client": client,
                "f": verb,
                "key": key,
                "args": args,
            }
        )
        return number

    def ok(self, number: int, value: Any = None) -> None:
        """It was answered."""
        self._write({"t": round(self.now_s(), 6), "type": "ok", "op": number, "value": value})

    def unknown(self, number: int, why: object) -> None:
        """It failed: nobody knows whether it took effect."""
        text = f"{type(why).__name__}: {why}"
        self._write({"t": round(self.now_s(), 6), "type": "unknown", "op": number, "why": text})

    def fail(self, number: int, why: object) -> None:
        """It never left the client."""
        self._write({"t": round(self.now_s(), 6), "type": "fail", "op": number, "why": str(why)})

    def close(self) -> None:
        """End the file."""
        self._file.close()

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")


def load(path: Path) -> History:
    """Read a history file. A last line that was cut off is ignored; other nonsense is a `ValueError`."""
    history = History()
    open_ops: dict[int, Op] = {}
    never_sent: set[int] = set()
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            if number == len(lines):
                break
            raise ValueError(f"{path}:{number}: not a record: {error}") from None
        _take(record, history, open_ops, never_sent)
    history.ops = [op for op in history.ops if op.number not in never_sent]
    return history


def _take(
    record: dict[str, Any], history: History, open_ops: dict[int, Op], never_sent: set[int]
) -> None:
    match record["type"]:
        case "meta":
            history.meta.update(record)
        case "invoke":
            op = Op(
                number=record["op"],
                client=record["client"],
                verb=record["f"],
                key=record["key"],
                args=list(record["args"]),
                invoked_s=record["t"],
            )
            history.ops.append(op)
            open_ops[op.number] = op
        case "ok":
            op = open_ops.pop(record["op"])
            op.ended_s, op.known, op.value = record["t"], True, record["value"]
        case "unknown":
            op = open_ops.pop(record["op"])
            op.why, op.gave_up_s = record["why"], record["t"]
        case "fail":
            never_sent.add(record["op"])
        case _:
            history.events.append(record)
