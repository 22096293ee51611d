"""A small HTTP/1 server, bounded in time, memory and log output. It does not know what it serves.

prometheus-client's own server has no timeouts, uses a thread for each connection, answers on every path, and spins when
no file descriptor is left (measured with 0.26). This server is an asyncio protocol in one daemon thread: GET and HEAD,
one request per connection, nothing logged. A TLS handshake counts as part of the request's time.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Callable

from rolewatch.errors import UnavailableError
from rolewatch.http.listener import Acceptor, Client, FairQueue, adopt, bind, close, name_of
from rolewatch.http.request import BadRequestError, Request, RequestParser, Response
from rolewatch.http.tls import TlsStream

Handler = Callable[[Request], Response]
"""Responds to one request. Must not block: it runs in the server's only thread."""

MAX_CONNECTIONS = 128
"""Live connections. One more evicts the oldest of the host that has most."""
MAX_HEAD = 8192
"""Bytes of a request's head. Prometheus sends some 400."""
MAX_RECEIVED = 1 << 16
"""Bytes received before the request is complete: a handshake with a chain of certificates takes some 10,000."""
READ_AT_ONCE = 1 << 15
"""Bytes. asyncio's own 256 KiB for each connection cost 24 MiB under a flood of giant requests."""
MAX_DISCARDED = 1 << 18
"""Bytes that are read and discarded after a request, so that the peer receives its response."""
DEADLINE = 5.0
"""Seconds for the whole request, and again for the whole response, however the bytes are portioned."""
STOP_WITHIN = 0.9
"""Seconds that `Server.stop` waits for the server's thread."""

METHODS = ("GET", "HEAD")

