"""The whole daemon but for its sockets, and an IMDS whose answers are written down: fast enough to be fuzzed.

What IMDS says goes the daemon's own way, from the session token to every page, line and file. Time is the test's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Iterator, List, Mapping, Sequence, Union

import requests

from auditor import Auditor
from builders import START, UPTIME
from rolewatch.errors import ImdsError
from rolewatch.imds import TOKEN_HEADER, Client
from rolewatch.model import AgentStatus, Failure, Moment, Report
from rolewatch.publish.entries import Entry
from rolewatch.publish.http import Endpoint
from rolewatch.publish.lines import as_json, for_terminal
from rolewatch.publish.logs import event_logger
from rolewatch.publish.metrics import Metrics
from rolewatch.publish.native import encode
from rolewatch.publish.request import Request
from rolewatch.publish.status_line import status_line
from rolewatch.settings import ImdsSettings, Settings
from rolewatch.state_file import MAX_SIZE, StateFile
from rolewatch.watch import Setup, Watch
from rolewatch.wire import MAX_BODY

_PATH = re.compile(r"(api/token|[a-z-]+(/[a-z-]+)*(/[A-Za-z0-9_.~%-]{0,400})?)")
"""What may be asked: our own words, and one quoted segment behind them."""
_TOKEN = re.compile(r"[!-~]{1,1024}")
BOOT = "0d1c9d7c-0000-4000-8000-000000000000"


@dataclass(frozen=True)
class Answer:
    """One answer of IMDS, as far as it is looked at."""

    status: int
    date: str = ""
    body: bytes = b""


NOTHING = Answer(HTTPStatus.NOT_FOUND)
Answers = Iterator[Union[Answer, Failure]]


class Scripted(Client):
    """A client whose requests are answered from a list, in order; when that ends, with 404."""

    def __init__(self) -> None:
        """Have no answers yet."""
        super().__init__("http://127.0.0.1", ImdsSettings(), monotonic=lambda: 0.0)
        self.answers: Answers = iter(())
        self.asked: List[str] = []

    def send(self, method: str, path: str, headers: Mapping[str, str], shown_path: str) -> requests.Response:
        """Give the next answer. Fail where the request says what only an answer can have put there."""
        assert _PATH.fullmatch(path), path
        assert not path.endswith(("/.", "/.."))
        assert _PATH.fullmatch(shown_path.replace("<role>", "")), shown_path
        assert (method, path) == ("PUT", "api/token") or (method == "GET" and _TOKEN.fullmatch(headers[TOKEN_HEADER]))
        self.asked.append(path)
        answer = next(self.answers, NOTHING)
        if isinstance(answer, Failure):
            raise ImdsError(answer)
        response = requests.Response()
        response.status_code = answer.status
        response.headers["Date"] = answer.date
        response._content = answer.body[:MAX_BODY]  # noqa: SLF001 - as `Client.send` does
        return response


@dataclass
class Time:
    """Clocks that stand still but for `pass_`."""

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

    def __init__(self, watch_time: Time) -> None:
        """Tell in every form of the log at once, at debug."""
        self.parts: List[str] = []
        self._logger = event_logger(self, level="debug", version="0", now=lambda: watch_time().utc, strict=True)

    def publish(self, report: Report) -> None:
        """Tell the events, and what `systemctl status` shows."""
        for event in report.events:
            self._logger.tell(event)
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
class OfflineHouse:
    """A daemon without sockets, that is audited at each poll, and whose state file is read back each time."""

    settings: Settings
    directory: Path
    name: str = "offline"

    def __post_init__(self) -> None:
        """Start it."""
        self.time, self.client, self.auditor = Time(), Scripted(), Auditor()
        self.told = Told(self.time)
        self._reports: List[Report] = []
        self.start(BOOT)

    def start(self, boot_id: str) -> None:
        """Start, or start again: what is remembered is what the file has. Built as `Daemon` builds it."""
        self._boot_id = boot_id
        self._file = StateFile(self.directory)
        self._metrics = Metrics(version="0", health=lambda: AgentStatus(config_ok=True, config_loaded=START))
        self._endpoint = Endpoint(self._metrics, version="0", addresses=(), uptime=lambda: self.time.uptime)
        self.watch = Watch(
            setup=Setup(self.settings, self.client),
            memory=self._file.load(boot_id=boot_id),
            publishers=(self._metrics, self._endpoint, self.told, self),
            remember=self._file.save,
            clock=self.time,
        )

    def restart(self, boot_id: str = "") -> None:
        """End the process and start another; with *boot_id*, after a boot."""
        self.auditor.restarted(same_boot=boot_id in ("", self._boot_id))
        self.start(boot_id or self._boot_id)

    def publish(self, report: Report) -> None:
        """Keep what was reported."""
        self._reports = [report]

    def poll(self, answers: Sequence[Union[Answer, Failure]]) -> Report:
        """Poll once, and hold what comes out against what is promised."""
        self.client.answers = iter(answers)
        self.watch.turn()
        (report,) = self._reports
        failures = {name: count for name, count in self.watch.publisher_failures.items() if count}
        assert not failures, (failures, [event.fields for event in self.watch.untold()])
        self.auditor.take(report.snapshot, report.events, self.watch.memory)
        self.told.parts.append(self._metrics.text().decode())
        for path in ("/", "/status.json"):
            response = self._endpoint.answer(Request("GET", path))
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
