"""How long what has ended is kept: the policy of a cluster, part of the state."""

from __future__ import annotations

import msgspec

from titan.limits import BLOB_LEASE_MS, FINISHED_JOBS_MAX, FINISHED_KEEP_MS, FINISHED_RUNS_MAX


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """Which finished runs are kept, and for how long a blob that nothing refers to. On disk: a map."""

    runs_max: int = FINISHED_RUNS_MAX  # the newest finished ones
    jobs_max: int = FINISHED_JOBS_MAX  # of all of them together
    keep_ms: int = FINISHED_KEEP_MS  # since the end of a run
    lease_ms: int = BLOB_LEASE_MS  # since the upload of a blob, or since somebody was told of it
