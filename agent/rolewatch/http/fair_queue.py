"""Accepts connections and admits them round-robin per client host, so that no host delays another."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import select
import socket
from collections import OrderedDict
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any, Callable, Generic, TypeVar

Crowd = tuple[str, int]
"""Whose a connection is: the host at its other end, and what that one had done when it was accepted, as poll(2) says:
asked for something (POLLIN), asked and closed its side (and POLLRDHUP), or nothing yet (0). A scraper whose request is
there is so told from those who have its address, and ask and go or only connect."""

T = TypeVar("T")


class Crowds(Generic[T]):
    """Things by the crowds that they belong to, each crowd's in the order in which they came."""

    def __init__(self) -> None:
        """Hold nothing."""
        self._hosts: OrderedDict[str, OrderedDict[int, OrderedDict[T, None]]] = OrderedDict()
        """In the order of their turns, and so are a host's crowds."""
        self._counts: dict[str, int] = {}
        """Of things, by host: looked through for each connection of a flood."""
        self._crowd_of: dict[T, Crowd] = {}

    def __len__(self) -> int:
        """Return how many things there are."""
        return len(self._crowd_of)

    def __iter__(self) -> Iterator[T]:
        """Return them, in the order in which they came."""
        return iter(list(self._crowd_of))

    def add(self, thing: T, crowd: Crowd) -> None:
        """Add *thing*, as the last of *crowd*."""
        host, done = crowd
        self._crowd_of[thing] = crowd
        self._hosts.setdefault(host, OrderedDict()).setdefault(done, OrderedDict())[thing] = None
        self._counts[host] = self._counts.get(host, 0) + 1

    def discard(self, thing: T) -> None:
        """Take *thing* out, if it is there."""
        if thing not in self._crowd_of:
            return
        host, done = self._crowd_of.pop(thing)
        of_host = self._hosts[host]
        del of_host[done][thing]
        if not of_host[done]:
            del of_host[done]
        self._counts[host] -= 1
        if not of_host:
            del self._hosts[host], self._counts[host]

    def take_one_of_most(self) -> T:
        """Take out the oldest of the biggest crowd of the host that has most. Raise `ValueError` where nothing is."""
        host = self._hosts[max(self._counts, key=self._counts.__getitem__)]
        biggest = max(host, key=lambda done: len(host[done]))
        thing = next(iter(host[biggest]))
        self.discard(thing)
        return thing

    def take_next(self) -> tuple[T, Crowd]:
        """Take out, with its crowd, the oldest of the crowd whose turn it is. Raise `StopIteration` where nothing is.

        Hosts take turns, and so do the crowds of one host.
        """
        host = next(iter(self._hosts))
        done = next(iter(self._hosts[host]))
        self._hosts.move_to_end(host)
        self._hosts[host].move_to_end(done)
        thing = next(iter(self._hosts[host][done]))
        self.discard(thing)
        return thing, (host, done)


BACKLOG = 4096
"""Connections that wait in the kernel, for as long as the loop is busy with others or the unit's CPUQuota= holds it
up. The kernel's own bound (net.core.somaxconn) is the same since Linux 5.4."""
ACCEPTED_AT_ONCE = 256
"""Connections accepted in each turn of the loop."""
MAX_WAITING = 256
"""Connections accepted and not let in. One more takes the place of the oldest of the host that holds most."""
LET_IN_AT_ONCE = 4
"""Connections let in in each turn of the loop. A page takes its scraper some six turns, and they are short where few
come in at once: under a flood of connections that are reset some 20 ms at the worst, and 100 with 32 at once
(measured). What a connection has sent is read long before the last of a hundred places is taken again."""
TRY_AGAIN = 1.0
"""Seconds. Where no descriptor is left, accept() fails at once, for ever, and the listener stays readable."""

LetIn = Callable[[socket.socket, Crowd], Coroutine[Any, Any, object]]
"""Makes of a connection what it is to be."""


