"""Who is let in, and when: real connections, from hosts of loopback, all there before the first is looked at."""

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

from chaos.mad import FORGET
from promises import Area, promise
from publish.raw import OTHER_HOST, PATIENCE, answer, dial, hung_up, read_all
from publish.serving import serving
from rolewatch.http.fair_queue import BACKLOG, MAX_WAITING, Acceptor, Crowd
from rolewatch.http.request import Request, Response
from rolewatch.http.server import Server

HOST = "127.0.0.1"
NUMBER = 10
NEVER = 3600.0
"""Seconds: what is to happen then does not happen in a test by itself."""


class Busy:
    """A server, and a request that takes its only thread until `free`: all others come meanwhile."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        """Serve, and be busy."""
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

    def crowd(self, number: int, host: str = OTHER_HOST) -> list[socket.socket]:
        """Return the connections of so many requests."""
        return [self.request("/crowd", host) for _ in range(number)]

    def free(self) -> None:
        """Answer the request, and see who else is there."""
        self._free.set()

    def before(self, path: str) -> int:
        """Return how many were answered before it was."""
        return self.answered.index(path)

    def _answer(self, request: Request) -> Response:
        if not self._asked.is_set():
            self._asked.set()
            assert self._free.wait(PATIENCE)
        self.answered.append(request.path)
        return Response(200, b"")


@pytest.fixture
def busy(crowds: None) -> Iterator[Busy]:  # noqa: ARG001 - for what it does
    """Return a server that is."""
    with contextlib.ExitStack() as stack:
        yield Busy(stack)


def told(connection: socket.socket) -> int:
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
def test_nobody_waits_behind_another_hosts_crowd(busy: Busy) -> None:
    """Connections are let in crowd by crowd, and not in the order in which they came."""
    crowd = busy.crowd(250)
    scraper = busy.request("/scraper")
    busy.free()

    assert told(scraper) == 200
    assert busy.before("/scraper") < 50
    assert [told(each) for each in crowd] == [200] * len(crowd)


@promise(
    Area.SCRAPERS,
    "more requests of one host at once than can wait",
    "its oldest are cut off, and all of another host are answered",
)
def test_of_a_crowd_that_is_too_big_the_oldest_are_cut_off(busy: Busy) -> None:
    """So the kernel's queue is empty for whoever comes next, and the daemon's descriptors do not run out."""
    others = busy.crowd(40, HOST)
    crowd = busy.crowd(900)
    busy.free()

    assert [told(each) for each in others] == [200] * len(others)
    statuses = [told(each) for each in crowd]
    assert statuses[-150:] == [200] * 150
    assert 150 <= statuses.count(200) <= MAX_WAITING + 100


@promise(
    Area.SCRAPERS,
    "hundreds of requests whose answers nobody waits for, and one of the same host that does wait",
    "it does not wait behind the others",
)
@pytest.mark.parametrize("leave", ["resets", "closes its side"])
def test_who_has_gone_is_not_waited_for(busy: Busy, leave: str) -> None:
    """Nor is a scraper taken for one of them, although it has their address."""
    for each in busy.crowd(900, HOST):
        if leave == "resets":
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, FORGET)
            each.close()
        else:
            each.shutdown(socket.SHUT_WR)
    scraper = busy.request("/scraper")
    busy.free()

    assert told(scraper) == 200
    assert busy.before("/scraper") < 50


def test_a_host_that_is_many_things_is_one_host(busy: Busy) -> None:
    """It gets no second share for asking in another way: the biggest crowd of the biggest host has to go."""
    others = busy.crowd(120, HOST)
    for number, each in enumerate(busy.crowd(600)):
        if number % 2:
            each.shutdown(socket.SHUT_WR)
    busy.free()

    assert [told(each) for each in others] == [200] * len(others)


# -- what goes wrong in between ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def peers(number: int, listener: socket.socket) -> Iterator[list[socket.socket]]:
    """Return so many connections to *listener*."""
    host, port = listener.getsockname()
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(dial(f"{host}:{port}")) for _ in range(number)]


@pytest.mark.parametrize("when", ["at once", "later"])
def test_a_failure_costs_one_connection_only(when: str) -> None:
    """The first, here; the other nine are let in, and the failure is told."""
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

        def let_in(connection: socket.socket, _: Crowd) -> Coroutine[Any, Any, None]:
            if unlucky:
                return enter(connection, done)
            unlucky.append(connection)
            if when == "at once":
                raise MemoryError
            return fail()

        acceptor = Acceptor([listener], let_in, failed=failures.append)
        acceptor.start()
        await asyncio.wait_for(done.wait(), PATIENCE)
        assert unlucky[0].fileno() == -1
        await acceptor.stop()

    with socket.create_server((HOST, 0)) as listener, peers(NUMBER, listener):
        asyncio.run(run(listener))
        for each in entered:
            each.close()

    assert [type(each) for each in failures] == [MemoryError]


@pytest.mark.usefixtures("crowds")
def test_a_stop_leaves_nobody_waiting() -> None:
    """Neither who is being let in, nor who is not."""
    failures: list[Exception] = []

    async def run(listener: socket.socket, crowd: list[socket.socket]) -> None:
        begun = asyncio.Event()

        async def never(_connection: socket.socket, _crowd: Crowd) -> None:
            begun.set()
            await asyncio.Event().wait()

        acceptor = Acceptor([listener], never, failed=failures.append)
        acceptor.start()
        await asyncio.wait_for(begun.wait(), PATIENCE)
        await acceptor.stop()

        assert hung_up(crowd, least=len(crowd)) == len(crowd)
        await acceptor.stop()  # and it is still there

    with socket.create_server((HOST, 0), backlog=BACKLOG) as listener, peers(MAX_WAITING, listener) as crowd:
        asyncio.run(run(listener, crowd))

    assert failures == []


class Poor(socket.socket):
    """A listener to which the kernel gives no connection, so many times."""

    times = 1

    def accept(self) -> tuple[socket.socket, Any]:
        """Fail, or accept."""
        if self.times:
            self.times -= 1
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return super().accept()


def poor(times: int) -> Poor:
    """Return one that listens on loopback."""
    listener = Poor()
    listener.bind((HOST, 0))
    listener.listen()
    listener.times = times
    return listener


def test_where_the_kernel_gives_no_connection_it_is_asked_again() -> None:
    """After a while: it would refuse at once, for ever."""
    failures: list[Exception] = []

    async def run(listener: socket.socket) -> None:
        came: asyncio.Queue[socket.socket] = asyncio.Queue()

        async def let_in(connection: socket.socket, _: Crowd) -> None:
            came.put_nowait(connection)

        acceptor = Acceptor([listener], let_in, failed=failures.append, try_again=0.01)
        acceptor.start()
        (await asyncio.wait_for(came.get(), PATIENCE)).close()
        await acceptor.stop()

    with poor(2) as listener, peers(1, listener):
        asyncio.run(run(listener))

    assert [str(each) for each in failures] == ["[Errno 24] Too many open files"] * 2


@pytest.mark.parametrize("closed", [False, True], ids=["open", "closed"])
def test_after_a_stop_the_kernel_is_not_asked_again(
    closed: bool,  # noqa: FBT001 - a parameter
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Although it was to be; nor does it matter that the listener has been closed meanwhile."""
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

        async def let_in(_connection: socket.socket, _crowd: Crowd) -> None:
            raise AssertionError

        acceptor = Acceptor([listener], let_in, failed=lambda _: failed.set(), try_again=NEVER)
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
