"""A small HTTP/1 server, bounded in time, memory and log output. It knows nothing of metrics.

prometheus-client's own server has no time-outs, takes a thread for every connection, answers on every path, and spins
when there are no file descriptors left (measured with 0.26). This one is an asyncio protocol in one daemon thread.
GET and HEAD, one request a connection, nothing logged. A TLS handshake counts as part of the request's time.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import socket
import ssl
import struct
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from http import HTTPStatus
from typing import Any, Callable

from rolewatch.errors import ConfigError, UnavailableError, UsageError
from rolewatch.http.fair_queue import BACKLOG, Acceptor, Crowd, Crowds
from rolewatch.http.request import BadRequestError, Request, RequestParser, Response
from rolewatch.http.tls import TlsStream

_ADDRESS = re.compile(r"(?:\[(?P<ipv6>[^\[\]]+)\]|(?P<host>[^:\[\]]+)):(?P<port>[0-9]{1,5})")
_HIGHEST_PORT = 65535
_EVERY = "*"

_WHY = {
    errno.EADDRINUSE: "another program listens there (`ss -ltnp` names it; a second rolewatch, perhaps)",
    errno.EADDRNOTAVAIL: "this host has no such address (`ip address` lists the ones it has)",
    errno.EACCES: "ports below 1024 need CAP_NET_BIND_SERVICE",
    errno.EAFNOSUPPORT: "this host, or the unit's RestrictAddressFamilies=, does not allow that kind of address",
}


def bind(addresses: Sequence[str], *, backlog: int) -> list[socket.socket]:
    """Return a listening socket for each of *addresses*: ``HOST:PORT``, ``[IPV6]:PORT``, ``*:PORT``.

    ``localhost`` is 127.0.0.1, ``*`` is every address, IPv6 and IPv4; port 0 lets the kernel choose. No name is ever
    looked up: a resolver that does not answer must not keep the agent from starting. Raise `ConfigError` for what is no
    address, `UnavailableError` for what cannot be bound; nothing stays bound then.
    """
    bound: list[socket.socket] = []
    try:
        bound.extend(_bind(address, backlog) for address in addresses)
    except Exception:
        close(bound)
        raise
    return bound


def adopt(sockets: Sequence[socket.socket]) -> list[socket.socket]:
    """Return *sockets*, which systemd handed in, where each of them listens. Raise `UsageError` otherwise."""
    for each in sockets:
        if each.type != socket.SOCK_STREAM or not each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise UsageError(
                f"Socket {each.fileno()}, which systemd handed in, does not listen for connections. "
                "rolewatch.socket must have ListenStream= and Accept=no."
            )
    return list(sockets)


def close(sockets: Sequence[socket.socket]) -> None:
    """Close *sockets*."""
    for each in sockets:
        each.close()


def name_of(listener: socket.socket) -> str:
    """Return where *listener* listens, as a URL has it: ``127.0.0.1:10169``, ``[::1]:10169``."""
    name = listener.getsockname()
    if listener.family == socket.AF_INET6:
        return f"[{name[0]}]:{name[1]}"
    if listener.family == socket.AF_INET:
        return f"{name[0]}:{name[1]}"
    return f"unix:{os.fsdecode(name)}"


def _bind(address: str, backlog: int) -> socket.socket:
    host, port = _parse(address)
    if host == _EVERY:
        try:
            return _listen(socket.AF_INET6, ("::", port), backlog, only_ipv6=False)
        except OSError as error:
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                raise _refused(address, error) from None
            host = "0.0.0.0"  # noqa: S104 - IPv6 is switched off, and every address was asked for
    try:
        family, _, _, _, resolved = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST | socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError):  # UnicodeError: a part of it is too long for any name
        raise ConfigError(
            f"Cannot listen on {address!r}: {host!r} is no IP address. Names are not looked up; write the address, "
            "localhost, or * for every address."
        ) from None
    try:
        return _listen(family, resolved, backlog, only_ipv6=True)
    except OSError as error:
        raise _refused(address, error) from None


def _parse(address: str) -> tuple[str, int]:
    match = _ADDRESS.fullmatch(address)
    if match is None or int(match["port"]) > _HIGHEST_PORT:
        raise ConfigError(
            f"Cannot listen on {address!r}: that is not HOST:PORT with a port up to {_HIGHEST_PORT}. "
            "Write 127.0.0.1:10169, or [::1]:10169 with brackets for IPv6."
        )
    host = match["ipv6"] or match["host"]
    if match["host"] and host == "localhost":
        host = "127.0.0.1"
    return host, int(match["port"])


def _listen(family: int, address: tuple[object, ...], backlog: int, *, only_ipv6: bool) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:  # else it would hang on the sysctl bindv6only
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(only_ipv6))
        listener.bind(address)
        listener.listen(backlog)
    except BaseException:
        listener.close()
        raise
    return listener


def _refused(address: str, error: OSError) -> UnavailableError:
    why = _WHY.get(error.errno or 0, error.strerror or "the system refuses it")
    return UnavailableError(
        f"Cannot listen on {address}: {why}. Mend that, or choose another one with --listen or `listen` in [metrics]."
    )


Handler = Callable[[Request], Response]
"""Answers one request, at once: it runs in the server's only thread."""

