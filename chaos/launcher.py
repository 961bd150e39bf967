"""Starts a master whose way to the other masters leads through the proxies of `chaos.network.proxy`.

The only place of the harness that reaches into the product: it replaces `titan.wire.endpoint.dial`
before anything else has imported it. Nothing but the socket's destination changes.
"""

from __future__ import annotations

import json
import os
from typing import Any

from titan.wire import endpoint


def take_detours(routes: dict[str, str]) -> None:
    """From now on `dial` connects to `routes[address]` where there is one."""
    direct = endpoint.dial

    async def dial(address: str, *arguments: Any, **options: Any) -> Any:
        return await direct(routes.get(address, address), *arguments, **options)

    endpoint.dial = dial


def main() -> None:
    """Become `titan` with the detours of the environment."""
    take_detours(json.loads(os.environ["CHAOS_ROUTES"]))
    from titan.cli.main import main as titan

    titan()


if __name__ == "__main__":
    main()
