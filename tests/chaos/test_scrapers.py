"""Hostile scrapers against a daemon in a process of its own: polls and scrapes of others go on.

The simulated IMDS records the polls: each begins with a PUT, and none may be late.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet
from hypothesis import given, settings
from hypothesis import strategies as st

from certificates import Authority
from chaos import quota
from chaos.floods import MANY, OTHER, OWN
from chaos.hasty import PAUSE
from daemon_process import DaemonProcess, config, daemon
from forms import Form
from harness import utc_now
from promises import Area, Measured, promise
from publish.raw import dial, read_all
from rolewatch.simulator import Exchange, Simulator
from stalls import longest_stall

HERE = Path(__file__).parent
QUICK, SHORT, LONG = 1.2, 2.5, 30.0
"""Seconds that each flood lasts: longer than a poll or a page may be late."""
LATE = 1.0
"""Seconds that a poll may be late, and that a scraper may wait for its page meanwhile."""
STALL = 0.5
"""Seconds of a processor's stall that are subtracted, at the most. A longer one fails the test, which is run again
(`stalls`)."""
P99 = {"plain": 25.0, "TLS": 100.0}
"""Milliseconds in which 99 of 100 pages arrive, with ten scrapers at once. The first is the bound of the bench. The
other includes the scrapers' own handshakes, which share one thread."""
GROWTH = 16.0
"""MiB that all live connections may take: 128 handshakes of some 90 KiB each, and some room."""
FEW = 12
"""File descriptors of a poll, and of scrapers that are about to close."""
PATIENCE = 20.0
pytestmark = pytest.mark.timeout(300)
"""Two times the patience, and the wait for the other worker's floods."""


