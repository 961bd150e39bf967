"""`titan store`: the key-value store."""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from titan.cli import ask, output
from titan.cli.options import json_option, masters_option
from titan.errors import Conflict, NotFound, UserError
from titan.fsm.queries import KvView

if TYPE_CHECKING:
    from titan.sdk import AsyncClient

SHOWN_CHARS_MAX = 60  # of a value in a table


@click.group()
def store() -> None:
    """Read and write the key-value store. Every write is durable on a majority of masters."""


@store.command()
@click.argument("key")
@masters_option()
@json_option()
def get(*, key: str, masters: ask.Masters, as_json: bool) -> None:
    """Print the value of KEY; the members, one a line, when it is a set. Exit code 4 when absent."""

    async def work(client: AsyncClient) -> str | bytes | list[str] | None:
        try:
            return await client.store_get(key)
        except Conflict as error:
            if error.reason != "wrong_type":
                raise
            return await client.store_smembers(key)

    found = ask.run(masters, work)
    if found is None:
        raise NotFound(f"no key {key}")
    if as_json:
        output.print_json({"key": key, **_value_json(found)})
    elif isinstance(found, bytes):
        sys.stdout.buffer.write(found)
    else:
        for line in [found] if isinstance(found, str) else found:
            click.echo(line)


@store.command("set")
@click.argument("key")
@click.argument("value", required=False)
@click.option("--file", "path", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Take the value from a file.")  # fmt: skip
@click.option("--ttl", type=click.FloatRange(min=0.001), default=None, metavar="SECONDS",
              help="Forget the key after this time.")  # fmt: skip
@masters_option()
def set_key(
    *, key: str, value: str | None, path: Path | None, ttl: float | None, masters: ask.Masters
) -> None:
    """Set KEY to VALUE, or to what --file holds."""
    if (value is None) == (path is None):
        raise UserError("give either VALUE or --file")
    content = path.read_bytes() if path is not None else os.fsencode(str(value))

    async def work(client: AsyncClient) -> int:
        return await client.store_put(key, text_if_text(content), ttl_s=ttl)

    ask.run(masters, work)


@store.command()
@click.argument("key")
@masters_option()
def delete(*, key: str, masters: ask.Masters) -> None:
    """Remove KEY. Exit code 4 when it was not there."""

    async def work(client: AsyncClient) -> bool:
        return await client.store_delete(key)

    if not ask.run(masters, work):
        raise NotFound(f"no key {key}")


@store.command("list")
@click.argument("prefix", default="")
@masters_option()
@json_option()
def list_keys(*, prefix: str, masters: ask.Masters, as_json: bool) -> None:
    """List the keys that start with PREFIX."""

    async def work(client: AsyncClient) -> list[KvView]:
        return await client.store_list(prefix)

    items = ask.run(masters, work)
    if as_json:
        output.print_json([item_json(item) for item in items])
        return
    output.print_table(
        ("key", "value", "#version", "expires"),
        [
            (output.plain(item.key), output.plain(_shown(item)), str(item.version), _expiry(item))
            for item in items
        ],
        empty="no such keys",
    )


@store.command()
@click.argument("prefix", default="")
@masters_option()
@json_option()
def watch(*, prefix: str, masters: ask.Masters, as_json: bool) -> None:
    """Print the keys that start with PREFIX, then each change, until interrupted.

    With --json one document a line; `value` is missing in the one that tells that a key is gone.
    """

    async def work(client: AsyncClient) -> None:
        async for change in client.watch(prefix):
            if as_json:
                shape = item_json(change.item) if change.item else {"key": change.key, "gone": True}
                output.print_json_line({**shape, "index": change.index})
            else:
                shown = _shown(change.item) if change.item else "(gone)"
                output.print_line(f"{change.index}  {change.key}  {shown}")

    ask.run(masters, work)


def item_json(item: KvView) -> dict[str, Any]:
    """A key for programs. Bytes travel as base64 and say so."""
    content = item.value if item.members is None else item.members
    shape = {"key": item.key, **_value_json(content)}
    return {**shape, "version": item.version, "expires_ms": item.expires_ms}


def _value_json(content: str | bytes | list[str]) -> dict[str, Any]:
    if isinstance(content, list):
        return {"members": content}
    if isinstance(content, bytes):
        return {"value": base64.b64encode(content).decode(), "encoding": "base64"}
    return {"value": content}


def text_if_text(content: bytes) -> str | bytes:
    """UTF-8 as text, so that readers get text back; anything else as bytes."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content


def _shown(item: KvView) -> str:
    if item.members is not None:
        return f"set of {len(item.members)}"
    if isinstance(item.value, bytes):
        return f"{len(item.value)} bytes"
    text = str(item.value).replace("\n", "⏎")
    return text if len(text) <= SHOWN_CHARS_MAX else text[:SHOWN_CHARS_MAX] + "…"


def _expiry(item: KvView) -> str:
    import time

    if not item.expires_ms:
        return "-"
    return f"in {output.took(time.time_ns() // 1_000_000, item.expires_ms)}"