_INTERNAL_ERROR = Response(HTTPStatus.INTERNAL_SERVER_ERROR, b"The request failed; the journal says why.\n")
_NOT_ALLOWED = Response(
    HTTPStatus.METHOD_NOT_ALLOWED, b"Only GET and HEAD are supported.\n", headers={"Allow": ", ".join(METHODS)}
)
_TOO_SLOW = Response(HTTPStatus.REQUEST_TIMEOUT, b"The request was not complete in time.\n")
_NOT_TLS = Response(HTTPStatus.BAD_REQUEST, b"This port speaks TLS: use https:// instead of http://.\n")

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with a time of 0: close() discards unsent data and resets the connection."""


class Server:
    """Serves a handler on sockets that systemd passed, or else on addresses."""

    def __init__(  # noqa: PLR0913 - every one but the first has a name
        self,
        handler: Handler,
        *,
        addresses: Sequence[str],
        sockets: Sequence[socket.socket] = (),
        tls: ssl.SSLContext | None = None,
        deadline: float = DEADLINE,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        """Open nothing until `start`. With *sockets*, which the server then owns, *addresses* are ignored."""
        self._handler = handler
        self._addresses = addresses
        self._sockets = sockets
        self.tls = tls
        """TLS of connections that are accepted from now on; None: plain HTTP. May be replaced at any time."""
        self._deadline = deadline
        self._pool = _Pool(max_connections)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: list[socket.socket] = []
        self._failure: Exception | None = None
        self.addresses: tuple[str, ...] = ()
        """Addresses that the server listens on since `start`, as in a URL: ``127.0.0.1:10169``, ``[::1]:10169``."""

    def start(self) -> None:
        """Bind, and serve in a thread that does not keep the process alive.

        Raise `UsageError` for a malformed address, and `UnavailableError` for one that cannot be bound or where the
        kernel gives no thread or no descriptor.
        """
        self._listeners = adopt(self._sockets) if self._sockets else bind(self._addresses)
        self.addresses = tuple(map(name_of, self._listeners))
        if not self._listeners:
            return
        try:
            self._start_thread()
        except (OSError, RuntimeError) as error:
            close(self._listeners)
            raise UnavailableError(
                f"Cannot serve on {', '.join(self.addresses)}: {getattr(error, 'strerror', None) or error}. rolewatch "
                "needs one thread and some descriptors for it: check TasksMax=, MemoryMax= and LimitNOFILE= of its "
                "unit, and the limits of the host."
            ) from None

    def stop(self) -> None:
        """Close everything within a second, whatever the peers do. Does nothing before `start`."""
        if self._loop and self._thread:
            with contextlib.suppress(RuntimeError):  # the loop has ended already
                self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(STOP_WITHIN)
        self._loop = None
        close(self._listeners)

    def take_failure(self) -> Exception | None:
        """Return the last error of serving since the last call, or None.

        The server logs nothing itself: any client could fill the log.
        """
        failure, self._failure = self._failure, None
        return failure

    def respond(self, request: Request) -> Response:
        """Return the handler's response to *request*; 405 for other methods, 500 if the handler fails."""
        if request.method not in METHODS:
            return _NOT_ALLOWED
        try:
            return self._handler(request)
        except Exception as error:  # noqa: BLE001 - one request that fails must not end the serving of others
            self._failure = error
            return _INTERNAL_ERROR

    def _start_thread(self) -> None:
        loop = asyncio.new_event_loop()
        try:
            loop.set_exception_handler(self._keep_asyncio_error)
            acceptor = Acceptor(self._listeners, self._admit, loop=loop, failed=self._keep_failure)
            acceptor.start()
            thread = threading.Thread(target=self._run, args=(loop, acceptor), name="rolewatch-http", daemon=True)
            thread.start()
        except BaseException:
            loop.close()
            raise
        self._loop, self._thread = loop, thread

    def _run(self, loop: asyncio.AbstractEventLoop, acceptor: Acceptor) -> None:
        """Serve until `stop`. Runs in the server's thread."""
        try:
            loop.run_forever()
            loop.run_until_complete(self._shut_down(acceptor))
        finally:
            loop.close()

    async def _shut_down(self, acceptor: Acceptor) -> None:
        try:
            await acceptor.stop()
        finally:
            self._pool.abort()
        await asyncio.sleep(0)  # the transports close their sockets in the next iteration of the loop

    async def _admit(self, connection: socket.socket, client: Client) -> None:
        """Start serving one accepted connection."""
        context = self.tls  # read once: a reload may set it to None meanwhile
        tls = TlsStream(context) if context else None
        protocol = _Connection(client, self.respond, self._pool, self._deadline, tls)
        await asyncio.get_running_loop().connect_accepted_socket(lambda: protocol, connection)

    def _keep_failure(self, failure: Exception) -> None:
        self._failure = failure

    def _keep_asyncio_error(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Keep the error that asyncio would log."""
        failure = context.get("exception")
        if isinstance(failure, Exception):
            self._failure = failure


class _Pool:
    """The live connections, at most *most*."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._live: FairQueue[_Connection] = FairQueue()
        self.buffer = bytearray(READ_AT_ONCE)
        """Receive buffer of all connections: each copies its bytes at once."""

    def add(self, connection: _Connection, client: Client) -> None:
        """Add *connection*. If there is no room, abort the oldest connection of the host that has most.

        A scrape takes milliseconds, so the oldest is one that idles: a thousand idle connections lock no scraper out.
        A host that opens connections faster than that evicts only its own.
        """
        if len(self._live) >= self._most:
            self._live.evict().abort()
        self._live.add(connection, client)

    def remove(self, connection: _Connection) -> None:
        """Remove *connection*."""
        self._live.discard(connection)

    def abort(self) -> None:
        """Abort every connection."""
        for connection in self._live:
            connection.abort()


class _Connection(asyncio.BufferedProtocol):
    """One connection: receives a head, sends a response, and waits until the peer closes or the time is over."""

    def __init__(self, client: Client, respond: Handler, pool: _Pool, deadline: float, tls: TlsStream | None) -> None:
        self._client = client
        self._respond = respond
        self._pool = pool
        self._deadline = deadline
        self._tls = tls
        self._received = 0
        self._parser = RequestParser(MAX_HEAD)
        self._has_responded = False
        self._discarded = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the time for the request."""
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]  # a stream's transport is one
        self._timer = asyncio.get_running_loop().call_later(self._deadline, self._time_out)
        self._pool.add(self, self._client)

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002 - asyncio's signature
        """Return the buffer that all connections share."""
        return self._pool.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Respond when the head is complete, and discard what follows.

        The kernel resets a connection that is closed with unread bytes, and the peer would lose the response.
        """
        if self._has_responded:
            self._discarded += nbytes
            if self._discarded > MAX_DISCARDED:
                self.abort()
            return
        data = bytes(self._pool.buffer[:nbytes])
        is_first, self._received = not self._received, self._received + nbytes
        if self._tls is None:
            self._receive(data)
        elif is_first and data[:1].isalpha():  # every method of HTTP begins with a letter, and no TLS record does
            self._tls = None
            self._send(_NOT_TLS)
        else:
            self._receive_tls(self._tls, data)
        if self._received > MAX_RECEIVED and not self._has_responded:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Remove the connection from the pool."""
        self._timer.cancel()
        self._pool.remove(self)

    def abort(self) -> None:
        """Close at once and discard unsent data."""
        self._transport.abort()

    def _receive(self, data: bytes) -> None:
        """Parse *data*, and respond when the request is complete."""
        try:
            request = self._parser.feed(data)
            if request is not None:
                self._send(self._respond(request), head_only=request.method == "HEAD")
        except BadRequestError as error:
            self._send(error.response)

    def _receive_tls(self, tls: TlsStream, data: bytes) -> None:
        """Decrypt and parse *data*. If the handshake fails, such as without a certificate, send TLS's alert."""
        try:
            plain = tls.receive(data)
        except ssl.SSLError:
            self._finish(tls.take())
            return
        self._transport.write(tls.take())
        if plain:
            self._receive(plain)

    def _send(self, response: Response, *, head_only: bool = False) -> None:
        data = response.encode(head_only=head_only)
        if self._tls is not None:
            self._tls.send(data)
            self._tls.end()
            data = self._tls.take()
        self._finish(data)

    def _finish(self, data: bytes) -> None:
        """Send *data* as the last bytes, and start the time for the peer to receive them and to close."""
        self._has_responded = True
        self._parser.clear()
        self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._deadline, self._reset)
        self._transport.write(data)
        self._transport.write_eof()

    def _reset(self) -> None:
        """Reset the connection, so that the kernel frees what the peer has not received."""
        own: socket.socket | None = self._transport.get_extra_info("socket")
        if own is not None:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.abort()

    def _time_out(self) -> None:
        if self._parser.is_empty:
            self.abort()
        else:
            self._send(_TOO_SLOW)
