"""HTTP messages, a server that serves one request per connection, as IMDS does, and the control port."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
from collections import deque
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Callable, Optional, final
from urllib.parse import unquote, urlsplit

from rolewatch.authority import host_of, is_loopback, is_same_ip, join_address
from rolewatch.errors import RolewatchError, UnavailableError, UsageError
from rolewatch.simulator.scenarios import catalog

MAX_HEAD = 16 * 1024
"""Bytes of request line and headers."""
MAX_BODY = 64 * 1024
REQUEST_TIMEOUT = 10.0
"""Seconds that a client has for its request."""
Headers = tuple[tuple[str, str], ...]
_SLASHES = re.compile("//+")
_LINE = re.compile(r"([A-Z]{1,16}) (\S{1,8000}) HTTP/1\.[01]", re.ASCII)


class BadRequestError(Exception):
    """The client did not send a valid HTTP request."""


@dataclass(frozen=True)
class Request:
    """One request."""

    method: str
    path: str
    """Without the query, still quoted."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Names in lower case; the values of a repeated one are joined by commas. Never log them: they may be session
    tokens."""
    body: bytes = field(default=b"", repr=False)
    target_authority: str | None = None
    """The authority of a target that is a whole URL; None if the target is a path."""

    @property
    def authority(self) -> str | None:
        """The authority of the target, else the Host header (RFC 9112, 3.2.2), else None."""
        return self.headers.get("host") if self.target_authority is None else self.target_authority

    @property
    def plain_path(self) -> str:
        """The path unquoted, each run of slashes replaced by one: some scripts write ``meta-data//ami-id``."""
        return _SLASHES.sub("/", unquote(self.path))


@dataclass(frozen=True)
class Response:
    """One response."""

    status: int
    headers: Headers = ()
    body: bytes = field(default=b"", repr=False)

    def head(self) -> bytes:
        """Return status line, headers, and the empty line after them."""
        try:
            phrase = HTTPStatus(self.status).phrase
        except ValueError:
            phrase = "Unknown"
        lines = [f"HTTP/1.1 {self.status} {phrase}", *(f"{name}: {value}" for name, value in self.headers), "", ""]
        return "\r\n".join(lines).encode("latin-1", "replace")


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """Read one request; return None if the client closed the connection without one.

    Raise `BadRequestError` if it is not HTTP, too large, or too slow.
    """
    try:
        return await asyncio.wait_for(_read(reader), REQUEST_TIMEOUT)
    except (asyncio.LimitOverrunError, asyncio.TimeoutError):
        raise BadRequestError from None
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise BadRequestError from None
        return None


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *rest = head.split("\r\n")
    line = _LINE.fullmatch(first)
    if line is None:
        raise BadRequestError
    headers = _headers(rest)
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()) or len(length) > len(str(MAX_BODY)) or int(length) > MAX_BODY:
        raise BadRequestError
    body = b"" if "expect" in headers else await reader.readexactly(int(length))
    try:
        target = urlsplit(line[2])
    except ValueError:
        raise BadRequestError from None
    authority = target.netloc if target.scheme else None
    return Request(line[1], target.path or "/", headers, body, authority)


def _headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            name, value = name.strip().lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


MAX_REQUESTS = 10_000
MAX_SECRETS = 10_000
"""The oldest are dropped beyond these: a simulator that runs for weeks must not grow."""


class Recorder:
    """Keeps the last requests and the last secrets that were served. Safe to use from several threads."""

    def __init__(self) -> None:
        """Begin empty."""
        self._lock = threading.Lock()
        self._requests: deque[Request] = deque(maxlen=MAX_REQUESTS)
        self._secrets: dict[str, None] = {}

    def add_request(self, request: Request) -> None:
        """Record *request*."""
        with self._lock:
            self._requests.append(request)

    def add_secrets(self, secrets: Iterable[str]) -> None:
        """Record *secrets*."""
        with self._lock:
            self._secrets.update(dict.fromkeys(secrets))
            while len(self._secrets) > MAX_SECRETS:
                del self._secrets[next(iter(self._secrets))]

    @property
    def requests(self) -> list[Request]:
        """The recorded requests, oldest first."""
        with self._lock:
            return list(self._requests)

    @property
    def secrets(self) -> frozenset[str]:
        """The recorded secrets."""
        with self._lock:
            return frozenset(self._secrets)


