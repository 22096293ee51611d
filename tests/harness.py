"""A whole daemon in the test's process, with every door to the outside a real socket that the test holds.

IMDS is the simulator, journald and systemd are datagram sockets, Prometheus is `urllib`. The clock is the machine's;
only the pause between two polls is the test's: it counts.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable

from prometheus_client.parser import text_string_to_metric_families

from rolewatch.cli import check
from rolewatch.cli.daemon import Daemon
from rolewatch.http import Endpoint
from rolewatch.monitor.loop import Clock, Wake
from rolewatch.monitor.loop import clock as machine_clock
from rolewatch.publish import Snapshot
from rolewatch.settings import (
    ExpectSettings,
    ImdsSettings,
    LogSettings,
    MetricsSettings,
    Settings,
    StateSettings,
    TextfileSettings,
)
from rolewatch.simulator import Simulator
from rolewatch.simulator.conditions import Effect
from rolewatch.simulator.scenarios import Scenario, scenario

POLLS = 4
"""Enough to raise or clear any fault: the longest debounce is three polls."""


TEXTFILE = "rolewatch.prom"
"""The file for node_exporter, in the test's directory."""

QUICK = ImdsSettings(timeout=0.3, deadline=0.6)
"""For an IMDS that lets time pass: it takes for ever."""
PATIENT = ImdsSettings(timeout=5.0, deadline=10.0)
"""For any other: no busy machine stalls for so long."""


def patience(scenario: Scenario) -> ImdsSettings:
    """Return how long to wait in *scenario*."""
    endless = any(fault.effect in (Effect.SILENCE, Effect.DRIP) for fault in scenario.conditions.network_faults)
    return QUICK if endless else PATIENT


def utc_now() -> datetime:
    """Return the time, for the simulator."""
    return datetime.now(timezone.utc)


@dataclass
class DatagramSocket:
    """A socket that stands where journald or systemd would listen."""

    path: Path

    def __post_init__(self) -> None:
        """Bind it."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._socket.bind(str(self.path))
        self._socket.settimeout(0)

    def received(self) -> list[bytes]:
        """Return what has come since the last call."""
        datagrams = []
        with contextlib.suppress(BlockingIOError):
            while True:
                datagrams.append(self._socket.recv(1 << 20))
        return datagrams

    def close(self) -> None:
        """Close it; the path stays."""
        self._socket.close()


def journal_fields(datagram: bytes) -> dict[str, str]:
    """Parse one entry of journald's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL)."""
    fields: dict[str, str] = {}
    rest = datagram
    while rest:
        line, _, rest = rest.partition(b"\n")
        if b"=" in line:
            name, _, value = line.partition(b"=")
        else:
            name, (length,) = line, struct.unpack("<Q", rest[:8])
            value, rest = rest[8 : 8 + length], rest[8 + length + 1 :]
        fields[name.decode()] = value.decode()
    return fields


@dataclass
class Seen:
    """What came out of the daemon, at every door."""

    metrics: str = ""
    openmetrics: str = ""
    textfile: str = ""
    status: dict[str, Any] = field(default_factory=dict)
    page: str = ""
    ready: int = 0
    healthy: int = 0
    entries: list[dict[str, str]] = field(default_factory=list)
    notifications: list[str] = field(default_factory=list)
    state_file: str = ""

    def sample(self, name: str, **labels: str) -> float | None:
        """Return the value of one series of the metrics page; None where it is not there."""
        return sample_of(self.metrics, name, labels)

    def events(self, kind: str) -> list[dict[str, str]]:
        """Return the journal entries of one kind."""
        return [entry for entry in self.entries if entry.get("ROLEWATCH_EVENT") == kind]

    def everything(self) -> str:
        """Return all that came out, in one text."""
        return "\n".join(
            (
                self.metrics,
                self.openmetrics,
                self.textfile,
                json.dumps(self.status),
                self.page,
                json.dumps(self.entries),
                *self.notifications,
                self.state_file,
            )
        )


