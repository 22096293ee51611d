"""HTTP messages, a bounded record of requests, and a server that answers one request a connection, as IMDS does."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections import deque
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Callable, Optional, final
from urllib.parse import unquote, urlsplit

from rolewatch.errors import UsageError

MAX_HEAD = 16 * 1024
"""Bytes of request line and headers."""
MAX_BODY = 64 * 1024
PATIENCE = 10.0
"""Seconds that a client has for its request."""
_SLASHES = re.compile("//+")
_LINE = re.compile(r"([A-Z]{1,16}) (\S{1,8000}) HTTP/1\.[01]", re.ASCII)


class BadRequestError(Exception):
    """What came is no request that can be answered in kind."""


@dataclass(frozen=True)
class Request:
    """One request."""

    method: str
    path: str
    """Without the query, and not unquoted: as it came."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Names in lower case; the values of a repeated one are joined by commas. Session tokens are among the values:
    never log them."""
    body: bytes = field(default=b"", repr=False)
    target_authority: str | None = None
    """The authority of a target that is a whole URL; None where the target is a path."""

    @property
    def authority(self) -> str | None:
        """The authority that the client asked, or None: that of the target, else the Host header (RFC 9112, 3.2.2)."""
        return self.headers.get("host") if self.target_authority is None else self.target_authority

    @property
    def plain_path(self) -> str:
        """The path unquoted, runs of slashes made one: scripts that write ``meta-data//ami-id`` are about."""
        return _SLASHES.sub("/", unquote(self.path))


@dataclass(frozen=True)
class Reply:
    """One answer."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)

    def head(self) -> bytes:
        """Return status line and headers, the empty line included."""
        try:
            phrase = HTTPStatus(self.status).phrase
        except ValueError:
            phrase = "Unknown"
        lines = [f"HTTP/1.1 {self.status} {phrase}", *(f"{name}: {value}" for name, value in self.headers), "", ""]
        return "\r\n".join(lines).encode("latin-1", "replace")


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """Read one request; None where the client left without one.

    Raise `BadRequestError` where it is not HTTP, too large, or too slow.
    """
    try:
        return await asyncio.wait_for(_read(reader), PATIENCE)
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
"""A simulator that runs for weeks must not grow: beyond these the oldest are forgotten."""


class Seen:
    """The last requests, and the last secrets."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = threading.Lock()
        self._requests: deque[Request] = deque(maxlen=MAX_REQUESTS)
        self._secrets: dict[str, None] = {}

    def request(self, request: Request) -> None:
        """Note *request*."""
        with self._lock:
            self._requests.append(request)

    def secrets(self, secrets: Iterable[str]) -> None:
        """Note *secrets*."""
        with self._lock:
            self._secrets.update(dict.fromkeys(secrets))
            while len(self._secrets) > MAX_SECRETS:
                del self._secrets[next(iter(self._secrets))]

    def all_requests(self) -> list[Request]:
        """Return the requests noted, oldest first."""
        with self._lock:
            return list(self._requests)

    def all_secrets(self) -> frozenset[str]:
        """Return the secrets noted."""
        with self._lock:
            return frozenset(self._secrets)


MAX_CONNECTIONS = 256
"""Open at once; more are reset."""
BACKLOG = 128

Handle = Callable[[Optional[Request], asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Answer one request; None: what came was none."""


@final
class Place:
    """An address that stays ours, whether or not somebody listens there.

    Connections to a port that is bound, but not listened on, are refused.
    """

    def __init__(self, host: str, port: int) -> None:
        """Bind *port* of the address *host*; 0 takes a free one. Raise `UsageError` where that cannot be."""
        self.host = host
        self._held = self._bind(port)
        self.port: int = self._held.getsockname()[1]

    @property
    def url(self) -> str:
        """The place as the URL of an HTTP server."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    def listen(self) -> socket.socket:
        """Return a new socket that listens here."""
        # Linux lets two sockets with SO_REUSEADDR share a port as long as none listened when the other was bound.
        listening = self._bind(self.port)
        try:
            listening.listen(BACKLOG)
        except OSError as error:
            listening.close()
            raise self._refused(self.port, error) from error
        return listening

    def __enter__(self) -> Place:
        """Keep the address until ``__exit__``."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give the address back."""
        self._held.close()

    def _bind(self, port: int) -> socket.socket:
        made = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if made.family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            # A link-local address has a zone, which only getaddrinfo turns into the number that bind takes.
            found = socket.getaddrinfo(self.host, None, made.family, made.type, flags=socket.AI_NUMERICHOST)
            host, _, *zone = found[0][4]
            made.bind((host, port, *zone))
        except (OSError, OverflowError) as error:
            made.close()
            raise self._refused(port, error) from error
        return made

    def _refused(self, port: int, error: Exception) -> UsageError:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return UsageError(f"cannot listen on {self.host} port {port}: {reason}. Choose another address.")


class Server:
    """Serves one place. Lives in one event loop."""

    def __init__(self, place: Place, handle: Handle) -> None:
        """Prepare to let *handle* answer what comes to *place*."""
        self._place = place
        self._handle = handle
        self._listening: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self) -> None:
        """Accept connections from now on."""
        if self._listening is None:
            self._listening = self._place.listen()
            self._listening.settimeout(0)
            asyncio.get_running_loop().add_reader(self._listening, self._accept, self._listening)

    async def refuse(self) -> None:
        """Refuse connections from now on, and drop those that are open."""
        if self._listening is not None:
            asyncio.get_running_loop().remove_reader(self._listening)
            self._listening.close()
            self._listening = None
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, listening: socket.socket) -> None:
        """Take one connection and serve it in a task of its own.

        Not by `asyncio.start_server`: what that accepts while it is being closed is never closed (3.9 to 3.11).
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
            # Here and not in `_serve`: a task that is cancelled before its first step never gets there.
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
            # The client has left, or is too slow to be waited for: nobody is there to be told.
            return
        finally:
            transport.abort()
