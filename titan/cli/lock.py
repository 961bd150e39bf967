"""`titan lock`: who holds what."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click
import msgspec

from titan.cli import ask, output
from titan.cli.options import json_option, masters_option
from titan.fsm.queries import ClaimView, LockView

if TYPE_CHECKING:
    from titan.sdk import AsyncClient


@click.group()
def lock() -> None:
    """Look at locks. Programs take them by the SDK."""


@lock.command("list")
@click.argument("prefix", default="")
@masters_option()
@json_option()
def list_locks(*, prefix: str, masters: ask.Masters, as_json: bool) -> None:
    """List the locks whose names start with PREFIX: holders, tokens, and how many wait."""

    async def work(client: AsyncClient) -> list[LockView]:
        return await client.list_locks(prefix)

    found = ask.run(masters, work)
    if as_json:
        output.print_json([_lock_json(one) for one in found])
        return
    output.print_table(
        ("lock", "#token", "holder", "data", "ends", "#waiting"),
        [_row(one, holder) for one in found for holder in one.holders],
        empty="no lock is held",
    )


def _lock_json(one: LockView) -> dict[str, object]:
    holders = [
        {
            name: value
            for name, value in msgspec.structs.asdict(holder).items()
            if name != "position"
        }
        for holder in one.holders
    ]
    return {"name": one.name, "slots": one.slots, "waiting": one.waiting, "holders": holders}


def _row(one: LockView, holder: ClaimView) -> tuple[str, ...]:
    return (
        output.plain(one.name),
        str(holder.token),
        output.plain(holder.owner) or "-",
        output.plain(holder.data) or "-",
        f"in {output.took(time.time_ns() // 1_000_000, holder.due_ms)}",
        str(one.waiting),
    )
