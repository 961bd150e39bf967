"""What people configure, in one place: addresses and defaults, with the checks that belong to them."""

from __future__ import annotations

import ipaddress
from typing import Final

from titan.errors import UserError

DEFAULT_LISTEN: Final = "127.0.0.1:9090"
DEFAULT_HTTP: Final = "127.0.0.1:9080"
PORT_MAX: Final = 65_535


def split_address(address: str, *, default_port: int | None = None) -> tuple[str, int]:
    """("host", port) of "host:port" or "[v6]:port". Raises `UserError` naming what is wrong."""
    host, colon, port = address.rpartition(":")
    if not colon:
        host, port = address, ""
    if not port and default_port is not None:
        port = str(default_port)
    if not host or not port.isdecimal() or int(port) > PORT_MAX:
        raise UserError(
            f"{address!r} is not an address", hint="write it as host:port, e.g. 127.0.0.1:9090"
        )
    return host.removeprefix("[").removesuffix("]"), int(port)


def split_addresses(text: str) -> tuple[str, ...]:
    """The addresses in "a:1,b:2", checked, without repeats, in order."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    for part in parts:
        split_address(part)
    return tuple(dict.fromkeys(parts))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
