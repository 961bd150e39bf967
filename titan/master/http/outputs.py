"""What a job has put out and which files it has left, over HTTP: to be looked at, and to be taken home.

All of it is made by users: content leaves as an attachment of no type, and pages show it as text.
"""

from __future__ import annotations

import asyncio
import json
from itertools import islice
from typing import Final
from urllib.parse import quote

import msgspec
from aiohttp import web

from titan.errors import NotFound, UserError
from titan.fsm.queries import GetOutput, GetOutputs, OutputsView
from titan.ids import Digest, JobId, RunId, strip_v1_prefix
from titan.limits import LIST_PAGE_MAX, OUTPUT_SHOWN_BYTES_MAX, SOURCE_BYTES_MAX
from titan.master.http import submitting
from titan.master.http.api import Api
from titan.master.http.runs import ReadQuery
from titan.master.http.sending import Sending
from titan.master.http.table import Call, Endpoint, Page
from titan.spec.manifest import FileEntry, Manifest, decode_listing
from titan.wire.messages import GetBlob

_BLOB_TIMEOUT_S: Final = 600.0


class OutputView(msgspec.Struct, frozen=True, kw_only=True):
    """What a job has put out, for people. `kind`: none, json (indented), text, or bytes (no text then).
    Of a large one the beginning; `size` counts all of it as it was put out."""

    kind: str
    size: int
    text: str = ""
    is_cut: bool = False


class FilesQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which files; `after` is the cursor."""

    limit: int = LIST_PAGE_MAX
    after: str = ""
    consistent: bool = False


class FileQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which of the files."""

    path: str
    consistent: bool = False


class FileView(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a job has left. `digest` is "" for one in a pack of many."""

    path: str
    size: int
    mode: int
    digest: Digest


async def get_output(api: Api, call: Call) -> OutputView:
    """The value, as far as people read."""
    manifest = _manifest(api, call)
    if manifest.output:
        length = min(manifest.output_size, OUTPUT_SHOWN_BYTES_MAX)
        data = await submitting.load(api, manifest.output, bytes_max=length, length=length)
        size = manifest.output_size
    else:
        data = _small_output(api, call)
        size = len(data)
    return await asyncio.to_thread(shown, data, size=size)


def shown(data: bytes, *, size: int) -> OutputView:
    """A value, or the beginning of one, in words. JSON is written anew from what it says, so that numbers
    of any length stay as they are."""
    if not size:
        return OutputView(kind="none", size=0)
    is_cut = size > len(data)
    try:
        text = data.decode(errors="strict" if not is_cut else "ignore")
    except UnicodeDecodeError:
        return OutputView(kind="bytes", size=size)
    if is_cut:
        return OutputView(kind="text", size=size, text=text, is_cut=True)
    try:
        text = json.dumps(json.loads(text), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return OutputView(kind="text", size=size, text=text)
    return OutputView(kind="json", size=size, text=text.encode(errors="replace").decode())


async def download_output(api: Api, call: Call) -> web.StreamResponse:
    """The bytes as they were put out."""
    manifest = _manifest(api, call)
    name = f"{_names(call)[1]}-output"
    if manifest.output:
        return await _sent(api, call, GetBlob(digest=manifest.output), name=name)
    response = Sending(api, call.request, attachment(name))
    await response.send(_small_output(api, call))
    return await response.close()


async def list_files(api: Api, call: Call) -> Page[FileView]:
    """Sorted by path."""
    query: FilesQuery = call.query
    limit = max(1, min(query.limit, LIST_PAGE_MAX))
    entries = await _entries(api, _manifest(api, call))
    later = (one for one in entries if not one.is_folder and one.path > query.after)
    items = [
        FileView(path=one.path, size=one.size, mode=one.mode, digest=one.digest)
        for one in islice(later, limit)
    ]
    return Page(items, items[-1].path if len(items) == limit else None)


async def download_file(api: Api, call: Call) -> web.StreamResponse:
    """One of them."""
    path = call.query.path
    manifest = _manifest(api, call)
    entries = await _entries(api, manifest)
    found = next((one for one in entries if one.path == path and not one.is_folder), None)
    if found is None:
        raise NotFound(f"job {_names(call)[1]!r} has left no file {path[:200]!r}")
    name = path.rsplit("/", 1)[-1]
    if not found.size:
        return await Sending(api, call.request, attachment(name)).close()
    if manifest.pack:
        message = GetBlob(digest=manifest.pack, offset=found.offset, length=found.size)
        return await _sent(api, call, message, name=name)
    return await _sent(api, call, GetBlob(digest=found.digest), name=name)


def attachment(name: str) -> dict[str, str]:
    """Headers of bytes that go to a file, never into a page."""
    plain = "".join(
        each if each.isascii() and (each.isalnum() or each in "._-") else "_" for each in name
    )
    disposition = f"attachment; filename=\"{plain[:150]}\"; filename*=UTF-8''{quote(name, safe='')}"
    return {
        "Content-Type": "application/octet-stream",
        "Content-Disposition": disposition,
    }


async def _sent(api: Api, call: Call, message: GetBlob, *, name: str) -> web.StreamResponse:
    response = Sending(api, call.request, attachment(name))
    async with asyncio.timeout(_BLOB_TIMEOUT_S):
        await api.gateway.channel(message, response, forwarded=False)
    return await response.close()


def _names(call: Call) -> tuple[RunId, JobId]:
    return RunId(call.path["run"]), JobId(strip_v1_prefix(call.path["job"]))


def _manifest(api: Api, call: Call) -> Manifest:
    run, job = _names(call)
    found: list[OutputsView] = api.read(GetOutputs(run=run, job=job))
    return found[0].manifest if found else Manifest()


def _small_output(api: Api, call: Call) -> bytes:
    run, job = _names(call)
    found: bytes | None = api.read(GetOutput(run=run, job=job))
    return found or b""


async def _entries(api: Api, manifest: Manifest) -> tuple[FileEntry, ...]:
    if not manifest.listing:
        return manifest.files
    data = await submitting.load(api, manifest.listing, bytes_max=SOURCE_BYTES_MAX)
    try:
        return await asyncio.to_thread(decode_listing, data)
    except ValueError as error:
        raise UserError(str(error)) from None


_JOB: Final = "/api/v1/runs/{run}/jobs/{job}"
_BYTES: Final = "application/octet-stream"
ENDPOINTS: Final = (
    Endpoint("GET", f"{_JOB}/output", get_output, "What a job has put out", OutputView, ReadQuery),
    Endpoint(
        "GET",
        f"{_JOB}/output/raw",
        download_output,
        "The same, as bytes",
        query=ReadQuery,
        content=_BYTES,
    ),
    Endpoint(
        "GET",
        f"{_JOB}/artifacts",
        list_files,
        "Files that a job has left",
        Page[FileView],
        FilesQuery,
    ),
    Endpoint(
        "GET",
        f"{_JOB}/artifacts/file",
        download_file,
        "One of them, as bytes",
        query=FileQuery,
        content=_BYTES,
    ),
)
