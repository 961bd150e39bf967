"""The dashboard's files: built by `web/`, shipped inside the package, served as they are.

Every path that is no file and no API is the page itself, which finds its own way (`/runs/ID`, …).
"""

from __future__ import annotations

import asyncio
import gzip
import mimetypes
from importlib import resources
from pathlib import Path
from typing import Final

from aiohttp import web

from titan.errors import NotFound

_ROOT: Final = Path(str(resources.files("titan"))) / "dashboard"
_FOREVER: Final = "public, max-age=31536000, immutable"  # their names change with their content


class Pages:
    """Serves the files of one folder, read once at the start: nothing else can be reached."""

    def __init__(self, root: Path = _ROOT) -> None:
        self._files = {
            f"/{path.relative_to(root).as_posix()}": path.read_bytes()
            for path in sorted(root.rglob("*"))
            if path.is_file()
        }

        self._packed: dict[str, bytes] = {}

    async def serve(self, request: web.Request) -> web.Response:
        """A file, or the page."""
        path = request.path
        if path.startswith("/api/"):
            raise NotFound(
                f"there is no {path}", hint="GET /api/v1/openapi.json lists what there is"
            )
        name = path if path in self._files else "/index.html"
        if name not in self._files:
            raise NotFound("the dashboard is not built", hint="in the sources: make web")
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        body, encoding = await self._body(name, request)
        response = web.Response(body=body, content_type=kind)
        if encoding:
            response.headers["Content-Encoding"] = encoding
        if kind.startswith("text/"):
            response.charset = "utf-8"
        if name.startswith("/assets/"):
            response.headers["Cache-Control"] = _FOREVER
        response.headers["Vary"] = "Accept-Encoding, Origin"
        return response

    async def _body(self, name: str, request: web.Request) -> tuple[bytes, str]:
        """The file, compressed once for all who take that."""
        if "gzip" not in request.headers.get("Accept-Encoding", ""):
            return self._files[name], ""
        if name not in self._packed:
            self._packed[name] = await asyncio.to_thread(gzip.compress, self._files[name], 9)
        return self._packed[name], "gzip"