@dataclass
class Watched:
    """A daemon that polls five times a second, and the times of its polls."""

    process: DaemonProcess
    address: str
    polls: list[float]
    client: ssl.SSLContext | None = None
    ca: str = ""
    calm: float = 0.0
    """The p99 before any flood: on a busy machine all times are long."""

    @property
    def kind(self) -> str:
        """``TLS`` or ``plain``."""
        return "TLS" if self.client else "plain"

    def _proc(self, name: str) -> Path:
        return Path(f"/proc/{self.process.pid}/{name}")

    def memory(self) -> float:
        """Return its resident memory in MiB."""
        return int(self._proc("statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)

    def threads(self) -> int:
        """Return its number of threads."""
        return len(list(self._proc("task").iterdir()))

    def files(self) -> int:
        """Return its number of open file descriptors."""
        return len(list(self._proc("fd").iterdir()))

    def lines(self) -> int:
        """Return the number of lines that it has logged."""
        return len(self.process.entries) + len(self.process.other)

    def next_poll(self) -> float:
        """Wait for a poll, and return its time."""
        seen, end = len(self.polls), time.monotonic() + PATIENCE
        while len(self.polls) == seen and time.monotonic() < end:
            time.sleep(PAUSE / 20)
        return self.polls[seen]

    def latest(self, since: float) -> float:
        """Return the greatest delay in seconds of the polls after the one at *since*."""
        polls = [each for each in self.polls if each >= since]
        return max(after - before for before, after in zip(polls, [*polls[1:], time.monotonic()])) - PAUSE


async def _scrape(watched: Watched) -> float:
    """Return the milliseconds until the whole page has arrived. Raise if it does not."""
    host, _, port = watched.address.rpartition(":")
    began = time.monotonic()
    name = "localhost" if watched.client else None
    reader, writer = await asyncio.open_connection(host, int(port), ssl=watched.client, server_hostname=name)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    page = await reader.read(-1)
    took = (time.monotonic() - began) * 1000
    writer.close()
    assert page.startswith(b"HTTP/1.1 200 OK"), page[:200]
    assert b"rolewatch_build_info" in page
    return took


async def _together(watched: Watched, clients: int, rounds: int) -> list[float]:
    """Scrape *rounds* times with each of *clients* at once."""

    async def client() -> list[float]:
        return [await _scrape(watched) for _ in range(rounds)]

    return [each for times in await asyncio.gather(*(client() for _ in range(clients))) for each in times]


def best(watched: Watched) -> float:
    """Return the milliseconds in which 99 of 100 pages arrive, with ten scrapers at once.

    It is the best of several tries, because the machine may be busy.
    """
    found, end = float("inf"), time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = min(found, statistics.quantiles(asyncio.run(_together(watched, 10, 10)), n=100)[-1])
        if found <= P99[watched.kind]:
            break
    return found


@contextlib.contextmanager
def undisturbed(directories: pytest.TempPathFactory) -> Iterator[None]:
    """Wait until the other worker's flood has ended, and block its next one: two use every processor."""
    with (directories.getbasetemp().parent / "flood").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="module")
def watched(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Run a daemon without a fault."""
    directory = tmp_path_factory.mktemp("chaos")
    polls: list[float] = []

    def note(exchange: Exchange) -> None:
        if exchange.method == "PUT":
            polls.append(time.monotonic())

    with Simulator(now=utc_now, on_exchange=note) as simulator:
        table, client, ca = "", None, ""
        if request.param == "TLS":
            authority = Authority(directory)
            pair = authority.issue()
            client, ca = authority.trusting(), str(authority.own.cert)
            table = f'[metrics.tls]\ncert_file = "{pair.cert}"\nkey_file = "{pair.key}"\n'
        path = config(directory, simulator, f'{table}[log]\nformat = "json"\n')
        command = [sys.executable, str(HERE / "hasty.py"), str(path)]
        with daemon(command=command, environ={"PYTHONDEVMODE": ""}) as process:
            address = str(process.wait_for("started")["listen"])
            process.wait_for("state_changed")
            made = Watched(process, address, polls, client, ca)
            with undisturbed(tmp_path_factory):
                made.calm = best(made)  # which also fills every cache before anything is measured
            yield made


DURING = "no poll and no page is late by a second, memory is bounded, no thread is added, nothing is logged"
QUOTA = "no poll and no page is late by more than a second and the pause that the quota makes; memory is bounded"


def flood_of(kind: str, name: str, what: str, source: str = OTHER, held: str = DURING) -> ParameterSet:
    """Return the parameters of the flood *name*, with its promise; *kind* is what the daemon speaks."""
    flood = name if source == OTHER else f"{name}-{source}"
    return pytest.param(kind, name, source, marks=promise(Area.SCRAPERS, what, held), id=f"{kind}-{flood}")


PLAIN = (
    flood_of("plain", "slow_loris", "256 requests that drip for ever (slow loris)"),
    flood_of("plain", "idle", "a thousand idle connections, opened anew as they are closed"),
    flood_of("plain", "connection_flood", "connections opened and reset as fast as two threads can"),
    flood_of(
        "plain", "connection_flood", "connections opened and reset from the address of the scraper that behaves", OWN
    ),
    flood_of("plain", "connection_flood", "connections opened and reset from ten thousand addresses", MANY),
    flood_of("plain", "request_flood", "requests for metrics and page as fast as two threads can"),
    flood_of("plain", "ask_and_go", "requests whose answers nobody waits for, as fast as two threads can"),
    flood_of(
        "plain",
        "ask_and_go",
        "requests whose answers nobody waits for, from the address of the scraper that behaves",
        OWN,
    ),
    flood_of("plain", "giant_headers", "requests with a head of 100 kB"),
    flood_of("plain", "pipelining", "500 requests in a row on each connection"),
    flood_of("plain", "malformed", "malformed requests and handshakes"),
    flood_of("plain", "never_reading", "a thousand connections that never take their answer"),
)
OF_TLS = (
    flood_of("TLS", "half_open", "TLS: a thousand handshakes that are begun and not finished"),
    flood_of("TLS", "cut_off", "TLS: a thousand handshakes whose first message does not end"),
    flood_of("TLS", "handshake_flood", "TLS: handshakes as fast as two threads can"),
    flood_of("TLS", "request_flood", "TLS: requests as fast as two threads can"),
    flood_of("TLS", "malformed", "TLS: malformed handshakes"),
)
"""A handshake costs the server more than the client, and OpenSSL works without the interpreter's lock."""
HELD_UP_MOST = (
    flood_of("plain", "ask_and_go", "with the unit's CPUQuota=: requests whose answers nobody waits for", OWN, QUOTA),
    flood_of(
        "plain", "never_reading", "with the unit's CPUQuota=: connections that never take their answer", held=QUOTA
    ),
    flood_of(
        "TLS", "half_open", "with the unit's CPUQuota=: TLS handshakes that are begun and not finished", held=QUOTA
    ),
)
"""Of each kind the flood under which a scraper waits longest: requests, open connections, and TLS."""


@pytest.fixture(name="alone")
def one_flood_at_a_time(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Wait for the flood of the other worker."""
    with undisturbed(tmp_path_factory):
        yield


@dataclass(frozen=True)
class Flood:
    """One flood."""

    name: str
    source: str
    seconds: float


@pytest.fixture(name="flood")
def a_flood(name: str, source: str, *, form: Form) -> Flood:
    """Return the flood of the test's parameters."""
    return Flood(name, source, form.pick(QUICK, SHORT, LONG))


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(("watched", "name", "source"), [*PLAIN, *OF_TLS], indirect=["watched"])
def test_watching_and_scraping_go_on_under(watched: Watched, flood: Flood, measured: Measured, form: Form) -> None:
    """One host floods, or many reset their connections. The quick form leaves out what a busy machine falsifies."""
    threads, files, lines = watched.threads(), watched.files(), watched.lines()
    measure_during(watched, flood, measured, LATE)

    if form is not Form.QUICK:
        measured("p99 of ten scrapers afterwards", best(watched), "ms", bound=max(P99[watched.kind], 3 * watched.calm))
    end = time.monotonic() + PATIENCE
    while watched.files() > files + FEW and time.monotonic() < end:
        asyncio.run(_scrape(watched))
    assert watched.files() <= files + FEW
    assert (watched.threads(), watched.lines()) == (threads, lines)


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(("watched", "name", "source"), HELD_UP_MOST, indirect=["watched"])
def test_watching_and_scraping_go_on_with_the_quota_of_the_unit(
    watched: Watched, flood: Flood, measured: Measured
) -> None:
    """A flood uses up the quota, and then the daemon is paused for most of each second."""
    with quota.as_the_unit_has_it(watched.process.pid):
        measure_during(watched, flood, measured, LATE + quota.THROTTLED)


def measure_during(watched: Watched, flood: Flood, measured: Measured, late_at_most: float) -> None:
    """Run *flood*, and measure *watched* meanwhile against the bounds."""
    memory, threads = watched.memory(), watched.threads()
    words = [str(HERE / "floods.py"), flood.name, flood.source, watched.address, str(flood.seconds), watched.ca]
    waits: list[float] = []
    most = memory
    begun = time.monotonic()
    first = watched.next_poll()
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True) as child:
        while child.poll() is None:
            waits.append(asyncio.run(_scrape(watched)) / 1000)
            most = max(most, watched.memory())
            assert watched.threads() == threads
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(0.05)
        done, _ = child.communicate()
    late = watched.latest(first)

    assert child.returncode == 0
    assert int(done) > 10 * flood.seconds, "the flood was too slow"
    stalled = min(longest_stall(begun), STALL)
    measured("a poll late, but for the machine's own stalls, by", max(0.0, late - stalled), "s", bound=late_at_most)
    measured("a page meanwhile, but for them, in", max(0.0, max(waits) - stalled), "s", bound=late_at_most)
    measured("memory grown by", most - memory, "MiB", bound=GROWTH)


COSTLY_HEADS = {
    "blanks in a header": b"GET /metrics HTTP/1.1\r\nA:%s\x01\r\n\r\n" % (b" " * 7900),
    "blanks around a header": b"GET /metrics HTTP/1.1\r\nA:%s:%s\x7f\r\n\r\n" % (b" " * 3900, b"\t" * 3900),
    "a header name": b"GET /metrics HTTP/1.1\r\n%s\x01: b\r\n\r\n" % (b"a" * 7900),
    "one header again and again": b"GET /metrics HTTP/1.1\r\n%s\x01\r\n\r\n" % (b"A:b\r\n" * 1500),
    "carriage returns": b"GET /metrics HTTP/1.1\r\nA:%s\r\n\r\n" % (b"\r" * 7900),
    "a target": b"GET %s HTTP/1.1 \r\n\r\n" % (b"http://" * 1100),
    "a method": b"%s /metrics HTTP/1.1\r\n\r\n" % (b"G" * 8000),
}
"""Heads within the limit of 8 KiB that would cost a backtracking parser most."""


@promise(
    Area.SCRAPERS,
    "a request of 8 kB that would cost a backtracking parser minutes",
    "it is refused at once, and the next page is not late",
)
@pytest.mark.parametrize("watched", ["plain"], indirect=True)
@pytest.mark.parametrize("head", [pytest.param(head, id=name) for name, head in COSTLY_HEADS.items()])
def test_no_head_costs_more_than_its_length(watched: Watched, head: bytes, measured: Measured) -> None:
    """The work for a head is linear in its bytes: one request cannot stop the polls."""
    begun = time.monotonic()
    with dial(watched.address) as connection:
        connection.sendall(head)
        refusal = read_all(connection)
    asyncio.run(_scrape(watched))
    took = time.monotonic() - begun

    assert refusal.startswith((b"HTTP/1.1 400", b"HTTP/1.1 405"))
    measured("both answers in", max(0.0, took - min(longest_stall(begun), STALL)), "s", bound=LATE)


WORDS = st.sampled_from(
    [b"GET ", b"HEAD ", b"/metrics", b"/", b"?name[]=", b" HTTP/1.1", b" HTTP/2.0", b"\r\n", b"\r", b"Host: x", b"\0"]
)
"""Parts of requests."""


@promise(
    Area.SCRAPERS,
    "whatever bytes Hypothesis makes up",
    "each request is answered, or its connection ends; nothing is logged",
)
@pytest.mark.parametrize("watched", ["plain"], indirect=True)
def test_no_bytes_are_a_request_that_harms(watched: Watched, form: Form, measured: Measured) -> None:
    """Each closes its side after the last byte, so that the server waits for no more."""
    lines = watched.lines()
    responses: list[bytes] = []

    @settings(max_examples=form.pick(quick=20, short=200, long=5000), deadline=None, database=None)
    @given(st.lists(WORDS | st.binary(max_size=50), max_size=40).map(b"".join))
    def send(data: bytes) -> None:
        with dial(watched.address) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            responses.append(read_all(connection))
        assert responses[-1] == b"" or responses[-1].startswith(b"HTTP/1.1 ")

    send()

    measured("tried", len(responses), "")
    assert watched.lines() == lines
    assert any(each.startswith(b"HTTP/1.1 400") for each in responses)
