"""Scrapers gone mad, each a function: ``python mad.py NAME FROM HOST:PORT SECONDS CA`` does it, and says how often.

A process of its own, so that it does not share an interpreter with who measures. Everything is on loopback, and
bounded in time.
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
"""From the address of the scraper who behaves, from another, or from ten thousand others."""
FORGET = b"\x01\x00\x00\x00\x00\x00\x00\x00"
"""SO_LINGER, on, for no time: a flood is not to use up this machine's ports."""


class Target:
    """The endpoint, and how long it is to suffer."""

    def __init__(self, source: str, address: str, seconds: float, ca: str) -> None:
        """Aim at *address*, from *source*; *ca* is who vouches for it, where it speaks TLS."""
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
        """Count one more deed."""
        with self._lock:
            self.count += 1

    def dial(self) -> socket.socket:
        """Return a connection that is reset when it is closed."""
        connection = socket.create_connection(self.peer, timeout=5, source_address=(self._host(), 0))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, FORGET)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as Go and curl
        return connection

    def _host(self) -> str:
        if self._source == MANY:
            return f"127.1.{random.randrange(100)}.{random.randrange(1, 101)}"  # noqa: S311 - nobody has to guess it
        return {OWN: "127.0.0.1", OTHER: "127.0.0.2"}[self._source]

    def hello(self) -> bytes:
        """Return the first message of a client of TLS."""
        outgoing = ssl.MemoryBIO()
        context = self.context or ssl.create_default_context()
        with contextlib.suppress(ssl.SSLWantReadError):
            context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost").do_handshake()
        return outgoing.read()

    def twice(self, deed: Callable[[], None]) -> None:
        """Do *deed* again and again, in two threads, until the time is up."""

        def work() -> None:
            while self.goes_on():
                with contextlib.suppress(OSError):
                    deed()
                    self.done()

        threads = [threading.Thread(target=work) for _ in range(2)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()


def _held(target: Target, number: int, first: bytes) -> dict[socket.socket, int]:
    """Open *number* connections that begin with *first*, without waiting for any."""
    held = {}
    for _ in range(number):
        with contextlib.suppress(OSError):
            connection = target.dial()
            held[connection] = 0
            connection.sendall(first)
            target.done()
    return held


def _refilled(target: Target, number: int, first: bytes) -> None:
    """Hold *number* connections that begin with *first*, until the time is up; for each that is closed, open one."""
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
    """Hold a thousand connections that say nothing, and that are opened anew when they are closed."""
    _refilled(target, 1000, b"")


def half_open(target: Target) -> None:
    """Hold a thousand handshakes that are begun and not finished."""
    _refilled(target, 1000, target.hello())


def cut_off(target: Target) -> None:
    """Hold a thousand handshakes whose first message does not end."""
    _refilled(target, 1000, target.hello()[:200])


def slow_loris(target: Target) -> None:
    """Drip 256 requests, a byte of each every tenth of a second, and are begun anew where they are cut off."""
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
    target.twice(lambda: target.dial().close())


def request_flood(target: Target) -> None:
    """Ask for the metrics and the page for people as fast as two threads can."""
    asked = iter(range(1 << 60))

    def ask() -> None:
        with target.dial() as plain, _secured(target, plain) as connection:
            connection.sendall(PAGE if next(asked) % 4 == 0 else GET)
            while connection.recv(1 << 16):
                pass

    target.twice(ask)


def handshake_flood(target: Target) -> None:
    """Make whole handshakes, and no request after them, as fast as two threads can."""

    def shake() -> None:
        with target.dial() as plain, _secured(target, plain):
            pass

    target.twice(shake)


@contextlib.contextmanager
def _secured(target: Target, plain: socket.socket) -> Iterator[socket.socket]:
    if target.context is None:
        yield plain
    else:
        with target.context.wrap_socket(plain, server_hostname="localhost") as connection:
            yield connection


def ask_and_go(target: Target) -> None:
    """Ask for the metrics and close, without a look at the answer and without a reset."""

    def ask() -> None:
        with target.dial() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes(len(FORGET)))
            connection.sendall(GET)

    target.twice(ask)


def giant_headers(target: Target) -> None:
    """Send requests whose head has 100 kB."""

    def ask() -> None:
        with target.dial() as plain, _secured(target, plain) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000)

    target.twice(ask)


def pipelining(target: Target) -> None:
    """Send five hundred requests in a row on each connection, whose answers are not waited for."""

    def ask() -> None:
        with target.dial() as plain, _secured(target, plain) as connection:
            connection.sendall(GET * 500)

    target.twice(ask)


def never_reading(target: Target) -> None:
    """Hold a thousand connections that ask, and never take the answer."""
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
    """Send requests and handshakes with bytes changed, taken out, put in, repeated; and bytes that never were any."""
    chance = random.Random(20261125)  # noqa: S311 - to be had again, not to be secret
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

    target.twice(send)


DEEDS: Mapping[str, Callable[[Target], None]] = {
    deed.__name__: deed
    for deed in (
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
    """Do what the arguments say, and print how often it was done."""
    name, source, address, seconds, ca = sys.argv[1:]
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, most) if most > 0 else 4096, most))
    sys.setswitchinterval(0.0005)  # two threads that hold each other up are no flood
    target = Target(source, address, float(seconds), ca)
    DEEDS[name](target)
    sys.stdout.write(f"{target.count}\n")


if __name__ == "__main__":
    main()
