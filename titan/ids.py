"""Identifiers: what they look like, who draws them, how they are read back.

Ids are drawn outside the state machine (clients draw run and request ids, workers and masters their
own), except attempt ids, which are a counter in the state. Drawn ids sort by time of creation.
"""

from __future__ import annotations

import os
import re
import time
from typing import NewType

RunId = NewType("RunId", str)  # "r-" + 20 characters, drawn by the client
JobId = NewType("JobId", str)  # the user's, unique within its run
AttemptId = NewType("AttemptId", int)  # a counter of the state machine, never reused
WorkerId = NewType("WorkerId", str)  # kept in the worker's data directory
MasterId = NewType("MasterId", str)  # kept in the master's data directory
Digest = NewType("Digest", str)  # 64 hex digits: the SHA-256 of a blob

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u
_JOB_ID = re.compile(r"[A-Za-z0-9._-]{1,128}\Z")
_RUN_ID = re.compile(r"r-[0-9a-hjkmnp-tv-z]{20}\Z")
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_V1_PREFIX = "DAG-"


def _base32(number: int, *, digits: int) -> str:
    out = []
    for _ in range(digits):
        number, low = divmod(number, 32)
        out.append(_ALPHABET[low])
    return "".join(reversed(out))


def _draw(prefix: str) -> str:
    time_part = _base32(time.time_ns() // 1_000_000, digits=10)
    random_part = _base32(int.from_bytes(os.urandom(7), "big") % 32**10, digits=10)
    return f"{prefix}-{time_part}{random_part}"


def new_run_id() -> RunId:
    """Draw a run id: ten characters of time, ten of chance."""
    return RunId(_draw("r"))


def run_id_of(number: int) -> RunId:
    """The run id that stands for a number, of which the lowest 100 bits count: for ids that are derived."""
    return RunId(f"r-{_base32(number, digits=20)}")


def new_worker_id() -> WorkerId:
    """Draw a worker id."""
    return WorkerId(_draw("w"))


def new_master_id() -> MasterId:
    """Draw a master id."""
    return MasterId(_draw("m"))


def new_client_id() -> str:
    """Draw the id of a client session; requests are numbered within it."""
    return _draw("c")


def new_claim_id() -> str:
    """Draw the id of one claim of a lock."""
    return _draw("k")


def new_incarnation() -> int:
    """Draw the number of one life of a process: 53 bits, so that every JSON reader keeps it whole."""
    return int.from_bytes(os.urandom(7), "big") >> 3


def is_job_id(text: str) -> bool:
    """Whether `text` may name a job."""
    return _JOB_ID.match(text) is not None


def is_run_id(text: str) -> bool:
    """Whether `text` is shaped like a run id."""
    return _RUN_ID.match(text) is not None


def is_digest(text: str) -> bool:
    """Whether `text` is 64 lower-case hex digits."""
    return _DIGEST.match(text) is not None


def strip_v1_prefix(text: str) -> str:
    """Titan v1 printed jobs as `DAG-<id>`; accept and ignore the prefix."""
    return text.removeprefix(_V1_PREFIX)
