"""Who may ask over HTTP, and the shape of every refusal.

On loopback there is no password, so a web page that the user happens to have open must not be able to
act here. Four rules see to that: the Host header must name an address of ours (a rebound DNS name does
not), an Origin header must be one of this cluster's masters, everything that changes something needs
the header `X-Titan-Request`, which a form cannot send and a foreign page may not, and nothing that
users named is ever sent as HTML.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import msgspec
from aiohttp import web

from titan.config import is_loopback, split_address
from titan.errors import (
    AccessDenied,
    Conflict,
    InvalidSpec,
    LimitExceeded,
    NotFound,
    TimedOut,
    TitanError,
    UserError,
)
from titan.limits import WHO_CHARS_MAX

log = logging.getLogger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

CHANGE_HEADER: Final = "X-Titan-Request"
WHO_HEADER: Final = "X-Titan-Who"  # who the caller claims to be, in URL encoding
SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")
_POLICY: Final = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self' {masters}; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS: Final = (  # that pages send
    f"Content-Type, Idempotency-Key, Last-Event-ID, {CHANGE_HEADER}, {WHO_HEADER}"
)
_STATUS: Final[tuple[tuple[type[TitanError], int], ...]] = (
    (NotFound, 404),
    (Conflict, 409),
    (LimitExceeded, 413),
    (InvalidSpec, 422),
    (UserError, 400),
    (AccessDenied, 403),
    (TimedOut, 504),
)
_encode = msgspec.json.Encoder().encode


class Refusal(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of every answer that is not a success. `code` never changes; decide on it."""

    code: str
    message: str
    hint: str = ""
    problems: tuple[str, ...] = ()  # of a declaration, each with its place
    reason: str = ""  # of a conflict: the state machine's own code


class Guard:
    """`address` is what this master listens on; `masters` answers the HTTP addresses of all of them."""

    def __init__(self, *, address: str, masters: Callable[[], tuple[str, ...]]) -> None:
        self.address = address
        self._masters = masters

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Check, serve, and turn what went wrong into JSON."""
        try:
            self._check(request)
            is_preflight = request.method == "OPTIONS"
            response = web.Response(status=204) if is_preflight else await handler(request)
        except TitanError as error:
            response = refused(error)
        except TimeoutError:
            response = refused(TimedOut())
        except web.HTTPException as error:
            response = _of_router(error, request)
        if not response.prepared:
            for name, value in self.headers(request).items():
                response.headers.setdefault(name, value)
        return response

    def _check(self, request: web.Request) -> None:
        host = request.host.rsplit(":", 1)[0].strip("[]")
        if is_loopback(split_address(self.address)[0]) and not is_loopback(host):
            raise AccessDenied(f"unknown host {host}", hint="use the address that Titan printed")
        origin = request.headers.get("Origin")
        if origin is not None and not self._is_ours(origin, request):
            raise AccessDenied("the request comes from a page of another site")
        if request.method not in SAFE_METHODS and CHANGE_HEADER not in request.headers:
            raise AccessDenied(
                f"{request.method} needs the header {CHANGE_HEADER}",
                hint=f"send '{CHANGE_HEADER}: 1'; browsers do not let foreign pages do so",
            )

    def _is_ours(self, origin: str, request: web.Request) -> bool:
        netloc = urlsplit(origin).netloc
        return netloc == request.host or netloc in self._masters()

    def headers(self, request: web.Request) -> dict[str, str]:
        """What every answer carries. A page of another master may read here, to survive its own."""
        masters = " ".join(f"http://{each}" for each in self._masters())
        headers = {
            "Content-Security-Policy": _POLICY.format(masters=masters),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-cache",
        }
        origin = request.headers.get("Origin")
        if origin is not None and self._is_ours(origin, request):
            headers |= {
                "Access-Control-Allow-Origin": origin,
                "Access-Control-Expose-Headers": "X-Titan-Index, X-Titan-Age-Ms, ETag",
                "Vary": "Origin",
            }
            if request.method == "OPTIONS":
                headers |= {
                    "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE",
                    "Access-Control-Allow-Headers": _HEADERS,
                    "Access-Control-Max-Age": "600",
                }
        return headers


def who_asks(request: web.Request) -> str:
    """What the audit is to call the caller: as it says, else where it comes from. A claim, no proof."""
    claimed = unquote(request.headers.get(WHO_HEADER, "")).strip()
    if claimed.startswith("dashboard "):
        return claimed[:WHO_CHARS_MAX]
    return f"http {claimed or request.remote or 'unknown'}"[:WHO_CHARS_MAX]


def refused(error: TitanError) -> web.Response:
    """The answer that tells of an error."""
    status = next((code for kind, code in _STATUS if isinstance(error, kind)), None)
    if status is None:
        status = 503 if error.retryable else 500
    body = Refusal(
        code=error.code,
        message=str(error),
        hint=error.hint,
        problems=error.problems if isinstance(error, InvalidSpec) else (),
        reason=error.reason if isinstance(error, Conflict) else "",
    )
    return json_response(body, status=status)


def json_response(value: Any, *, status: int = 200) -> web.Response:
    """`value` as JSON."""
    return web.Response(body=_encode(value), status=status, content_type="application/json")


def _of_router(error: web.HTTPException, request: web.Request) -> web.StreamResponse:
    if error.status < 400:
        return error
    codes = {404: "not_found", 405: "method_not_allowed", 413: "limit_exceeded"}
    message = f"{request.method} {request.path}: {error.reason.lower()}"
    body = Refusal(
        code=codes.get(error.status, "user_error"),
        message=message,
        hint="GET /api/v1/openapi.json lists what there is",
    )
    return json_response(body, status=error.status)
