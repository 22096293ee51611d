"""Listening sockets: binds addresses, accepts connections, and admits them round-robin between client hosts."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import os
import select
import socket
from collections import OrderedDict
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any, Callable, Generic, TypeVar

from rolewatch.authority import join_address, split_address
from rolewatch.errors import UnavailableError, UsageError

BACKLOG = 4096
"""Connections that wait in the kernel while the loop is busy or the unit's CPUQuota= pauses it. The kernel's own limit
(net.core.somaxconn) is the same since Linux 5.4."""

_WHY = {
    errno.EADDRINUSE: "another program listens there (`ss -ltnp` names it; perhaps a second rolewatch)",
    errno.EADDRNOTAVAIL: "this host has no such address (`ip address` lists the ones it has)",
    errno.EACCES: "ports below 1024 need CAP_NET_BIND_SERVICE",
    errno.EAFNOSUPPORT: "this host, or the unit's RestrictAddressFamilies=, does not allow that kind of address",
}


def bind(addresses: Sequence[str]) -> list[socket.socket]:
    """Return a listening socket for each of *addresses*: ``HOST:PORT``, ``[IPV6]:PORT``, ``*:PORT``.

    ``localhost`` is 127.0.0.1, ``*`` is every address, IPv6 and IPv4; port 0 lets the kernel choose. No name is ever
    resolved: a resolver that does not respond must not keep the agent from starting. Raise `UsageError` for a
    malformed address and `UnavailableError` for one that cannot be bound; no socket stays open then.
    """
    bound: list[socket.socket] = []
    try:
        bound.extend(map(_bind, addresses))
    except Exception:
        close(bound)
        raise
    return bound


def adopt(sockets: Sequence[socket.socket]) -> list[socket.socket]:
    """Return *sockets*, which systemd passed to the daemon. Raise `UsageError` if one of them does not listen."""
    for each in sockets:
        if each.type != socket.SOCK_STREAM or not each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise UsageError(
                f"Socket {each.fileno()}, which systemd passed to rolewatch, does not listen for connections. "
                "rolewatch.socket must have ListenStream= and Accept=no."
            )
    return list(sockets)


def close(sockets: Sequence[socket.socket]) -> None:
    """Close *sockets*."""
    for each in sockets:
        each.close()


def name_of(listener: socket.socket) -> str:
    """Return the address of *listener* as in a URL: ``127.0.0.1:10169``, ``[::1]:10169``; or ``unix:PATH``."""
    name = listener.getsockname()
    return join_address(*name[:2]) if isinstance(name, tuple) else f"unix:{os.fsdecode(name)}"


def _bind(address: str) -> socket.socket:
    parsed = split_address(address)
    if parsed is None:
        raise UsageError(
            f"Cannot listen on {address!r}: that is not HOST:PORT with a port up to 65535. "
            "Write 127.0.0.1:10169, or [::1]:10169 with brackets for IPv6."
        )
    host, port = parsed
    dual = host == "*" and socket.has_dualstack_ipv6()
    numeric = {"localhost": "127.0.0.1", "*": "::" if dual else "0.0.0.0"}.get(host, host)  # noqa: S104 - as set
    try:
        family, _, _, _, resolved = socket.getaddrinfo(
            numeric, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST | socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError):  # UnicodeError: a label is too long for any name
        raise UsageError(
            f"Cannot listen on {address!r}: {host!r} is not an IP address. Names are not resolved; write the address, "
            "localhost, or * for every address."
        ) from None
    try:
        return socket.create_server(resolved, family=family, backlog=BACKLOG, dualstack_ipv6=dual)
    except OSError as error:
        if dual and error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):  # IPv6 is switched off
            return _bind(f"0.0.0.0:{port}")
        number = error.errno or 0
        raise UnavailableError(
            f"Cannot listen on {address}: {_WHY.get(number) or os.strerror(number)}. Fix that, or choose another "
            "address with --listen or `listen` in [metrics]."
        ) from None


# -- which connection is next ------------------------------------------------------------------------------------------

Client = tuple[str, int]
"""Host of a connection's peer ("" for a Unix socket), and the poll(2) events of the connection when it was accepted.