class Acceptor:
    """Accept on *listeners*, in the running loop."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        let_in: LetIn,
        *,
        failed: Callable[[Exception], None],
        try_again: float = TRY_AGAIN,
    ) -> None:
        """Accept nothing yet. *failed* is told why the kernel gives no connection, and why one was not let in.

        After *try_again* seconds the kernel is asked again.
        """
        self._loop = asyncio.get_running_loop()
        self._listeners = listeners
        self._let_in = let_in
        self._failed = failed
        self._try_again = try_again
        self._poll = select.poll()
        self._waiting: Crowds[socket.socket] = Crowds()
        self._turn_comes = False
        self._tasks: set[asyncio.Task[object]] = set()
        """Of those that are being let in. The loop itself holds them weakly."""

    def start(self) -> None:
        """Listen, and accept from now on. Raise `OSError` where the kernel does not let us."""
        for each in self._listeners:
            each.settimeout(0)
            each.listen(BACKLOG)
            self._loop.add_reader(each, self._accept, each)

    async def stop(self) -> None:
        """Accept no more, and close what is not let in. The listeners stay open."""
        listeners, self._listeners = self._listeners, ()
        for each in listeners:
            with contextlib.suppress(ValueError):  # it is closed, by whom has no time to wait for this
                self._loop.remove_reader(each)
        while self._waiting:
            self._waiting.take_next()[0].close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, listener: socket.socket) -> None:
        """Take what is there."""
        try:
            for _ in range(ACCEPTED_AT_ONCE):
                connection, peer = listener.accept()
                self._take_in(connection, peer[0] if isinstance(peer, tuple) else "")
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            pass
        except OSError as error:
            # No descriptor is left, or no memory. No peer can bring any other about.
            self._loop.call_later(self._try_again, self._resume, listener)
            self._loop.remove_reader(listener)
            self._failed(error)
        finally:
            self._see_to_turn()

    def _resume(self, listener: socket.socket) -> None:
        """Accept on *listener* again, if that is still wanted."""
        if listener in self._listeners:
            again = self._loop.call_later(self._try_again, self._resume, listener)  # should the kernel refuse this, too
            self._loop.add_reader(listener, self._accept, listener)
            again.cancel()

    def _take_in(self, connection: socket.socket, host: str) -> None:
        """Let *connection* wait for its turn; *host* is "" for all who come through a socket in the file system."""
        done = self._done_by(connection)
        if done is None:
            connection.close()
            return
        self._waiting.add(connection, (host, done))
        if len(self._waiting) > MAX_WAITING:
            self._waiting.take_one_of_most().close()

    def _done_by(self, connection: socket.socket) -> int | None:
        """Return what the peer of *connection* has done, as `Crowd` has it; None where it is gone already."""
        self._poll.register(connection, select.POLLIN | select.POLLRDHUP)
        try:
            events = dict(self._poll.poll(0)).get(connection.fileno(), 0)
        finally:
            self._poll.unregister(connection)
        return None if events & (select.POLLERR | select.POLLHUP) else events

    def _see_to_turn(self) -> None:
        """See to it that there is a turn where somebody waits for one."""
        if self._waiting and not self._turn_comes:
            self._loop.call_soon(self._turn)
            self._turn_comes = True

    def _turn(self) -> None:
        """Let some in. Between two turns, the loop looks after those that are in."""
        self._turn_comes = False
        try:
            for _ in range(min(LET_IN_AT_ONCE, len(self._waiting))):
                self._begin(*self._waiting.take_next())
        finally:
            self._see_to_turn()

    def _begin(self, connection: socket.socket, crowd: Crowd) -> None:
        """Begin to let *connection* in."""
        try:
            task = self._loop.create_task(self._let_in(connection, crowd))
        except BaseException:
            connection.close()
            raise
        self._tasks.add(task)
        task.add_done_callback(functools.partial(self._end, connection))

    def _end(self, connection: socket.socket, task: asyncio.Task[object]) -> None:
        """Close *connection* if it is not in. A task that is cancelled before its first step cannot do it."""
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or error:
            connection.close()
        if isinstance(error, Exception):
            self._failed(error)
