"""The daemon without its sockets, with all its outputs checked after each poll. The test has IMDS and the clock.

What IMDS sends goes the whole way, from the session token to every page, line and file.
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
    """Clocks that the test sets."""

    uptime: float = UPTIME
    error: float = 0.0
    """Seconds by which the wall clock is ahead of the true time."""

    def __call__(self) -> Moment:
        """Return both clocks. The wall clock shows `START` if its time is out of range."""
        try:
            utc = START + timedelta(seconds=self.uptime - UPTIME + self.error)
        except OverflowError:
            utc = START
        return Moment(utc, self.uptime)


class Outputs:
    """Everything that the daemon published, in every form, as text."""

    name = "outputs"

    def __init__(self, clock: Clock) -> None:
        """Log in every format at once, at debug."""
        self.parts: list[str] = []
        self._logger = event_logger(self, level="debug", version="0", now=lambda: clock().utc, strict=True)

    def publish(self, report: Report) -> None:
        """Log the events, and keep the line of `systemctl status`."""
        for event in report.events:
            self._logger.write(event.message, record=event)
        line = status_line(report.snapshot)
        assert line.isprintable()
        self.parts.append(line)

    def write(self, entry: Entry) -> None:
        """Keep one log entry in its three formats."""
        line, shown = as_json(entry), for_terminal(entry, colour=False)
        assert "\n" not in line
        assert shown.isprintable()
        self.parts += [line, for_terminal(entry, colour=True, width=100), encode(entry).decode()]


@dataclass
class AuditedDaemon:
    """A daemon whose outputs are checked, and whose state file is read back, after each poll."""

    settings: Settings
    directory: Path
    client: Client
    clock: Clock
    name: str = "audit"

    def __post_init__(self) -> None:
        """Start it."""
        self.auditor, self.outputs = Auditor(), Outputs(self.clock)
        self._reports: list[Report] = []
        self.start(BOOT)

    def start(self, boot_id: str) -> None:
        """Start, or start again with the memory of the state file. Built as `Daemon` builds it."""
        self._boot_id = boot_id
        self._file = StateFile(self.directory)
        self._metrics = Metrics(version="0", health=lambda: AgentStatus(config_ok=True, config_loaded=START))
        self._endpoint = Endpoint(self._metrics, version="0", addresses=(), uptime=lambda: self.clock().uptime)
        self.watch = Loop(
            setup=Setup(self.settings, self.client),
            memory=self._file.load(boot_id=boot_id),
            publishers=(self._metrics, self._endpoint, self.outputs, self),
            save=self._file.save,
            clock=self.clock,
        )

    def restart(self, boot_id: str = "") -> None:
        """Start again; with *boot_id*, after a boot."""
        self.auditor.restarted(same_boot=boot_id in ("", self._boot_id))
        self.start(boot_id or self._boot_id)

    def publish(self, report: Report) -> None:
        """Keep the report."""
        self._reports = [report]

    def poll(self) -> Report:
        """Poll once, and check the outputs against the promises."""
        self.watch.poll()
        (report,) = self._reports
        failures = {name: count for name, count in self.watch.publisher_failures.items() if count}
        assert not failures, (failures, [event.fields for event in self.watch.drain_events()])
        self.auditor.take(report.snapshot, report.events, self.watch.memory)
        self.outputs.parts.append(self._metrics.text().decode())
        for path in ("/", "/status.json"):
            response = self._endpoint.respond(Request("GET", path, headers={"host": "localhost"}))
            assert response.status == HTTPStatus.OK
            self.outputs.parts.append(response.body.decode())
        self._read_back()
        return report

    def _read_back(self) -> None:
        """Check that the state file is small and that a restart can read it."""
        text = self._file.path.read_text()
        assert len(text) <= MAX_SIZE
        self.outputs.parts.append(text)
        StateFile(self.directory).load(boot_id=self._boot_id)
