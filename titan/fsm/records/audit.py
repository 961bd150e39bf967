"""An order that somebody gave and that took effect: a line of the audit."""

from __future__ import annotations

import msgspec


class Order(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Who did what to which object. An array on disk: new fields go to the end, with a default."""

    number: int  # 1, 2, 3, … through all kinds
    index: int  # of the log
    at_ms: int
    who: str  # as declared: "cli ada@laptop", "sdk etl.py ada@laptop", "dashboard ada", "http 10.0.0.7"
    action: str  # run.submit, worker.mode, …: the tag of the command, or nearly
    kind: str  # of the object: run, job, gate, key, worker, …
    object: str
    detail: str = ""  # one line for people; never a value or a secret
