"""`titan store`: the key-value store."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from titan.cli import ask, output
from titan.cli.options import json_option, masters_option
from titan.errors import NotFound, UserError
from titan.fsm.commands import KvDelete, KvPut
from titan.fsm.queries import KvGet, KvList, KvView
from titan.limits import LIST_PAGE_MAX

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
def get(key: str, masters: ask.Masters, as_json: bool) -> None:
    """Print the value of KEY; the members, one a line, when it is a set. Exit code 4 when absent."""
    item: KvView | None = ask.query(masters, KvGet(key=key))
    if item is None:
        raise NotFound(f"no key {key}")
    if as_json:
        output.print_json(item_json(item))
    elif item.members is not None:
        for member in item.members:
            click.echo(member)
    elif isinstance(item.value, bytes):
        sys.stdout.buffer.write(item.value)
    else:
        click.echo(item.value)


@store.command("set")
@click.argument("key")
@click.argument("value", required=False)
@click.option("--file", "path", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Take the value from a file.")  # fmt: skip
@click.option("--ttl", type=click.FloatRange(min=0.001), default=None, metavar="SECONDS",
              help="Forget the key after this time.")  # fmt: skip
@masters_option()
def set_key(
    key: str, value: str | None, path: Path | None, ttl: float | None, masters: ask.Masters
) -> None:
    """Set KEY to VALUE, or to what --file holds."""
    if (value is None) == (path is None):
        raise UserError("give either VALUE or --file")
    content = path.read_bytes() if path is not None else str(value).encode()
    put = KvPut(
        key=key, value=content, binary=not _is_text(content), ttl_ms=round((ttl or 0) * 1000)
    )
    ask.command(masters, put)


@store.command()
@click.argument("key")
@masters_option()
def delete(key: str, masters: ask.Masters) -> None:
    """Remove KEY. Exit code 4 when it was not there."""
    if not ask.command(masters, KvDelete(key=key)):
        raise NotFound(f"no key {key}")


@store.command("list")
@click.argument("prefix", default="")
@masters_option()
@json_option()
def list_keys(prefix: str, masters: ask.Masters, as_json: bool) -> None:
    """List the keys that start with PREFIX."""

    async def work(client: AsyncClient) -> list[KvView]:
        found: list[KvView] = []
        page: list[KvView] = []
        while not found or len(page) == LIST_PAGE_MAX:
            after = found[-1].key if found else ""
            page = await client.query(KvList(prefix=prefix, after=after, limit=LIST_PAGE_MAX))
            found += page
            if not page:
                break
        return found

    items = ask.run(masters, work)
    if as_json:
        output.print_json([item_json(item) for item in items])
        return
    output.print_table(
        ("key", "value", "#version", "expires"),
        [
            (output.plain(item.key), _shown(item), str(item.version), _expiry(item))
            for item in items
        ],
        empty="no such keys",
    )


def item_json(item: KvView) -> dict[str, Any]:
    """A key for programs. Bytes travel as base64 and say so."""
    shape: dict[str, Any] = {"key": item.key, "version": item.version}
    if item.members is not None:
        shape["members"] = item.members
    elif isinstance(item.value, bytes):
        shape |= {"value": base64.b64encode(item.value).decode(), "encoding": "base64"}
    else:
        shape["value"] = item.value
    return shape | {"expires_ms": item.expires_ms}


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _shown(item: KvView) -> str:
    if item.members is not None:
        return f"set of {len(item.members)}"
    if isinstance(item.value, bytes):
        return f"{len(item.value)} bytes"
    text = str(item.value).replace("\n", "⏎")
    return output.plain(text if len(text) <= SHOWN_CHARS_MAX else text[:SHOWN_CHARS_MAX] + "…")


def _expiry(item: KvView) -> str:
    import time

    if not item.expires_ms:
        return "-"
    return f"in {output.took(time.time_ns() // 1_000_000, item.expires_ms)}"
