"""How often a job is tried, and how long it may take."""

from __future__ import annotations

from typing import Final

from titan.limits import DURATION_MS_MAX, RETRIES_MAX
from titan.spec import values
from titan.spec.fields.field import Field, seconds, whole

ATTEMPTS: Final[tuple[Field, ...]] = (
    Field("retries", "retries", *whole(0, RETRIES_MAX), "Further attempts after the first."),
    Field(
        "retry_backoff_ms",
        "retry_backoff_ms",
        *whole(0, DURATION_MS_MAX),
        "Milliseconds before the first retry; doubles.",
    ),
    Field(
        "retry_backoff_cap_ms",
        "retry_backoff_cap_ms",
        *whole(0, DURATION_MS_MAX),
        "The longest wait before a retry, in milliseconds.",
    ),
    Field(
        "no_retry_exit_codes",
        "no_retry_exit_codes",
        values.exit_codes,
        {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 255}},
        "Exit codes that end the job at once.",
    ),
    Field(
        "timeout", "timeout_ms", *seconds(low_ms=1), "Seconds until the process group is killed."
    ),
    Field(
        "queue_timeout",
        "queue_timeout_ms",
        *seconds(),
        "Seconds until a job that found no worker fails; 0 waits for ever.",
    ),
)