MAX_CONNECTIONS = 128
"""Live connections. One more takes the place of the oldest of the host that holds most."""
MAX_HEAD = 8192
"""Bytes of a request's head. Prometheus sends some 400."""
MAX_RECEIVED = 1 << 16
"""Bytes that may come before the request is complete: a handshake with a chain of certificates takes some 10,000."""
READ_AT_ONCE = 1 << 15
"""Bytes. asyncio would read 256 KiB for each connection, and so grow by 24 MiB under a flood of giant requests."""
MAX_THROWN_AWAY = 1 << 18
"""Bytes that are read after a request, so that the peer gets to see its answer."""
DEADLINE = 5.0
"""Seconds for the whole request, and again for the whole answer, in whatever portions the bytes go."""
STOP_WITHIN = 0.9

METHODS = ("GET", "HEAD")

_INTERNAL_ERROR = Response(HTTPStatus.INTERNAL_SERVER_ERROR, b"The answer could not be made; the journal says why.\n")
_NOT_ALLOWED = Response(
    HTTPStatus.METHOD_NOT_ALLOWED, b"Only GET and HEAD are served here.\n", headers={"Allow": ", ".join(METHODS)}
)
_TOO_SLOW = Response(HTTPStatus.REQUEST_TIMEOUT, b"The request was not complete in time.\n")

_NOT_TLS = Response(HTTPStatus.BAD_REQUEST, b"TLS is spoken here: ask https:// instead of http://.\n")

_FORGET = struct.pack("ii", 1, 0)
"""SO_LINGER: on, for no time."""

_Running = tuple[asyncio.AbstractEventLoop, asyncio.Event]
"""The server's loop, and what ends it."""


