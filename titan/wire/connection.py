"""One multiplexed asyncio connection: calls, channels and notes over a single socket.

Interface (fixed; the implementation is being written):

    class Handler(Protocol):                     # what a side does with what comes in
        def on_call(self, conn: Connection, message: Message) -> Awaitable[Message] | Message
        async def on_channel(self, conn: Connection, message: Message, channel: Channel) -> Message
        def on_note(self, conn: Connection, message: Message) -> None
        def on_raw(self, conn: Connection, payload: bytes) -> None        # Raft bytes
        def on_closed(self, conn: Connection) -> None

    A TitanError raised by on_call/on_channel travels to the caller, who gets it raised.

    class Connection:
        hello: Hello          # what the dialler said (both sides)
        welcome: Welcome      # what the acceptor answered (both sides)
        remote: str           # "host:port" of the other end, for people
        is_closed: bool
        async def call(self, message, *, timeout_s: float) -> Message   # raises TitanError
        def open(self, message) -> Channel                             # caller's end of a channel
        def note(self, message) -> None            # one way; raises ConnectionLost when closed
        def raw(self, payload: bytes) -> None      # one way bytes
        async def drain(self) -> None              # until the send buffer is below its high-water mark
        def close(self) -> None                    # now, without flushing what waits
        async def wait_closed(self) -> None

    class Channel:            # both ends have the same
        async def send(self, piece: bytes) -> None     # waits for the window (back-pressure)
        async def finish(self) -> None                 # caller: no more pieces from this side
        def __aiter__ -> pieces: bytes                 # until the other side finishes
        async def result(self, timeout_s: float) -> Message   # caller: the acceptor's last reply
        def cancel(self) -> None                       # caller: stop it; the acceptor's task is cancelled

    async def dial(address: str, hello: Hello, handler: Handler, *, timeout_s: float = 5.0,
                   tls: ssl.SSLContext | None = None) -> Connection
    async def listen(address: str, on_hello, *, tls=None) -> Listener
        # on_hello(conn, hello) -> (Welcome, Handler): decides by role; raises TitanError to refuse
    Listener: .address ("host:port" with the real port), .close(), async .wait_closed()
"""
