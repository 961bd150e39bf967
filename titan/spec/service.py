"""What only services declare: how their health is asked, and how they are started again.

Parts of `JobSpec`, so the same rules hold: field names are on disk, new ones get a default.
"""

from __future__ import annotations

from typing import Final

import msgspec

HEALTH_KINDS: Final = ("tcp", "http", "command")
NO_LIMIT: Final = -1


class HealthSpec(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """One probe, asked again and again. `tcp` connects to the port, `http` wants an answer below 400."""

    kind: str = "tcp"
    path: str = "/"  # http
    argv: tuple[bytes, ...] = ()  # command: exactly one of argv and shell
    shell: bytes = b""
    interval_ms: int = 2_000
    timeout_ms: int = 2_000  # of one probe
    start_period_ms: int = 30_000  # failures before it was first healthy do not count for so long
    healthy_after: int = 1  # successes in a row
    unhealthy_after: int = 3  # failures in a row


class RestartSpec(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What happens when a service ends without being told to."""

    limit: int = NO_LIMIT  # starts again so many times in a row
    backoff_ms: int = 500  # before the first; doubles
    backoff_cap_ms: int = 30_000
    unhealthy_ms: int = 30_000  # unhealthy for so long: killed and started again; 0 never


DEFAULT_HEALTH: Final = HealthSpec()
DEFAULT_RESTART: Final = RestartSpec()
