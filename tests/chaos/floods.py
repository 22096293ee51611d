"""Hostile scrapers, each a function: ``python floods.py NAME FROM HOST:PORT SECONDS CA`` runs one and prints a count.

It is a process of its own, so that it does not share an interpreter with the test that measures. Everything is on
loopback, and bounded in time.
"""

from __future__ import annotations

import contextlib
import random
import resource
import selectors
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Callable

GET = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
PAGE = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
OWN, OTHER, MANY = "own", "other", "many"
"""From the address of the well-behaved scraper, from another, or from ten thousand others."""
RESET = b"\x01\x00\x00\x00\x00\x00\x00\x00"
"""SO_LINGER with a time of 0: close() resets the connection, so that a flood does not use up this machine's ports."""


class Target:
    """The endpoint, and how long the flood lasts."""

    def __init__(self, source: str, address: str, seconds: float, ca: str) -> None:
        """Flood *address* from *source*. *ca* is the file with its CA if it speaks TLS, or else empty."""
        self._source = source
        host, _, port = address.rpartition(":")
        self.peer = (host, int(port))
        self._until = time.monotonic() + seconds
        self.context = ssl.create_default_context(cafile=ca) if ca else None
        self.count = 0
        self._lock = threading.Lock()

    def goes_on(self) -> bool:
        """Return whether there is time left."""
        return time.monotonic() < self._until

    def done(self) -> None:
        """Count one more connection or request."""
        with self._lock:
            self.count += 1

    def dial(self) -> socket.socket:
        """Return a connection that is reset when it is closed."""
        connection = socket.create_connection(self.peer, timeout=5, source_address=(self._host(), 0))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as Go and curl
        return connection

    def _host(self) -> str:
        if self._source == MANY:
            return f"127.1.{random.randrange(100)}.{random.randrange(1, 101)}"  # noqa: S311 - not a secret
        return {OWN: "127.0.0.1", OTHER: "127.0.0.2"}[self._source]

    def hello(self) -> bytes:
        """Return the first message of a TLS client."""
        outgoing = ssl.MemoryBIO()
        context = self.context or ssl.create_default_context()
        with contextlib.suppress(ssl.SSLWantReadError):
            context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost").do_handshake()
        return outgoing.read()

    def repeat(self, action: Callable[[], None]) -> None:
        """Repeat *action* in two threads until the time is over."""

        def work() -> None:
            while self.goes_on():
                with contextlib.suppress(OSError):
                    action()
                    self.done()

        threads = [threading.Thread(target=work) for _ in range(2)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()


def _held(target: Target, number: int, first: bytes) -> dict[socket.socket, int]:
    """Open *number* connections that send *first*, without waiting for a response."""
    held = {}
    for _ in range(number):
        with contextlib.suppress(OSError):
            connection = target.dial()
            held[connection] = 0
            connection.sendall(first)
            target.done()
    return held


def _refilled(target: Target, number: int, first: bytes) -> None:
    """Keep *number* connections open that send *first*. Replace each that the server closes."""
    with selectors.DefaultSelector() as selector:

        def open_one() -> None:
            with contextlib.suppress(OSError):
                connection = target.dial()
                selector.register(connection, selectors.EVENT_READ)
                connection.sendall(first)
                target.done()

        for _ in range(number):
            open_one()
        while target.goes_on():
            for key, _ in selector.select(0.2):
                connection = key.fileobj
                assert isinstance(connection, socket.socket)
                data = b""
                with contextlib.suppress(OSError):
                    data = connection.recv(1 << 16)
                if not data:
                    selector.unregister(connection)
                    connection.close()
                    open_one()


def idle(target: Target) -> None:
    """Keep a thousand connections open that send nothing."""
    _refilled(target, 1000, b"")


def half_open(target: Target) -> None:
    """Keep a thousand handshakes open that are begun and not finished."""
    _refilled(target, 1000, target.hello())


def cut_off(target: Target) -> None:
    """Keep a thousand handshakes open whose first message does not end."""
    _refilled(target, 1000, target.hello()[:200])


def slow_loris(target: Target) -> None:
    """Send 256 requests, one byte of each every tenth of a second. Replace each that the server closes."""
    said = b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 4000
    held = _held(target, 256, b"G")
    while target.goes_on():
        for connection, sent in list(held.items()):
            try:
                connection.sendall(said[sent + 1 : sent + 2])
                held[connection] = sent + 1
            except OSError:
                connection.close()
                del held[connection]
        held.update(_held(target, 256 - len(held), b"G"))
        time.sleep(0.1)


def connection_flood(target: Target) -> None:
    """Open connections and reset them, as fast as two threads can."""
    target.repeat(lambda: target.dial().close())


def request_flood(target: Target) -> None:
    """Request the metrics and the page as fast as two threads can."""
    asked = iter(range(1 << 60))

    def ask() -> None:
        with target.dial() as plain, _secured(target, plain) as connection:
            connection.sendall(PAGE if next(asked) % 4 == 0 else GET)
            while connection.recv(1 << 16):
                pass

    target.repeat(ask)


def handshake_flood(target: Target) -> None:
    """Complete handshakes without a request, as fast as two threads can."""

    def shake() -> None:
        with target.dial() as plain, _secured(target, plain):
            pass

    target.repeat(shake)


@contextlib.contextmanager
def _secured(target: Target, plain: socket.socket) -> Iterator[socket.socket]:
    if target.context is None:
        yield plain
    else:
        with target.context.wrap_socket(plain, server_hostname="localhost") as connection:
            yield connection


def ask_and_go(target: Target) -> None:
    """Request the metrics and close at once, without a reset."""

    def ask() -> None:
        with target.dial() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes(len(RESET)))
            connection.sendall(GET)

    target.repeat(ask)


