"""A whole daemon in the process of the test. All its peers are real sockets of the test.

IMDS is the simulator, journald and systemd are datagram sockets, Prometheus is `urllib`. The clock is the machine's;
the test replaces only the pause between two polls, and counts the polls there.
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
"""Polls that raise or clear any fault: the longest debounce takes three."""


TEXTFILE = "rolewatch.prom"
"""Name of the text file, in the directory of the test."""

QUICK = ImdsSettings(timeout=0.3, deadline=0.6)
"""For an IMDS that never completes a response."""
PATIENT = ImdsSettings(timeout=5.0, deadline=10.0)
"""For any other IMDS: no busy machine delays a response for so long."""


def timeouts_for(scenario: Scenario) -> ImdsSettings:
    """Return the time-outs for a poll in *scenario*."""
    endless = any(fault.effect in (Effect.SILENCE, Effect.DRIP) for fault in scenario.conditions.network_faults)
    return QUICK if endless or scenario.conditions.hop_limit else PATIENT


def utc_now() -> datetime:
    """Return the time, for the simulator."""
    return datetime.now(timezone.utc)


@dataclass
class DatagramSocket:
    """The socket of journald or systemd."""

    path: Path

    def __post_init__(self) -> None:
        """Bind it."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._socket.bind(str(self.path))
        self._socket.settimeout(0)

    def received(self) -> list[bytes]:
        """Return the datagrams that arrived since the last call."""
        datagrams = []
        with contextlib.suppress(BlockingIOError):
            while True:
                datagrams.append(self._socket.recv(1 << 20))
        return datagrams

    def close(self) -> None:
        """Close it. The path remains."""
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
class Outputs:
    """Everything that the daemon published."""

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
        """Return the value of one series of the metrics page, or None."""
        return sample_of(self.metrics, name, labels)

    def events(self, kind: str) -> list[dict[str, str]]:
        """Return the journal entries of one kind."""
        return [entry for entry in self.entries if entry.get("ROLEWATCH_EVENT") == kind]

    def everything(self) -> str:
        """Return all of it as one text."""
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
class InProcessDaemon:
    """A daemon and its peers, which runs for some polls at a time."""

    directory: Path
    endpoint: str
    simulator: Simulator | None = None
    expect: ExpectSettings = field(default_factory=ExpectSettings)
    log_format: str = "journal"
    timeouts: ImdsSettings = PATIENT
    clock: Clock = machine_clock

    def switch(self, scenario: str) -> Callable[[], None]:
        """Return a step in which IMDS enters *scenario*."""
        assert self.simulator is not None
        simulator = self.simulator
        return lambda: simulator.switch(scenario)

    def check(self) -> Snapshot:
        """Return the result of `rolewatch check`."""
        return check.poll(self.settings())

    def run(
        self,
        *steps: tuple[int, Callable[[], None]],
        polls: int = POLLS,
        ready: Callable[[str], object] = str,
    ) -> Outputs:
        """Run the daemon for *polls* polls and return its outputs.

        Each step is a number of polls and a function that runs after them; *ready* gets the address of the page before
        the first poll.
        """
        journald = DatagramSocket(self.directory / "journal")
        systemd = DatagramSocket(self.directory / "notify")
        settings = self.settings()
        seen = Outputs()
        addresses: list[str] = []
        journal: list[bytes] = []
        notified: list[bytes] = []
        todo = dict(steps)
        done = 0

        def pause(seconds: float) -> Wake:
            nonlocal done
            assert 0 <= seconds <= settings.poll.max_interval
            done += 1
            # The kernel queues ten datagrams. journald and systemd read all the time.
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
        """Return the settings: everything on loopback, the state in the directory of the test."""
        return Settings(
            imds=replace(self.timeouts, endpoint=self.endpoint),
            expect=self.expect,
            metrics=MetricsSettings(listen=("127.0.0.1:0",)),
            textfile=TextfileSettings(path=str(self.directory / TEXTFILE)),
            log=LogSettings(format=self.log_format, level="debug"),
            state=StateSettings(directory=str(self.directory)),
        )

    def _scrape(self, address: str, seen: Outputs) -> None:
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
    """Return the value of one series of the metrics *page*, or None."""
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return float(sample.value)
    return None


def get(url: str, *, timeout: float = 5.0, **headers: str) -> tuple[int, str]:
    """GET *url* on loopback; return status and body. Raise `OSError` after *timeout* seconds without a byte."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, headers=headers), timeout=timeout) as response:  # noqa: S310 - http, ours
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@contextlib.contextmanager
def in_process(directory: Path, name: str, *, expect: ExpectSettings | None = None) -> Iterator[InProcessDaemon]:
    """Yield a daemon whose IMDS is in the scenario *name*."""
    with Simulator(now=utc_now, scenario_name=name) as simulator:
        yield InProcessDaemon(
            directory,
            simulator.endpoint,
            simulator=simulator,
            expect=expect or ExpectSettings(),
            timeouts=timeouts_for(scenario(name)),
        )
