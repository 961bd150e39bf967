"""Which masters a client begins with; it learns the others from the first that answers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from titan.config import DEFAULT_LISTEN, split_address, split_addresses
from titan.errors import UserError


def first_masters(
    masters: str | Iterable[str] | None, *, environment: Mapping[str, str] = os.environ
) -> tuple[str, ...]:
    """The argument, else `TITAN_MASTERS`, else `TITAN_HOST` and `TITAN_PORT`, else 127.0.0.1:9090.

    Raises `UserError` for what is not `host:port`, and for an empty list.
    """
    if masters is not None:
        text = masters if isinstance(masters, str) else ",".join(masters)
        found = split_addresses(text)
        if not found:
            raise UserError(
                "the list of masters is empty", hint='write it as "host:port,host:port"'
            )
        return found
    if environment.get("TITAN_MASTERS", "").strip(" ,"):
        return split_addresses(environment["TITAN_MASTERS"])
    default_host, default_port = split_address(DEFAULT_LISTEN)
    host = environment.get("TITAN_HOST") or default_host
    port = environment.get("TITAN_PORT") or str(default_port)
    bracketed = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return split_addresses(f"{bracketed}:{port}")
