"""Making connections: `dial` one, or `listen` for them, with the greeting that says who is who.

The dialler sends `Hello`; the acceptor's `on_hello` looks at it and either gives a `Welcome` and the
handler for what follows, or raises a `TitanError` that the dialler gets raised. A connection that says
nothing is closed after `HELLO_TIMEOUT_S`; beyond `CONNECTIONS_MAX`, or what the process may open less
`DESCRIPTORS_RESERVED`, new ones are closed at once.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import ssl
from collections.abc import Callable

import msgspec

from titan.config import split_address
from titan.errors import ConnectionLost, ProtocolError, TimedOut, TitanError
from titan.limits import CONNECTIONS_MAX, DESCRIPTORS_RESERVED, HELLO_TIMEOUT_S
from titan.wire.connection import Connection
from titan.wire.faults import decode_error
from titan.wire.framing import Kind
from titan.wire.handler import Handler
from titan.wire.messages import PROTOCOL, Hello, Welcome, decode, encode

log = logging.getLogger(__name__)

OnHello = Callable[[Connection, Hello], tuple[Welcome, Handler]]


async def dial(
    address: str,
    hello: Hello,
    handler: Handler,
    *,
    timeout_s: float = 5.0,
    tls: ssl.SSLContext | None = None,
) -> Connection:
    """Connect to `address` ("host:port") and be welcomed.

    Raises `ConnectionLost` when nobody listens, `TimedOut`, or whatever the other side refuses with.
    """
    host, port = split_address(address)
    loop = asyncio.get_running_loop()
    connection: Connection | None = None
    try:
        async with asyncio.timeout(timeout_s):
            _, connection = await loop.create_connection(
                lambda: Connection(is_dialler=True), host, port, ssl=tls
            )
            connection.hello = hello
            connection.send_frame(Kind.HELLO, 0, encode(hello))
            connection.flush()
            frame = await connection.greeting
    except TimeoutError:
        raise TimedOut(f"{address} did not answer in {timeout_s} s") from None
    except OSError as error:
        raise ConnectionLost(f"cannot connect to {address}: {error.strerror or error}") from None
    finally:
        if connection is not None and not connection.was_greeted:
            connection.close(TimedOut("no greeting"))  # also when the caller has given up
    if frame.kind is Kind.REFUSED:
        connection.close()
        raise decode_error(frame.payload)
    welcome = decode(frame.payload) if frame.kind is Kind.WELCOME else None
    if not isinstance(welcome, Welcome):
        connection.close()
        raise ProtocolError(f"{address} is not a Titan master")
    connection.welcome = welcome
    connection.start(handler)
    return connection


class _Turned(asyncio.Protocol):
    """A connection that there is no room for: closed as soon as it is there."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def _room() -> int:
    """How many connections to hold; the journal and the blobs keep descriptors of their own."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        return CONNECTIONS_MAX
    return max(1, min(CONNECTIONS_MAX, allowed - DESCRIPTORS_RESERVED))


class Listener:
    """A listening socket and the connections it accepted."""

    def __init__(self, on_hello: OnHello) -> None:
        self._on_hello = on_hello
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self._greeters: set[asyncio.Task[None]] = set()
        self._room = _room()
        self.address = ""

    async def open(self, address: str, *, tls: ssl.SSLContext | None) -> None:
        """Bind. Raises `OSError` when the port is taken."""
        host, port = split_address(address)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, host, port, ssl=tls, backlog=1024)
        self.address = f"{host}:{self._server.sockets[0].getsockname()[1]}"

    def _accept(self) -> asyncio.Protocol:
        if len(self._connections) >= self._room:
            return _Turned()
        connection = Connection(is_dialler=False)
        self._connections.add(connection)
        greeter = asyncio.get_running_loop().create_task(self._greet(connection), name="greet")
        self._greeters.add(greeter)
        greeter.add_done_callback(self._greeters.discard)
        return connection

    async def _greet(self, connection: Connection) -> None:
        try:
            async with asyncio.timeout(HELLO_TIMEOUT_S):
                frame = await connection.greeting
            hello = decode(frame.payload) if frame.kind is Kind.HELLO else None
            self._welcome(connection, hello)
        except TimeoutError:
            connection.close(ProtocolError("said nothing"))
        except msgspec.DecodeError:
            connection.close(ProtocolError("the first frame is not a greeting"))
        except ConnectionLost:
            pass  # it left before it said who it was
        except TitanError as error:
            if not connection.is_closed:
                connection.refuse(error)
        await connection.wait_closed()
        self._connections.discard(connection)

    def _welcome(self, connection: Connection, hello: object) -> None:
        if not isinstance(hello, Hello):
            raise ProtocolError("the first frame must say who is calling")
        if hello.protocol != PROTOCOL:
            raise ProtocolError(
                f"this master speaks protocol {PROTOCOL}, the caller {hello.protocol}",
                hint="run the same version of Titan on both sides",
            )
        connection.hello = hello
        welcome, handler = self._on_hello(connection, hello)
        connection.welcome = welcome
        connection.send_frame(Kind.WELCOME, 0, encode(welcome))
        connection.start(handler)

    def close(self) -> None:
        """Stop listening and end every connection."""
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._connections):
            connection.close()
        for greeter in tuple(self._greeters):
            greeter.cancel()

    async def wait_closed(self) -> None:
        """Until the greeters of the last connections are gone."""
        await asyncio.gather(*self._greeters, return_exceptions=True)


async def listen(address: str, on_hello: OnHello, *, tls: ssl.SSLContext | None = None) -> Listener:
    """Listen on `address` ("host:port"; port 0 picks one, see `Listener.address`)."""
    listener = Listener(on_hello)
    await listener.open(address, tls=tls)
    return listener