@dataclass
class House:
    """A daemon with its surroundings, to be run for some polls at a time."""

    directory: Path
    endpoint: str
    simulator: Simulator | None = None
    expect: ExpectSettings = field(default_factory=ExpectSettings)
    log_format: str = "journal"
    patience: ImdsSettings = PATIENT
    clock: Clock = machine_clock

    def switch(self, scenario: str) -> Callable[[], None]:
        """Return a step: IMDS goes to *scenario*."""
        assert self.simulator is not None
        simulator = self.simulator
        return lambda: simulator.switch(scenario)

    def look(self) -> Snapshot:
        """Return what `check` sees."""
        return check.poll(self.settings())

    def run(
        self,
        *steps: tuple[int, Callable[[], None]],
        polls: int = POLLS,
        ready: Callable[[str], object] = str,
    ) -> Seen:
        """Run the daemon for *polls* polls and return what came out.

        A step is done after so many polls; *ready* is handed the address of the page before the first.
        """
        journald = DatagramSocket(self.directory / "journal")
        systemd = DatagramSocket(self.directory / "notify")
        settings = self.settings()
        seen = Seen()
        addresses: list[str] = []
        journal: list[bytes] = []
        notified: list[bytes] = []
        todo = dict(steps)
        done = 0

        def pause(seconds: float) -> Wake:
            nonlocal done
            assert 0 <= seconds <= settings.poll.max_interval
            done += 1
            # The kernel queues ten datagrams; journald and systemd read on, and so does this.
            journal.extend(journald.received())
            notified.extend(systemd.received())
            if done in todo:
                todo[done]()
            if done < polls:
                return Wake.POLL
            self._scrape(addresses[0], seen)
            return Wake.STOP

        def begin(endpoint: Endpoint) -> None:
            addresses.extend(endpoint.addresses)
            ready(addresses[0])

        daemon = Daemon(
            settings,
            lambda: (settings, ()),
            {"NOTIFY_SOCKET": str(systemd.path)},
            clock=self.clock,
            journal_socket=str(journald.path),
            min_gap=0,
        )
        try:
            daemon.run(pause, ready=begin)
            seen.entries = [journal_fields(datagram) for datagram in (*journal, *journald.received())]
            seen.notifications = [datagram.decode() for datagram in (*notified, *systemd.received())]
        finally:
            for each in (journald, systemd):
                each.close()
                each.path.unlink()
        state_file = self.directory / "state.json"
        seen.state_file = state_file.read_text() if state_file.exists() else ""
        return seen

    def settings(self) -> Settings:
        """Return the settings of a test: everything on loopback, and the state in the test's directory."""
        return Settings(
            imds=replace(self.patience, endpoint=self.endpoint),
            expect=self.expect,
            metrics=MetricsSettings(listen=("127.0.0.1:0",)),
            textfile=TextfileSettings(path=str(self.directory / TEXTFILE)),
            log=LogSettings(format=self.log_format, level="debug"),
            state=StateSettings(directory=str(self.directory)),
        )

    def _scrape(self, address: str, seen: Seen) -> None:
        _, seen.metrics = get(f"http://{address}/metrics")
        _, seen.openmetrics = get(f"http://{address}/metrics", Accept="application/openmetrics-text; version=1.0.0")
        textfile = self.directory / TEXTFILE
        seen.textfile = textfile.read_text() if textfile.exists() else ""
        _, status = get(f"http://{address}/status.json")
        seen.status = json.loads(status)
        _, seen.page = get(f"http://{address}/")
        seen.ready, _ = get(f"http://{address}/-/ready")
        seen.healthy, _ = get(f"http://{address}/-/healthy")


def sample_of(page: str, name: str, labels: Mapping[str, str]) -> float | None:
    """Return the value of one series of the metrics *page*; None where it is not there."""
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return float(sample.value)
    return None


def get(url: str, *, timeout: float = 5.0, **headers: str) -> tuple[int, str]:
    """GET *url* on loopback; return the status and the body. Raise `OSError` where it says nothing for *timeout* s."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, headers=headers), timeout=timeout) as response:  # noqa: S310 - http, ours
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@contextlib.contextmanager
def house(directory: Path, name: str, *, expect: ExpectSettings | None = None) -> Iterator[House]:
    """Yield a house whose IMDS stands in the scenario *name*."""
    with Simulator(now=utc_now, scenario_name=name) as simulator:
        yield House(
            directory,
            simulator.endpoint,
            simulator=simulator,
            expect=expect or ExpectSettings(),
            patience=patience(scenario(name)),
        )
