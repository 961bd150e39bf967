"""Asking a service once whether it is well. Every question has a deadline, given by the caller.

No shell and no library between: `tcp` connects, `http` sends one request and reads the status line.
"""

from __future__ import annotations

import asyncio
import contextlib

from titan.limits import PROBE_ANSWER_BYTES_MAX


class Unwell(Exception):
    """It is not well, in a few words for people."""


async def tcp(host: str, port: int) -> None:
    """Connect. Raises `Unwell`."""
    _reader, writer = await _connect(host, port)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def http(host: str, port: int, path: str) -> None:
    """GET `path`; anything below 400 is well. Raises `Unwell`."""
    reader, writer = await _connect(host, port)
    try:
        request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: titan-health\r\n"
        writer.write(f"{request}Accept: */*\r\nConnection: close\r\n\r\n".encode("ascii"))
        await writer.drain()
        line = await _first_line(reader)
    except OSError as error:
        raise Unwell(f"GET {path}: {error.strerror or 'the connection broke'}") from None
    finally:
        writer.close()
    status = _status_of(line)
    if status is None:
        raise Unwell(f"GET {path}: what answers does not speak HTTP")
    if not 200 <= status < 400:
        raise Unwell(f"GET {path}: status {status}")


async def _connect(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        return await asyncio.open_connection(host, port, limit=PROBE_ANSWER_BYTES_MAX)
    except OSError as error:
        raise Unwell(f"nobody answers at {host}:{port}: {_words(error)}") from None


def _words(error: OSError) -> str:
    text = str(error).lower()
    return (
        "connection refused" if "refused" in text or "connect call failed" in text else str(error)
    )


async def _first_line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readline()
    except ValueError:  # longer than the limit
        return b""


def _status_of(line: bytes) -> int | None:
    words = line.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        return None
    return int(words[1])
