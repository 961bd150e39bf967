"""How commands talk to a cluster: one client, one event loop, one deadline for a person who waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

from titan.config import split_address
from titan.errors import Unavailable
from titan.sdk import given
from titan.sdk.discovery import first_masters

if TYPE_CHECKING:
    from titan.sdk import AsyncClient

T = TypeVar("T")
Masters = tuple[str, ...] | None  # as --masters gives them; None: from the environment

DEADLINE_S: Final = 15.0  # a fail-over takes well under this; nobody waits longer for an error
KNOCK_TIMEOUT_S: Final = 1.0


def run(masters: Masters, work: Callable[[AsyncClient], Awaitable[T]]) -> T:
    """Do `work(client)` and close the client. Raises `Unavailable` at once when nobody listens."""
    return asyncio.run(with_client(masters, work))


async def with_client(masters: Masters, work: Callable[[AsyncClient], Awaitable[T]]) -> T:
    """`run`, for code that is in an event loop already."""
    from titan.sdk.aio import AsyncClient

    addresses = first_masters(masters)
    if not await anyone_listens(addresses):
        raise Unavailable(
            f"no master answers at {', '.join(addresses)}",
            hint="start a cluster with `titan up`, or name its masters by --masters or TITAN_MASTERS",
        )
    client = AsyncClient(addresses, deadline_s=DEADLINE_S, who=given.who("cli"))
    try:
        return await work(client)
    finally:
        await client.close()


async def worker_names(client: AsyncClient) -> dict[str, str]:
    """Workers' names by id, of those whose name tells them apart."""
    workers = await client.list_workers()
    names = [worker.name for worker in workers]
    return {one.id: one.name for one in workers if one.name and names.count(one.name) == 1}


async def anyone_listens(addresses: tuple[str, ...]) -> bool:
    """Whether something accepts connections at any of the addresses."""
    knocks = await asyncio.gather(*(_knock(address) for address in addresses))
    return any(knocks)


async def _knock(address: str) -> bool:
    host, port = split_address(address)
    try:
        async with asyncio.timeout(KNOCK_TIMEOUT_S):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def is_ready(addresses: tuple[str, ...], *, workers: int) -> bool:
    """Whether a leader serves and at least `workers` workers are online; never waits long."""
    from titan.sdk.aio import AsyncClient

    client = AsyncClient(addresses, deadline_s=KNOCK_TIMEOUT_S)
    try:
        online = [one for one in await client.list_workers() if one.state == "online"]
    except Unavailable:
        return False
    else:
        return len(online) >= workers
    finally:
        await client.close()
