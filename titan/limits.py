"""Every bound in Titan, each with its reason. Nothing grows without one of these."""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

# --- the log -------------------------------------------------------------------------------
ENTRY_BYTES_MAX: Final = 256 * KIB  # one fsync and one message; larger submissions are staged
ENTRY_COMMANDS_MAX: Final = 4096  # keeps one apply under a few tens of milliseconds
APPEND_BATCH_BYTES: Final = (
    512 * KIB
)  # above ENTRY_BYTES_MAX: the library must never split an entry
PROPOSALS_WAITING_MAX: Final = (
    65_536  # beyond it a master answers `unavailable` instead of queueing
)

# --- the wire ------------------------------------------------------------------------------
FRAME_BYTES_MAX: Final = 4 * MIB  # a batch of entries, with room; a longer length is a lie
FIRST_FRAME_BYTES_MAX: Final = 64 * KIB  # nobody needs more to say who they are
HELLO_TIMEOUT_S: Final = 5.0  # a connection that says nothing is closed
CHANNEL_WINDOW_BYTES: Final = 1 * MIB  # unacknowledged stream data per channel
CHANNELS_PER_CONNECTION_MAX: Final = 1024
SEND_BUFFER_BYTES_MAX: Final = 32 * MIB  # a peer that does not read is cut off
CONNECTIONS_MAX: Final = 4096  # per master; descriptors stay for the journal and blobs
CHUNK_BYTES: Final = 256 * KIB  # one piece of a blob or a log on the wire

# --- declarations --------------------------------------------------------------------------
JOBS_PER_RUN_MAX: Final = 200_000
JOB_SPEC_BYTES_MAX: Final = 64 * KIB  # arguments and environment; larger data is a file
PARENTS_PER_JOB_MAX: Final = 100_000
NAME_CHARS_MAX: Final = 128
RETRIES_MAX: Final = 1000
YAML_BYTES_MAX: Final = 16 * MIB
BUNDLE_BYTES_MAX: Final = 256 * MIB  # a project, packed; data sets are artifacts
BUNDLE_FILES_MAX: Final = 100_000
BUNDLE_UNPACKED_BYTES_MAX: Final = 2048 * MIB  # refuses archive bombs

# --- state ---------------------------------------------------------------------------------
KV_KEY_BYTES_MAX: Final = 512
KV_VALUE_BYTES_MAX: Final = 128 * KIB  # larger values are blobs
KV_SET_MEMBERS_MAX: Final = 65_536
OUTPUT_BYTES_MAX: Final = 64 * KIB  # a job's output in state; larger ones are blobs
SESSIONS_MAX: Final = 50_000  # client sessions remembered for idempotence
SESSION_RESULTS_MAX: Final = 1024  # requests one client may have in flight
SESSION_IDLE_MS: Final = 600_000  # how long a silent client may still repeat a request
ATTEMPT_HISTORY_MAX: Final = 16  # ended attempts kept per job, newest last
STAGED_BYTES_MAX: Final = 64 * MIB  # parts of submissions not yet completed
STAGE_TTL_MS: Final = 120_000
WORKERS_MAX: Final = 20_000
LIST_PAGE_MAX: Final = 1000  # rows in one answer; `after` asks for the next page

# --- workers -------------------------------------------------------------------------------
SLOTS_PER_WORKER_MAX: Final = 4096
PREFILL_PER_SLOT_MAX: Final = 8  # attempts waiting on the worker for each slot
LOG_READ_BYTES: Final = 256 * KIB
ERROR_TEXT_BYTES_MAX: Final = 2 * KIB  # a reason kept in state
WATCHERS_PER_MASTER_MAX: Final = 10_000

# --- disk ----------------------------------------------------------------------------------
DISK_RESERVE_BYTES: Final = 64 * MIB  # below it a master is read-only and says so
SEGMENT_BYTES: Final = 64 * MIB