MAX_CONNECTIONS = 256
"""Open at the same time; more are closed at once."""
BACKLOG = 128

Handle = Callable[[Optional[Request], asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Serve one request; None: the client sent no valid one."""


@final
class ReservedAddress:
    """A bound address that can start and stop listening; nobody else gets the port in between.

    Connections to a port that is bound, but does not listen, are refused.
    """

    def __init__(self, host: str, port: int) -> None:
        """Bind *port* of the IP address *host*; 0 takes a free port. Raise `UnavailableError` if that fails."""
        self.host = host
        self._reserved = self._bind(port)
        self.port: int = self._reserved.getsockname()[1]

    @property
    def url(self) -> str:
        """The URL of an HTTP server at this address."""
        return f"http://{join_address(self.host, self.port)}"

    def listen(self) -> socket.socket:
        """Return a new socket that listens here."""
        # Linux lets two sockets with SO_REUSEADDR share a port as long as none listened when the other was bound.
        listening = self._bind(self.port)
        try:
            listening.listen(BACKLOG)
        except OSError as error:
            listening.close()
            raise self._error(self.port, error) from error
        return listening

    def __enter__(self) -> ReservedAddress:
        """Keep the address until ``__exit__``."""
        return self

    def __exit__(self, *_: object) -> None:
        """Release the address."""
        self._reserved.close()

    def _bind(self, port: int) -> socket.socket:
        bound = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if bound.family == socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            # A link-local address has a zone, which only getaddrinfo turns into the number that bind takes.
            found = socket.getaddrinfo(self.host, None, bound.family, bound.type, flags=socket.AI_NUMERICHOST)
            host, _, *zone = found[0][4]
            bound.bind((host, port, *zone))
        except (OSError, OverflowError) as error:
            bound.close()
            raise self._error(port, error) from error
        return bound

    def _error(self, port: int, error: Exception) -> RolewatchError:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        kind = UsageError if isinstance(error, (OverflowError, socket.gaierror)) else UnavailableError
        return kind(f"cannot listen on {self.host} port {port}: {reason}. Choose another address.")


class Server:
    """Serves one address. Runs in one event loop."""

    def __init__(self, address: ReservedAddress, handle: Handle) -> None:
        """Prepare to serve each connection to *address* with *handle*."""
        self._address = address
        self._handle = handle
        self._listening: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self) -> None:
        """Accept connections from now on."""
        if self._listening is None:
            self._listening = self._address.listen()
            self._listening.settimeout(0)
            asyncio.get_running_loop().add_reader(self._listening, self._accept, self._listening)

    async def refuse(self) -> None:
        """Refuse connections from now on, and close those that are open."""
        if self._listening is not None:
            asyncio.get_running_loop().remove_reader(self._listening)
            self._listening.close()
            self._listening = None
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, listening: socket.socket) -> None:
        """Accept one connection and serve it in a task of its own.

        Not with `asyncio.start_server`: a connection that it accepts while it closes stays open (Python 3.9 to 3.11).
        """
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        if len(self._tasks) >= MAX_CONNECTIONS:
            connection.close()
            return
        connection.settimeout(0)
        task = asyncio.ensure_future(self._serve(connection))
        self._tasks.add(task)

        def done(task: asyncio.Task[None]) -> None:
            # Not in `_serve`: a task that is cancelled before its first step never runs it.
            self._tasks.discard(task)
            connection.close()

        task.add_done_callback(done)

    async def _serve(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=MAX_HEAD)
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection)
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        try:
            try:
                request = await read_request(reader)
            except BadRequestError:
                await self._handle(None, reader, writer)
            else:
                if request is not None:
                    await self._handle(request, reader, writer)
            writer.close()
            await writer.wait_closed()
        except (OSError, asyncio.TimeoutError):
            return  # The client closed the connection, or is too slow.
        finally:
            transport.abort()


HELP = """\
GET  /            this page
GET  /scenarios   every scenario, as JSON
GET  /scenario    the name of the current scenario
PUT  /scenario    switch: the body is the name
POST /rotate      rotate the credentials now
"""

_METHODS = {"/": "GET", "/scenarios": "GET", "/scenario": "GET, PUT", "/rotate": "POST"}


class Control:
    """Serves the control port: switches scenarios and rotates while the simulator runs.

    It refuses requests that a web page in a browser on this host may have sent. A browser sends Origin with every
    request that changes something, and the page's own host name if that resolves to this host (DNS rebinding).
    """

    def __init__(
        self, current: Callable[[], str], switch: Callable[[str], Awaitable[None]], rotate: Callable[[], None]
    ) -> None:
        """Use *current*, *switch* and *rotate*, which run in the same event loop."""
        self._current = current
        self._switch = switch
        self._rotate = rotate

    async def handle(
        self, request: Request | None, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Serve *request*."""
        if request is None:
            response = _text(HTTPStatus.BAD_REQUEST, "This is not an HTTP request.\n")
        else:
            response = _refusal(request, writer.get_extra_info("sockname")) or await self.respond(request)
        head_only = request is not None and request.method == "HEAD"
        writer.write(response.head() + (b"" if head_only else response.body))
        await writer.drain()

    async def respond(self, request: Request) -> Response:
        """Do what *request* asks for, and return the response."""
        path = request.plain_path
        allowed = _METHODS.get(path)
        if allowed is None:
            return _text(HTTPStatus.NOT_FOUND, f"There is no such path. The paths are:\n\n{HELP}")
        method = "GET" if request.method == "HEAD" else request.method
        if method not in allowed.split(", "):
            return _text(HTTPStatus.METHOD_NOT_ALLOWED, f"Use {allowed} for this path.\n", Allow=allowed)
        if path == "/rotate":
            self._rotate()
            return _text(HTTPStatus.OK, "Rotated.\n")
        if path == "/scenarios":
            body = json.dumps(catalog(), indent=2) + "\n"
            return _text(HTTPStatus.OK, body, **{"Content-Type": "application/json"})
        if method == "PUT":
            try:
                await self._switch(request.body.decode("utf-8", "replace"))
            except UsageError as error:
                return _text(HTTPStatus.BAD_REQUEST, f"{error}\n")
        return _text(HTTPStatus.OK, HELP if path == "/" else self._current() + "\n")


def _refusal(request: Request, sockname: tuple[Any, ...]) -> Response | None:
    """Return the response to a request that a web page may have sent, or None if no web page can have sent it.

    *sockname* is where the request arrived. It may be another address than loopback: --control sets it.
    """
    # With the zone of an IPv6 address.
    address, port = socket.getnameinfo(sockname, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
    if "origin" in request.headers:
        text = "The control port refuses web pages. Send the request without an Origin header, as curl does.\n"
        return _text(HTTPStatus.FORBIDDEN, text)
    host = host_of(request.authority or "")
    if host is not None and (is_loopback(host) or is_same_ip(host, address)):
        return None
    literal = f"[{address}]" if ":" in address else address
    return _text(
        HTTPStatus.BAD_REQUEST if host is None else HTTPStatus.MISDIRECTED_REQUEST,
        f"The control port accepts no host name, not even localhost. Send the request to http://{literal}:{port}.\n",
    )


def _text(status: HTTPStatus, text: str, **headers: str) -> Response:
    body = text.encode()
    fields = {"Content-Type": "text/plain; charset=utf-8", "Connection": "close", **headers}
    return Response(int(status), (*fields.items(), ("Content-Length", str(len(body)))), body)