def giant_headers(target: Target) -> None:
    """Send requests whose head has 100 kB."""

    def ask() -> None:
        with target.dial() as plain, _secured(target, plain) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000)

    target.repeat(ask)


def pipelining(target: Target) -> None:
    """Send five hundred requests on each connection, without waiting for a response."""

    def ask() -> None:
        with target.dial() as plain, _secured(target, plain) as connection:
            connection.sendall(GET * 500)

    target.repeat(ask)


def never_reading(target: Target) -> None:
    """Keep a thousand connections open that send a request and never read the response."""
    held: list[socket.socket] = []
    while target.goes_on():
        with contextlib.suppress(OSError):
            connection = target.dial()
            held.append(connection)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            connection.sendall(GET)
            target.done()
        for each in held[:-1000]:
            each.close()
        del held[:-1000]
        time.sleep(0.0005)


def malformed(target: Target) -> None:
    """Send requests and handshakes with bytes changed, removed, inserted and repeated; and random bytes."""
    chance = random.Random(20261125)  # noqa: S311 - reproducible, not secret
    hello = target.hello()

    def spoil(data: bytes) -> bytes:
        spoiled = bytearray(data)
        for _ in range(chance.randrange(1, 8)):
            at = chance.randrange(len(spoiled) + 1)
            kind = chance.randrange(4)
            if kind == 0:
                spoiled[at : at + 1] = bytes([chance.randrange(256)])
            elif kind == 1:
                del spoiled[at : at + chance.randrange(20)]
            elif kind == 2:
                spoiled[at:at] = chance.choice([b"\r\n", b"\x00", b"\xff" * 9, b":", b" ", b"\r", b"\n\n"])
            else:
                spoiled[at:at] = spoiled[: chance.randrange(60)]
        return bytes(spoiled)

    def send() -> None:
        said = chance.choice([spoil(GET), spoil(hello), chance.randbytes(300), spoil(GET * 40)])
        with target.dial() as connection:
            connection.sendall(said)
            connection.settimeout(0.02)
            connection.recv(1 << 16)

    target.repeat(send)


FLOODS: Mapping[str, Callable[[Target], None]] = {
    flood.__name__: flood
    for flood in (
        slow_loris,
        idle,
        connection_flood,
        request_flood,
        ask_and_go,
        giant_headers,
        pipelining,
        malformed,
        never_reading,
        half_open,
        cut_off,
        handshake_flood,
    )
}
"""By name."""


def main() -> None:
    """Run the flood that the arguments name, and print how many connections or requests it had."""
    name, source, address, seconds, ca = sys.argv[1:]
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, most) if most > 0 else 4096, most))
    sys.setswitchinterval(0.0005)  # else the two threads wait for each other
    target = Target(source, address, float(seconds), ca)
    FLOODS[name](target)
    sys.stdout.write(f"{target.count}\n")


if __name__ == "__main__":
    main()
