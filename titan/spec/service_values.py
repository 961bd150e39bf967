"""From what people write for `port`, `health` and `restart` to what `JobSpec` holds; see `values.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from titan.config import PORT_MAX
from titan.limits import PROBE_INTERVAL_MS_MIN, PROBES_IN_A_ROW_MAX, RETRIES_MAX
from titan.spec import values
from titan.spec.model import DEFAULT_TIMEOUT_MS
from titan.spec.problems import did_you_mean
from titan.spec.service import HEALTH_KINDS, NO_LIMIT, HealthSpec, RestartSpec

Readers = Mapping[str, tuple[str, Callable[[Any], Any]]]

_NUMBER: Final = {"type": "number", "minimum": 0}
_COUNT: Final = {"type": "integer", "minimum": 1, "maximum": PROBES_IN_A_ROW_MAX}
_in_a_row = partial(values.whole, low=1, high=PROBES_IN_A_ROW_MAX)

_PROBE: Final[Readers] = {
    "interval": ("interval_ms", partial(values.seconds, low_ms=PROBE_INTERVAL_MS_MIN)),
    "timeout": ("timeout_ms", partial(values.seconds, low_ms=1)),
    "start_period": ("start_period_ms", values.seconds),
    "healthy_after": ("healthy_after", _in_a_row),
    "unhealthy_after": ("unhealthy_after", _in_a_row),
}

PORT_SCHEMA: Final = {"type": "integer", "minimum": 0, "maximum": PORT_MAX}
HEALTH_SCHEMA: Final[Mapping[str, Any]] = {
    "anyOf": [
        {"enum": ["tcp"]},
        {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "tcp": {"type": ["boolean", "null"]},
                "http": {"type": "string", "pattern": "^/"},
                "command": {"type": ["string", "array"]},
                "interval": _NUMBER,
                "timeout": _NUMBER,
                "start_period": _NUMBER,
                "healthy_after": _COUNT,
                "unhealthy_after": _COUNT,
            },
        },
    ]
}
RESTART_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "limit": {"anyOf": [{"type": "integer", "minimum": 0}, {"enum": ["none", None]}]},
        "backoff": _NUMBER,
        "backoff_cap": _NUMBER,
        "unhealthy": _NUMBER,
    },
}


port = partial(values.whole, low=0, high=PORT_MAX)


def health(value: object) -> HealthSpec:
    """`tcp`, or a mapping with one of `tcp`, `http: /path` and `command`, and when to ask."""
    if value == "tcp":
        return HealthSpec()
    given = _mapping(value)
    kinds = [name for name in HEALTH_KINDS if name in given and given[name] is not False]
    if len(kinds) > 1:
        raise ValueError(f"asks by {' and '.join(kinds)}; choose one")
    kind = kinds[0] if kinds else "tcp"
    rest = {name: each for name, each in given.items() if name not in HEALTH_KINDS}
    found = _read(rest, _PROBE, known=(*_PROBE, *HEALTH_KINDS))
    if kind == "http":
        found["path"] = _path(given["http"])
    elif kind == "command":
        found |= values.command(given["command"])
    return HealthSpec(kind=kind, **found)


def restart(value: object) -> RestartSpec:
    """A mapping of `limit`, `backoff`, `backoff_cap` and `unhealthy`."""
    return RestartSpec(**_read(_mapping(value), _RESTART, known=tuple(_RESTART)))


def _limit(value: object) -> int:
    if value is None or value == "none":
        return NO_LIMIT
    return values.whole(value, low=0, high=RETRIES_MAX)


_RESTART: Final[Readers] = {
    "limit": ("limit", _limit),
    "backoff": ("backoff_ms", values.seconds),
    "backoff_cap": ("backoff_cap_ms", values.seconds),
    "unhealthy": ("unhealthy_ms", values.seconds),
}


def _path(value: object) -> str:
    text = values.text_of(value)
    if not text.startswith("/") or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"http must be a path that begins with /, not {text!r}")
    return text


def _read(given: Mapping[str, Any], readers: Readers, *, known: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in given.items():
        if name not in readers:
            raise ValueError(f"has no {name!r}{did_you_mean(str(name), known)}")
        attr, read = readers[name]
        try:
            found[attr] = read(value)
        except ValueError as why:
            raise ValueError(f"{name} {why}") from None
    return found


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a mapping, not {values.kind_of(value)}")
    return value


class ServiceFault(NamedTuple):
    """What is wrong with a job, in which of its fields."""

    field: str
    message: str


def service_faults(attrs: Mapping[str, Any], *, needs_port: bool = True) -> Iterator[ServiceFault]:
    """What a job, by its attributes as read, must not say or leaves out."""
    if attrs.get("type") != "service":
        for name in ("port", "health", "restart"):
            if attrs.get(name) not in (None, 0):
                yield ServiceFault(name, f"only a service has {name!r}; set type: service")
        return
    if needs_port and "port" not in attrs:
        yield ServiceFault("port", "a service needs one; 0 means that Titan picks it")
    if "timeout_ms" in attrs and attrs["timeout_ms"] != DEFAULT_TIMEOUT_MS:
        yield ServiceFault("timeout", "a service has none: it runs until it is stopped")