POLLIN: the peer has sent its request. POLLIN and POLLRDHUP: it has also closed its side. 0: it has sent nothing yet.
The events separate a scraper that waits for its answer from clients at the same address that do not.
"""

Item = TypeVar("Item")


class FairQueue(Generic[Item]):
    """Queue of items by client: round-robin between hosts; evicts from the host that has most.

    The clients of one host take turns as well. The items of one client are in the order in which they were added.
    """

    def __init__(self) -> None:
        """Start with no item."""
        self._hosts: OrderedDict[str, OrderedDict[int, OrderedDict[Item, None]]] = OrderedDict()
        """Items by host and events, in the order of their turns."""
        self._counts: dict[str, int] = {}
        """Number of items by host: `evict` reads it for each connection of a flood."""
        self._clients: dict[Item, Client] = {}

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self._clients)

    def __iter__(self) -> Iterator[Item]:
        """Yield the items in the order in which they were added."""
        return iter(list(self._clients))

    def add(self, item: Item, client: Client) -> None:
        """Add *item* as the last of *client*."""
        host, events = client
        self._clients[item] = client
        self._hosts.setdefault(host, OrderedDict()).setdefault(events, OrderedDict())[item] = None
        self._counts[host] = self._counts.get(host, 0) + 1

    def discard(self, item: Item) -> None:
        """Remove *item* if it is in the queue."""
        if item not in self._clients:
            return
        host, events = self._clients.pop(item)
        of_host = self._hosts[host]
        del of_host[events][item]
        if not of_host[events]:
            del of_host[events]
        self._counts[host] -= 1
        if not of_host:
            del self._hosts[host], self._counts[host]

    def evict(self) -> Item:
        """Remove and return the oldest item of the largest client of the host that has most.

        Raise `ValueError` if the queue is empty.
        """
        of_host = self._hosts[max(self._counts, key=self._counts.__getitem__)]
        largest = max(of_host, key=lambda events: len(of_host[events]))
        item = next(iter(of_host[largest]))
        self.discard(item)
        return item

    def pop(self) -> tuple[Item, Client]:
        """Remove and return the oldest item of the client whose turn it is. Raise `StopIteration` if empty."""
        host = next(iter(self._hosts))
        events = next(iter(self._hosts[host]))
        self._hosts.move_to_end(host)
        self._hosts[host].move_to_end(events)
        item = next(iter(self._hosts[host][events]))
        self.discard(item)
        return item, (host, events)


ACCEPTED_AT_ONCE = 256
"""Connections accepted in each iteration of the loop."""
MAX_WAITING = 256
"""Accepted connections that wait to be admitted. One more evicts the oldest of the host that has most."""
ADMITTED_AT_ONCE = 4
"""Connections admitted in each iteration of the loop. A scrape takes some six iterations, which are short when few
connections are admitted in each: 20 ms at the worst under a flood of connections that are reset, and 100 ms with 32 at
once (measured). A connection's request is read long before the last of a hundred places is taken again."""
RETRY_AFTER = 1.0
"""Seconds. Without a free descriptor accept() keeps failing at once, and the listener stays readable."""

Admit = Callable[[socket.socket, Client], Coroutine[Any, Any, object]]
"""Returns the coroutine that starts serving one accepted connection."""


class Acceptor:
    """Accepts connections in the running loop, and admits them in the order of a `FairQueue`."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        admit: Admit,
        *,
        loop: asyncio.AbstractEventLoop,
        failed: Callable[[Exception], None],
        retry_after: float = RETRY_AFTER,
    ) -> None:
        """Accept nothing until `start`.

        Call *failed* with each error of accept() and of *admit*. Accept again *retry_after* seconds after an error.
        """
        self._loop = loop
        self._listeners = listeners
        self._admit = admit
        self._failed = failed
        self._retry_after = retry_after
        self._poll = select.poll()
        self._waiting: FairQueue[socket.socket] = FairQueue()
        self._is_scheduled = False
        self._tasks: set[asyncio.Task[object]] = set()
        """Running coroutines of *admit*. The loop itself references them weakly."""

    def start(self) -> None:
        """Listen and accept. Raise `OSError` where the kernel refuses."""
        for each in self._listeners:
            each.settimeout(0)
            each.listen(BACKLOG)
            self._loop.add_reader(each, self._accept, each)

    async def stop(self) -> None:
        """Stop accepting, and close the connections that are not yet admitted. The listeners stay open."""
        listeners, self._listeners = self._listeners, ()
        for each in listeners:
            with contextlib.suppress(ValueError):  # `Server.stop` closes the listeners when this takes too long
                self._loop.remove_reader(each)
        while self._waiting:
            self._waiting.pop()[0].close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, listener: socket.socket) -> None:
        try:
            for _ in range(ACCEPTED_AT_ONCE):
                connection, peer = listener.accept()
                self._enqueue(connection, peer[0] if isinstance(peer, tuple) else "")
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            pass
        except OSError as error:  # no free descriptor, or no memory; a peer cannot cause other errors
            self._loop.remove_reader(listener)
            self._retry_later(listener, error)
        finally:
            self._schedule()

    def _retry_later(self, listener: socket.socket, error: OSError) -> None:
        self._loop.call_later(self._retry_after, self._retry, listener)
        self._failed(error)

    def _retry(self, listener: socket.socket) -> None:
        """Accept on *listener* again, unless `stop` was called meanwhile."""
        if listener in self._listeners:
            try:
                self._loop.add_reader(listener, self._accept, listener)
            except OSError as error:
                self._retry_later(listener, error)

    def _enqueue(self, connection: socket.socket, host: str) -> None:
        """Queue *connection*, or close it where the peer has gone already."""
        self._poll.register(connection, select.POLLIN | select.POLLRDHUP)
        try:
            events = dict(self._poll.poll(0)).get(connection.fileno(), 0)
        finally:
            self._poll.unregister(connection)
        if events & (select.POLLERR | select.POLLHUP):
            connection.close()
            return
        self._waiting.add(connection, (host, events))
        if len(self._waiting) > MAX_WAITING:
            self._waiting.evict().close()

    def _schedule(self) -> None:
        """Schedule `_admit_next` if connections wait."""
        if self._waiting and not self._is_scheduled:
            self._loop.call_soon(self._admit_next)
            self._is_scheduled = True

    def _admit_next(self) -> None:
        """Admit the next connections. Between two calls the loop serves those that are admitted."""
        self._is_scheduled = False
        try:
            for _ in range(min(ADMITTED_AT_ONCE, len(self._waiting))):
                self._begin(*self._waiting.pop())
        finally:
            self._schedule()

    def _begin(self, connection: socket.socket, client: Client) -> None:
        try:
            task = self._loop.create_task(self._admit(connection, client))
        except BaseException:
            connection.close()
            raise
        self._tasks.add(task)
        task.add_done_callback(functools.partial(self._end, connection))

    def _end(self, connection: socket.socket, task: asyncio.Task[object]) -> None:
        """Close *connection* if admitting it failed. A task that is cancelled before its first step cannot do that."""
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or error:
            connection.close()
        if isinstance(error, Exception):
            self._failed(error)