class Server:
    """Serve *handler* on the sockets handed in, or else on *addresses*."""

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
        """Open nothing yet. *sockets* are the server's from `start` on, and *addresses* is not looked at then."""
        self._handler = handler
        self._wanted = addresses
        self._handed_in = sockets
        self.tls = tls
        """What connections speak that come from now on; None: plain HTTP. May be replaced at any time."""
        self._deadline = deadline
        self._pool = _Pool(max_connections)
        self._thread: threading.Thread | None = None
        self._running: _Running | None = None
        self._listeners: list[socket.socket] = []
        self._failure: Exception | None = None
        self.addresses: tuple[str, ...] = ()
        """What is listened on since `start`, as a URL has it: ``127.0.0.1:10169``, ``[::1]:10169``."""

    def start(self) -> None:
        """Bind, and answer from now on, in a thread that does not keep the process alive.

        Raise `ConfigError` for an address that is none, `UnavailableError` for one that cannot be bound, and where the
        kernel gives no thread or no descriptor for the serving; all say what to do.
        """
        handed_in = self._handed_in
        self._listeners = adopt(handed_in) if handed_in else bind(self._wanted, backlog=BACKLOG)
        self.addresses = tuple(name_of(each) for each in self._listeners)
        if not self._listeners:
            return
        started: Future[_Running] = Future()
        self._thread = threading.Thread(target=self._run, args=(started,), name="rolewatch-http", daemon=True)
        try:
            self._thread.start()
            self._running = started.result()
        except (OSError, RuntimeError) as error:
            self._thread = None
            close(self._listeners)
            raise UnavailableError(
                f"Cannot serve on {', '.join(self.addresses)}: {getattr(error, 'strerror', None) or error}. rolewatch "
                "needs one thread and some descriptors for it: look at TasksMax=, MemoryMax= and LimitNOFILE= of its "
                "unit, and at the limits of the host."
            ) from None

    def stop(self) -> None:
        """Close everything within a second, whatever the peers do. Does nothing where nothing runs."""
        if self._running and self._thread:
            loop, stop = self._running
            with contextlib.suppress(RuntimeError):  # the loop has ended by itself
                loop.call_soon_threadsafe(stop.set)
            self._thread.join(STOP_WITHIN)
        self._running = None
        close(self._listeners)

    def take_failure(self) -> Exception | None:
        """Return what went wrong last while serving, if anything did since the last call.

        Nothing is logged here: whoever can connect could fill a log.
        """
        failure, self._failure = self._failure, None
        return failure

    def answer(self, request: Request) -> Response:
        """Return the handler's answer, or what there is to say instead."""
        if request.method not in METHODS:
            return _NOT_ALLOWED
        try:
            return self._handler(request)
        except Exception as error:  # noqa: BLE001 - one request that fails must not end the serving of others
            self._failure = error
            return _INTERNAL_ERROR

    def _run(self, started: Future[_Running]) -> None:
        """Serve, in the thread. Whatever keeps that from beginning is for `start` to raise, which waits for it."""
        try:
            asyncio.run(self._serve(started))
        except Exception as error:
            if started.done():
                raise
            started.set_exception(error)

    async def _serve(self, started: Future[_Running]) -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        loop.set_exception_handler(self._note)
        acceptor = Acceptor(self._listeners, self._let_in, failed=self._failed)
        acceptor.start()
        started.set_result((loop, stop))
        await stop.wait()
        try:
            await acceptor.stop()
        finally:
            self._pool.abort()
        await asyncio.sleep(0)  # the transports close their sockets in the next round of the loop

    async def _let_in(self, connection: socket.socket, crowd: Crowd) -> None:
        context = self.tls  # once: a reload may take it away meanwhile
        tls = TlsStream(context) if context else None
        made = _Connection(crowd, self.answer, self._pool, self._deadline, tls)
        await asyncio.get_running_loop().connect_accepted_socket(lambda: made, connection)

    def _failed(self, failure: Exception) -> None:
        self._failure = failure

    def _note(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Keep what asyncio would log."""
        failure = context.get("exception")
        if isinstance(failure, Exception):
            self._failed(failure)


class _Pool:
    """The live connections."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._live: Crowds[_Connection] = Crowds()
        self.buffer = bytearray(READ_AT_ONCE)
        """What comes, from whichever connection it is; taken out of it at once."""

    def enter(self, connection: _Connection, crowd: Crowd) -> None:
        """Let *connection* in. Where there is no room, the oldest of the host that holds most has to go.

        A scrape takes milliseconds, so the oldest is one that idles: a thousand idle connections keep no scraper out.
        And a host that opens them faster than that pushes out its own alone.
        """
        if len(self._live) >= self._most:
            self._live.take_one_of_most().abort()
        self._live.add(connection, crowd)

    def leave(self, connection: _Connection) -> None:
        """Let *connection* out."""
        self._live.discard(connection)

    def abort(self) -> None:
        """End every connection."""
        for connection in self._live:
            connection.abort()


class _Connection(asyncio.BufferedProtocol):
    """One connection: a head is read, an answer is sent, and the peer closes or is closed upon."""

    def __init__(self, crowd: Crowd, answer: Handler, pool: _Pool, deadline: float, tls: TlsStream | None) -> None:
        self._crowd = crowd
        self._answer = answer
        self._pool = pool
        self._deadline = deadline
        self._tls = tls
        self._received = 0
        self._parser = RequestParser(MAX_HEAD)
        self._answered = False
        self._thrown_away = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the time for the request."""
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]  # a stream's transport is one
        self._timer = asyncio.get_running_loop().call_later(self._deadline, self._too_slow)
        self._pool.enter(self, self._crowd)

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002 - asyncio's signature
        """Give the one place to read to."""
        return self._pool.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Answer when the head is complete. What comes after it is read and thrown away.

        A socket closed with bytes unread is reset by the kernel, and the peer would lose the answer.
        """
        if self._answered:
            self._thrown_away += nbytes
            if self._thrown_away > MAX_THROWN_AWAY:
                self.abort()
            return
        data = bytes(self._pool.buffer[:nbytes])
        is_first, self._received = not self._received, self._received + nbytes
        if self._tls is None:
            self._take(data)
        elif is_first and data[:1].isalpha():  # no record of TLS begins with a letter, and every method of HTTP does
            self._tls = None
            self._send(_NOT_TLS)
        else:
            self._take_secret(self._tls, data)
        if self._received > MAX_RECEIVED and not self._answered:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Forget the connection."""
        self._timer.cancel()
        self._pool.leave(self)

    def abort(self) -> None:
        """Close at once; what was not sent is lost."""
        self._transport.abort()

    def _take(self, data: bytes) -> None:
        """Take what the peer says, and answer when it is a request."""
        try:
            request = self._parser.feed(data)
            if request is not None:
                self._send(self._answer(request), head_only=request.method == "HEAD")
        except BadRequestError as error:
            self._send(error.response)

    def _take_secret(self, tls: TlsStream, data: bytes) -> None:
        """Take what the peer says in *tls*. A peer with which that cannot go on, for want of a certificate, is told."""
        try:
            said = tls.receive(data)
        except ssl.SSLError:
            self._finish(tls.take())
            return
        self._transport.write(tls.take())
        if said:
            self._take(said)

    def _send(self, response: Response, *, head_only: bool = False) -> None:
        """Send *response*, and finish."""
        data = response.encode(head_only=head_only)
        if self._tls is not None:
            self._tls.send(data)
            self._tls.end()
            data = self._tls.take()
        self._finish(data)

    def _finish(self, data: bytes) -> None:
        """Send *data*, say that this was all, and begin the time that the peer has to take it and to close."""
        self._answered = True
        self._parser.clear()
        self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._deadline, self._reset)
        self._transport.write(data)
        self._transport.write_eof()

    def _reset(self) -> None:
        """Close at once, and let the kernel forget what the peer has not taken, too."""
        own: socket.socket | None = self._transport.get_extra_info("socket")
        if own is not None:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _FORGET)
        self.abort()

    def _too_slow(self) -> None:
        if self._parser.is_empty:
            self.abort()
        else:
            self._send(_TOO_SLOW)
