"""Listen, read one request a connection, answer, close: as IMDS does."""

from __future__ import annotations

import asyncio
import socket
from typing import Awaitable, Callable, Optional, Set, final

from rolewatch.errors import UsageError
from rolewatch.simulator.messages import MAX_HEAD, BadRequestError, Request, read_request

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
            made.bind((self.host, port))
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
        self._listening: Optional[socket.socket] = None
        self._tasks: Set[asyncio.Task[None]] = set()

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
