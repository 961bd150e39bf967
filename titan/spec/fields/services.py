"""What a service declares."""

from __future__ import annotations

from typing import Final

from titan.spec import service_values
from titan.spec.fields.field import Field

SERVICES: Final[tuple[Field, ...]] = (
    Field(
        "port",
        "port",
        service_values.port,
        service_values.PORT_SCHEMA,
        "Services: where it listens, as $TITAN_PORT; 0 means that Titan picks one.",
        per_job=False,
    ),
    Field(
        "health",
        "health",
        service_values.health,
        service_values.HEALTH_SCHEMA,
        "Services: tcp, http: /path or command; interval, timeout, start_period, thresholds.",
        per_job=False,
    ),
    Field(
        "restart",
        "restart",
        service_values.restart,
        service_values.RESTART_SCHEMA,
        "Services: limit, backoff, backoff_cap, unhealthy, in seconds.",
        per_job=False,
    ),
)
