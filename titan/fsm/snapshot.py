"""The whole state as blocks of bytes, and back.

Format 1: a block is the msgpack of `[section, data]`. First the header, then any number of blocks per
section, last the end with the count of blocks, so that a cut snapshot cannot pass for a whole one. Jobs
are encoded as they stand, in runs of a few thousand, by msgspec in C: freezing 100,000 jobs has to be
cheap because it happens between two entries. What the state derives is rebuilt, never believed.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final, TypeVar

import msgspec

from titan.errors import Fatal
from titan.fsm import jobs
from titan.fsm.standing import run_state
from titan.fsm.state import (
    Attempt,
    Blob,
    Job,
    KvItem,
    Run,
    Session,
    Stage,
    State,
    Timer,
    Worker,
)
from titan.ids import JobId, RunId

SNAPSHOT_FORMAT: Final = 1
_JOBS_PER_BLOCK: Final = 4096  # about a megabyte
_ROWS_PER_BLOCK: Final = 64  # of records that may each be large
_encoder = msgspec.msgpack.Encoder()
T = TypeVar("T")
