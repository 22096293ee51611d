"""HTTP over plain sockets: tests send and check exact bytes."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

PATIENCE = 10.0
"""Seconds after which a test has failed. Nothing here takes that long."""
OTHER_HOST = "127.0.0.2"
"""Another address of loopback, which the server counts as another host."""


@dataclass(frozen=True)
class Answer:
    """One parsed response."""

    status: int
    headers: dict[str, str]
    body: bytes


def endpoint(address: str) -> tuple[str, int]:
    """Return host and port of *address*."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def dial(address: str, host: str = "127.0.0.1") -> socket.socket:
    """Return a connection to *address*; over IPv4, from the loopback address *host*."""
    source = (host, 0) if "[" not in address else None
    return socket.create_connection(endpoint(address), timeout=PATIENCE, source_address=source)


def read_all(connection: socket.socket) -> bytes:
    """Return the bytes until the other side closes."""
    data = b""
    while True:
        chunk = connection.recv(1 << 16)
        if not chunk:
            return data
        data += chunk


def exchange(address: str, *portions: bytes) -> bytes:
    """Send *portions* one by one, and return the bytes until the other side closes."""
    with dial(address) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for each in portions:
            connection.sendall(each)
        return read_all(connection)


def answer(data: bytes) -> Answer:
    """Parse one response."""
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    version, status, _ = first.split(" ", 2)
    assert version == "HTTP/1.1"
    return Answer(int(status), dict(line.split(": ", 1) for line in lines), body)


def ask(address: str, path: str = "/", method: str = "GET", **headers: str) -> Answer:
    """Send one request; underscores in *headers* are dashes."""
    fields = {"Host": address, **headers}
    lines = [f"{method} {path} HTTP/1.1", *(f"{k.replace('_', '-')}: {v}" for k, v in fields.items())]
    return answer(exchange(address, ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")))


@contextlib.contextmanager
def idle(address: str, number: int) -> Iterator[list[socket.socket]]:
    """Open *number* connections that send nothing."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(dial(address)) for _ in range(number)]


def hung_up(connections: Iterable[socket.socket], *, least: int = 1) -> int:
    """Return how many of *connections* the other side has closed; wait until they are that many."""
    return _polled(connections, select.POLLRDHUP, least)


def reset(connections: Iterable[socket.socket]) -> int:
    """Return how many of *connections* the other side has reset; wait for the first."""
    return _polled(connections, 0, 1)


def _polled(connections: Iterable[socket.socket], events: int, least: int) -> int:
    """Return how many of *connections* had one of *events*. Each is counted once."""
    poll = select.poll()
    for each in connections:
        poll.register(each, events)
    found, end = 0, time.monotonic() + PATIENCE
    while found < least and time.monotonic() < end:
        for descriptor, _ in poll.poll(PATIENCE * 1000):
            poll.unregister(descriptor)
            found += 1
    return found
