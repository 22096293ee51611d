"""The order in which connections are admitted: real connections, all of which wait before the first is accepted."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import os
import socket
import threading
from collections.abc import Coroutine, Iterator
from typing import Any, Callable

import pytest

from chaos.floods import RESET
from promises import Area, promise
from publish.raw import OTHER_HOST, PATIENCE, answer, dial, hung_up, read_all
from publish.serving import serving
from rolewatch.http.listener import BACKLOG, MAX_WAITING, Acceptor, Client
from rolewatch.http.request import Request, Response
from rolewatch.http.server import Server

HOST = "127.0.0.1"
NUMBER = 10
NEVER = 3600.0
"""Seconds after which nothing happens in a test by itself."""


class Busy:
    """A server whose only thread is busy with one request until `free`, while other connections arrive."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        """Start the server, and send it the request that keeps it busy."""
        self._stack = stack
        self._asked, self._free = threading.Event(), threading.Event()
        self.answered: list[str] = []
        self.server: Server = stack.enter_context(serving(self._answer))
        stack.callback(self.free)
        self.request("/first")
        assert self._asked.wait(PATIENCE)

    def request(self, path: str, host: str = HOST) -> socket.socket:
        """Return the connection of one more request."""
        connection = self._stack.enter_context(dial(self.server.addresses[0], host))
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return connection

    def flood(self, number: int, host: str = OTHER_HOST) -> list[socket.socket]:
        """Return the connections of *number* requests from *host*."""
        return [self.request("/flood", host) for _ in range(number)]

    def free(self) -> None:
        """Let the server answer the first request, and then accept the others."""
        self._free.set()

    def before(self, path: str) -> int:
        """Return how many requests were answered before the one for *path*."""
        return self.answered.index(path)

    def _answer(self, request: Request) -> Response:
        if not self._asked.is_set():
            self._asked.set()
            assert self._free.wait(PATIENCE)
        self.answered.append(request.path)
        return Response(200, b"")


@pytest.fixture
def busy(many_files: None) -> Iterator[Busy]:  # noqa: ARG001 - for what it does
    """Run a server that is busy."""
    with contextlib.ExitStack() as stack:
        yield Busy(stack)


def status_of(connection: socket.socket) -> int:
    """Return the status of the answer, or 0 where the connection was reset."""
    try:
        return answer(read_all(connection)).status
    except ConnectionResetError:
        return 0


@promise(
    Area.SCRAPERS,
    "hundreds of requests of one host, which came before that of another",
    "the other does not wait behind them, and they are served as well",
)
def test_no_request_waits_behind_the_flood_of_another_host(busy: Busy) -> None:
    """Hosts take turns; the order of arrival does not count."""
    flood = busy.flood(250)
    scraper = busy.request("/scraper")
    busy.free()

    assert status_of(scraper) == 200
    assert busy.before("/scraper") < 50
    assert [status_of(each) for each in flood] == [200] * len(flood)


@promise(
    Area.SCRAPERS,
    "more requests of one host at once than can wait",
    "its oldest are closed, and all of another host are answered",
)
def test_of_a_flood_the_oldest_connections_are_closed(busy: Busy) -> None:
    """So the kernel's queue is empty for the next client, and the daemon's descriptors do not run out."""
    others = busy.flood(40, HOST)
    flood = busy.flood(900)
    busy.free()

    assert [status_of(each) for each in others] == [200] * len(others)
    statuses = [status_of(each) for each in flood]
    assert statuses[-150:] == [200] * 150
    assert 150 <= statuses.count(200) <= MAX_WAITING + 100


@promise(
    Area.SCRAPERS,
    "hundreds of requests whose answers nobody waits for, and one of the same host that does wait",
    "it does not wait behind the others",
)
@pytest.mark.parametrize("leave", ["resets", "closes its side"])
def test_clients_that_have_gone_delay_no_other(busy: Busy, leave: str) -> None:
    """A scraper at the same address has a turn of its own."""
    for each in busy.flood(900, HOST):
        if leave == "resets":
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            each.close()
        else:
            each.shutdown(socket.SHUT_WR)
    scraper = busy.request("/scraper")
    busy.free()

    assert status_of(scraper) == 200
    assert busy.before("/scraper") < 50


def test_a_host_gets_one_share_however_its_clients_behave(busy: Busy) -> None:
    """Half of its connections are closed on its side; all count as those of one host."""
    others = busy.flood(120, HOST)
    for number, each in enumerate(busy.flood(600)):
        if number % 2:
            each.shutdown(socket.SHUT_WR)
    busy.free()

    assert [status_of(each) for each in others] == [200] * len(others)


# -- errors while accepting --------------------------------------------------------------------------------------------


@contextlib.contextmanager
def peers(number: int, listener: socket.socket) -> Iterator[list[socket.socket]]:
    """Open *number* connections to *listener*."""
    host, port = listener.getsockname()
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(dial(f"{host}:{port}")) for _ in range(number)]


@pytest.mark.parametrize("when", ["at once", "later"])
def test_a_failure_costs_one_connection_only(when: str) -> None:
    """The first fails to be admitted and is reported; the other nine are admitted."""
    failures: list[Exception] = []
    entered: list[socket.socket] = []

    async def fail() -> None:
        raise MemoryError

    async def enter(connection: socket.socket, done: asyncio.Event) -> None:
        entered.append(connection)
        if len(entered) == NUMBER - 1:
            done.set()

    async def run(listener: socket.socket) -> None:
        done = asyncio.Event()
        unlucky: list[socket.socket] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["exception"]))

        def admit(connection: socket.socket, _: Client) -> Coroutine[Any, Any, None]:
            if unlucky:
                return enter(connection, done)
            unlucky.append(connection)
            if when == "at once":
                raise MemoryError
            return fail()

        acceptor = Acceptor([listener], admit, loop=asyncio.get_running_loop(), failed=failures.append)
        acceptor.start()
        await asyncio.wait_for(done.wait(), PATIENCE)
        assert unlucky[0].fileno() == -1
        await acceptor.stop()

    with socket.create_server((HOST, 0)) as listener, peers(NUMBER, listener):
        asyncio.run(run(listener))
        for each in entered:
            each.close()

    assert [type(each) for each in failures] == [MemoryError]


@pytest.mark.usefixtures("many_files")
def test_a_stop_leaves_no_connection_waiting() -> None:
    """It closes those that are being admitted, and those that wait for that."""
    failures: list[Exception] = []

    async def run(listener: socket.socket, flood: list[socket.socket]) -> None:
        begun = asyncio.Event()

        async def never(_connection: socket.socket, _client: Client) -> None:
            begun.set()
            await asyncio.Event().wait()

        acceptor = Acceptor([listener], never, loop=asyncio.get_running_loop(), failed=failures.append)
        acceptor.start()
        await asyncio.wait_for(begun.wait(), PATIENCE)
        await acceptor.stop()

        assert hung_up(flood, least=len(flood)) == len(flood)
        await acceptor.stop()  # and it is still there

    with socket.create_server((HOST, 0), backlog=BACKLOG) as listener, peers(MAX_WAITING, listener) as flood:
        asyncio.run(run(listener, flood))

    assert failures == []


class Poor(socket.socket):
    """A listener whose accept() fails *times* times."""

    times = 1

    def accept(self) -> tuple[socket.socket, Any]:
        """Fail, or accept."""
        if self.times:
            self.times -= 1
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return super().accept()


def poor(times: int) -> Poor:
    """Return a listener on loopback whose accept() fails *times* times."""
    listener = Poor()
    listener.bind((HOST, 0))
    listener.listen()
    listener.times = times
    return listener


def test_after_an_error_of_accept_it_accepts_again() -> None:
    """After a while: at once it would fail again, for ever."""
    failures: list[Exception] = []

    async def run(listener: socket.socket) -> None:
        came: asyncio.Queue[socket.socket] = asyncio.Queue()

        async def admit(connection: socket.socket, _: Client) -> None:
            came.put_nowait(connection)

        acceptor = Acceptor(
            [listener], admit, loop=asyncio.get_running_loop(), failed=failures.append, retry_after=0.01
        )
        acceptor.start()
        (await asyncio.wait_for(came.get(), PATIENCE)).close()
        await acceptor.stop()

    with poor(2) as listener, peers(1, listener):
        asyncio.run(run(listener))

    assert [str(each) for each in failures] == ["[Errno 24] Too many open files"] * 2


@pytest.mark.parametrize("closed", [False, True], ids=["open", "closed"])
def test_after_a_stop_it_does_not_accept_again(
    closed: bool,  # noqa: FBT001 - a parameter
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Although that was scheduled. The listener may have been closed meanwhile."""
    later: list[functools.partial[object]] = []

    async def run(listener: Poor) -> None:
        failed = asyncio.Event()
        loop = asyncio.get_running_loop()
        call_later = loop.call_later

        def noted(delay: float, callback: Callable[..., object], *args: object, **more: Any) -> asyncio.TimerHandle:
            if delay == NEVER:
                later.append(functools.partial(callback, *args))
            return call_later(delay, callback, *args, **more)

        monkeypatch.setattr(loop, "call_later", noted)

        async def admit(_connection: socket.socket, _client: Client) -> None:
            raise AssertionError

        acceptor = Acceptor(
            [listener], admit, loop=asyncio.get_running_loop(), failed=lambda _: failed.set(), retry_after=NEVER
        )
        acceptor.start()
        await asyncio.wait_for(failed.wait(), PATIENCE)
        if closed:
            listener.close()
        await acceptor.stop()
        for each in later:
            each()

    with poor(2) as listener, peers(1, listener):
        asyncio.run(run(listener))

        assert len(later) == 1
        assert listener.times == 1
