"""The whole daemon but for its own sockets, audited at each poll. IMDS and the clock are the test's.

What IMDS says goes the daemon's own way, from the session token to every page, line and file.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path

from auditor import Auditor
from builders import START, UPTIME
from rolewatch.http import Endpoint
from rolewatch.http.request import Request
from rolewatch.imds.client import Client
from rolewatch.monitor.loop import Clock, Loop, Setup
from rolewatch.monitor.state_file import MAX_SIZE, StateFile
from rolewatch.observation import Moment
from rolewatch.publish import AgentStatus, Report
from rolewatch.publish.journal import Entry, as_json, encode, event_logger, for_terminal
from rolewatch.publish.metrics import Metrics
from rolewatch.publish.systemd import status_line
from rolewatch.settings import Settings

BOOT = "0d1c9d7c-0000-4000-8000-000000000000"


@dataclass
class Time:
    """Clocks that stand still until the test sets them."""

    uptime: float = UPTIME
    error: float = 0.0
    """How far the wall clock is off, in seconds."""

    def __call__(self) -> Moment:
        """Return both clocks. The wall's stops at the ends of time, as no machine's does."""
        try:
            utc = START + timedelta(seconds=self.uptime - UPTIME + self.error)
        except OverflowError:
            utc = START
        return Moment(utc, self.uptime)


class Told:
    """All that came out, in every form, as text."""

    name = "told"

    def __init__(self, clock: Clock) -> None:
        """Tell in every form of the log at once, at debug."""
        self.parts: list[str] = []
        self._logger = event_logger(self, level="debug", version="0", now=lambda: clock().utc, strict=True)

    def publish(self, report: Report) -> None:
        """Tell the events, and what `systemctl status` shows."""
        for event in report.events:
            self._logger.write(event.message, record=event)
        line = status_line(report.snapshot)
        assert line.isprintable()
        self.parts.append(line)

    def write(self, entry: Entry) -> None:
        """Take one entry, in the three forms that it has."""
        line, shown = as_json(entry), for_terminal(entry, colour=False)
        assert "\n" not in line
        assert shown.isprintable()
        self.parts += [line, for_terminal(entry, colour=True, width=100), encode(entry).decode()]


@dataclass
class AuditedHouse:
    """A daemon whose every poll is audited, and whose state file is read back each time."""

    settings: Settings
    directory: Path
    client: Client
    clock: Clock
    name: str = "audit"

    def __post_init__(self) -> None:
        """Start it."""
        self.auditor, self.told = Auditor(), Told(self.clock)
        self._reports: list[Report] = []
        self.start(BOOT)

    def start(self, boot_id: str) -> None:
        """Start, or start again: what is remembered is what the file has. Built as `Daemon` builds it."""
        self._boot_id = boot_id
        self._file = StateFile(self.directory)
        self._metrics = Metrics(version="0", health=lambda: AgentStatus(config_ok=True, config_loaded=START))
        self._endpoint = Endpoint(self._metrics, version="0", addresses=(), uptime=lambda: self.clock().uptime)
        self.watch = Loop(
            setup=Setup(self.settings, self.client),
            memory=self._file.load(boot_id=boot_id),
            publishers=(self._metrics, self._endpoint, self.told, self),
            save=self._file.save,
            clock=self.clock,
        )

    def restart(self, boot_id: str = "") -> None:
        """End the process and start another; with *boot_id*, after a boot."""
        self.auditor.restarted(same_boot=boot_id in ("", self._boot_id))
        self.start(boot_id or self._boot_id)

    def publish(self, report: Report) -> None:
        """Keep what was reported."""
        self._reports = [report]

    def poll(self) -> Report:
        """Poll once, and hold what comes out against what is promised."""
        self.watch.poll()
        (report,) = self._reports
        failures = {name: count for name, count in self.watch.publisher_failures.items() if count}
        assert not failures, (failures, [event.fields for event in self.watch.drain_events()])
        self.auditor.take(report.snapshot, report.events, self.watch.memory)
        self.told.parts.append(self._metrics.text().decode())
        for path in ("/", "/status.json"):
            response = self._endpoint.respond(Request("GET", path, headers={"host": "localhost"}))
            assert response.status == HTTPStatus.OK
            self.told.parts.append(response.body.decode())
        self._read_back()
        return report

    def _read_back(self) -> None:
        """Read what was written: a restart can, and it is small."""
        text = self._file.path.read_text()
        assert len(text) <= MAX_SIZE
        self.told.parts.append(text)
        StateFile(self.directory).load(boot_id=self._boot_id)
