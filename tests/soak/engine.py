"""A soak: one daemon with everything around it, through all scenarios in random order, for as long as is wanted.

IMDS is a process of its own; journald and systemd are sockets that are read; clients scrape, some of them badly. Now
and then the settings are read again, and at the beginning the daemon is restarted a few times. Time is the machine's,
or one that the daemon puts forward instead of waiting (`shared_clock`).
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from daemon_process import AGENT
from harness import get
from rolewatch.simulator.scenarios import SCENARIOS
from soak.figures import Counts, Figures, Outcome
from soak.shared_clock import SharedClock

HERE = Path(__file__).parent
LIMIT = 60.0
"""Seconds that the slowest machine may take for any one step."""
LOOPBACK = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_PAGES: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("/metrics", {}),
    ("/metrics", {"Accept": "application/openmetrics-text; version=1.0.0", "Accept-Encoding": "gzip"}),
    ("/", {}),
    ("/status.json", {}),
)


@dataclass(frozen=True)
class Plan:
    """What is done, in polls."""

    seed: int
    visit: int = 6
    """Polls in each scenario."""
    rest: int = 4
    """Polls in good health after it."""
    lives: tuple[int, ...] = (40, 40, 40)
    """Polls after which the daemon is restarted, in the beginning; the last life is the one that is measured."""
    warm: int = 0
    """Polls of the last life before the figures are taken; 0: all scenarios once."""
    reload_every: int = 97
    interval: float = 30.0
    timeout: float = 0.1
    """Seconds for a whole poll: so much does each cost in which IMDS stalls."""
    scrape_every: float = 0.25
    """Real seconds between two scrapes of each client."""
    launcher: str = "-"
    """That of the packaged tree; else the daemon runs from the sources, with our Python."""

    @property
    def warm_up(self) -> int:
        """Polls of the last life before the figures are taken."""
        return self.warm or len(SCENARIOS) * (self.visit + self.rest)


class Imds:
    """The simulator, in a process of its own."""

    def __init__(self, clock: str) -> None:
        """Start it."""
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "imds.py"), clock],
            env={**os.environ, "PYTHONPATH": str(AGENT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.endpoint, self._control = self._process.stdout.readline().split()

    def switch(self, scenario: str) -> None:
        """Enter *scenario*."""
        request = urllib.request.Request(f"{self._control}/scenario", data=scenario.encode(), method="PUT")  # noqa: S310 - http, ours
        with LOOPBACK.open(request, timeout=LIMIT) as answer:
            assert answer.status == 200

    def stop(self) -> None:
        """End it."""
        _end(self._process)


class Sockets:
    """Where journald and systemd would listen: both are read as fast as it goes, and entries are counted."""

    def __init__(self, directory: Path) -> None:
        """Listen in *directory*."""
        self.journal, self.notify = directory / "journal", directory / "notify"
        self.kinds: dict[str, int] = {}
        self._bound = []
        for path in (self.journal, self.notify):
            each = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            each.bind(str(path))
            self._bound.append(each)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._stop = threading.Event()
        self._reader.start()

    def _read(self) -> None:
        journal = self._bound[0]
        while not self._stop.is_set():
            for each in select.select(self._bound, [], [], 0.2)[0]:
                data = each.recv(1 << 18)
                kind = re.search(rb"^ROLEWATCH_EVENT=(\w+)$", data, re.MULTILINE) if each is journal else None
                if kind:
                    name = kind[1].decode()
                    self.kinds[name] = self.kinds.get(name, 0) + 1

    def close(self) -> None:
        """Stop listening."""
        self._stop.set()
        self._reader.join(LIMIT)
        for each in self._bound:
            each.close()


class Scrapers:
    """Clients of the endpoint: one for each page, and one that hangs up in the middle of its request."""

    def __init__(self, every: float) -> None:
        """Begin; there is no address yet."""
        self.address = ""
        self.done = self.failed = 0
        self._every = every
        self._stop = threading.Event()
        self._doors = [threading.Lock() for _ in range(len(_PAGES) + 1)]
        clients: list[Callable[[], None]] = [*(lambda page=page: self._scrape(*page) for page in _PAGES), self._rude]
        self._threads = [
            threading.Thread(target=self._repeat, args=(client, door), daemon=True)
            for client, door in zip(clients, self._doors)
        ]
        for thread in self._threads:
            thread.start()

    @contextlib.contextmanager
    def held_back(self) -> Iterator[None]:
        """Stop all scrapes."""
        with contextlib.ExitStack() as held:
            for door in self._doors:
                held.enter_context(door)
            yield

    def _repeat(self, client: Callable[[], None], door: threading.Lock) -> None:
        while not self._stop.wait(self._every):
            with door:
                if self.address:
                    client()

    def _scrape(self, path: str, headers: Mapping[str, str]) -> None:
        request = urllib.request.Request(f"http://{self.address}{path}", headers=dict(headers))
        try:
            with LOOPBACK.open(request, timeout=LIMIT) as page:
                whole = bool(page.read())
        except OSError:
            whole = False
        self.done += 1
        self.failed += not whole

    def _rude(self) -> None:
        host, _, port = self.address.rpartition(":")
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), LIMIT) as connection:
            connection.sendall(b"GET /metrics HTT")

    def stop(self) -> None:
        """End them all."""
        self._stop.set()
        for thread in self._threads:
            thread.join(LIMIT)


class Soak:
    """One soak, from its beginning to its end."""

    def __init__(self, directory: Path, plan: Plan, *, accelerated: bool) -> None:
        """Prepare everything in *directory*."""
        self._directory, self._plan = directory, plan
        self._clock = SharedClock(directory / "clock") if accelerated else None
        self._clock_file = str(directory / "clock") if accelerated else "-"
        self._random = random.Random(plan.seed)  # noqa: S311 - an order, no secret
        self._round: list[str] = []
        self._counts = Counts()
        self._begun = self._now()
        self._config = directory / "rolewatch.toml"
        self._state_file = directory / "state.json"
        self._daemon: subprocess.Popen[str] | None = None
        self._polls = 0

    def run(self, seconds: float, *, show: Callable[[float, Figures], None] = lambda *_: None) -> Outcome:
        """Run for *seconds*; pass a sample of the figures to *show*, every tenth of that or every ten minutes."""
        with contextlib.ExitStack() as stack:
            self._imds = Imds(self._clock_file)
            stack.callback(self._imds.stop)
            self._sockets = Sockets(self._directory)
            stack.callback(self._sockets.close)
            self._scrapers = Scrapers(self._plan.scrape_every)
            stack.callback(self._scrapers.stop)
            stack.callback(self._end)
            return self._go(seconds, show)

    def _go(self, seconds: float, show: Callable[[float, Figures], None]) -> Outcome:
        plan, counts, samples = self._plan, self._counts, []
        self._start()
        for polls in plan.lives:
            self._poll(polls)
            self._restart()
        self._poll(plan.warm_up)
        before = self._sample()
        samples.append((self._passed(), before))
        show(*samples[-1])
        every = seconds / 10 if self._clock else min(600.0, seconds / 2)
        while self._passed() < seconds:
            self._poll(1)
            if self._passed() - samples[-1][0] >= every:
                samples.append((self._passed(), self._sample()))
                show(*samples[-1])
        after = self._sample()
        self._recover()
        self._take_counts()
        self._end()
        counts.seconds = self._passed()
        counts.scrapes, counts.scrapes_failed = self._scrapers.done, self._scrapers.failed
        return Outcome(before, after, counts, samples)

    # Time

    def _now(self) -> float:
        return time.monotonic() + (self._clock.skipped if self._clock else 0.0)

    def _passed(self) -> float:
        return self._now() - self._begun

    # The daemon

    def _start(self) -> None:
        self._settings()
        plan = self._plan
        isolated = ["/usr/bin/python3", "-ISB"] if plan.launcher != "-" else [sys.executable]
        self._daemon = subprocess.Popen(
            [
                *isolated,
                str(HERE / "daemon.py"),
                plan.launcher,
                str(self._config),
                self._clock_file,
                str(self._sockets.journal),
            ],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(AGENT),
                "NOTIFY_SOCKET": str(self._sockets.notify),
                # Skipped time has its signs of life faster than anybody reads them.
                **({} if self._clock else {"WATCHDOG_USEC": "20000000"}),
                "STATE_DIRECTORY": str(self._directory),
                "RUNTIME_DIRECTORY": str(self._directory),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._address = self._line()["listen"]

    def _line(self) -> dict[str, str]:
        assert self._daemon is not None
        assert self._daemon.stdout is not None
        line = self._daemon.stdout.readline()
        assert line, f"the daemon ended with status {self._daemon.wait(LIMIT)}; the seed is {self._plan.seed}"
        record: dict[str, str] = json.loads(line)
        return record

    def _restart(self) -> None:
        self._take_counts()
        self._end()
        self._counts.restarts += 1
        self._start()

    def _end(self) -> None:
        with self._scrapers.held_back():
            self._scrapers.address = ""
            if self._daemon is not None:
                daemon, self._daemon = self._daemon, None
                status = _end(daemon)
                assert status == 0, f"the daemon ended with status {status}; the seed is {self._plan.seed}"

    def _take_counts(self) -> None:
        """Read from the daemon's metrics what is counted for one life only."""
        with self._scrapers.held_back():
            _, page = get(f"http://{self._scrapers.address}/metrics")
        self._counts.dropped += int(_sum(page, "rolewatch_log_messages_dropped_total"))
        self._counts.publisher_failures += int(_sum(page, "rolewatch_publisher_failures_total"))
        self._counts.entries = sum(self._sockets.kinds.values())

    def _sample(self) -> Figures:
        """Sample the daemon without scrapes, after the last connection had time to close."""
        assert self._daemon is not None
        with self._scrapers.held_back():
            samples = []
            for _ in range(4):
                threading.Event().wait(0.05)
                samples.append(Figures.of(self._daemon.pid, self._state_file))
        return min(samples, key=lambda each: each.fds)

    # What happens

    def _poll(self, count: int) -> str:
        """Let the daemon poll so often, and see to what is due; return the state after the last."""
        state = ""
        for _ in range(count):
            state = self._one_poll()
            plan = self._plan
            if self._polls % plan.reload_every == 0:
                self._reload()
            place = self._polls % (plan.visit + plan.rest)
            if place == 0:
                self._imds.switch(self._next_scenario())
                self._counts.visits += 1
            elif place == plan.visit:
                self._imds.switch("healthy")
        return state

    def _one_poll(self) -> str:
        record = self._line()
        self._scrapers.address = self._address  # before the first poll there is no status to ask for
        counts = self._counts
        self._polls += 1
        counts.polls += 1
        counts.latest = max(counts.latest, float(record["late"]))
        counts.missed += float(record["over"]) > self._plan.interval / 2
        if self._clock is not None:
            self._go_on()
        return str(record["state"])

    def _go_on(self) -> None:
        assert self._daemon is not None
        assert self._daemon.stdin is not None
        self._daemon.stdin.write("\n")
        self._daemon.stdin.flush()

    def _next_scenario(self) -> str:
        if not self._round:
            self._round = [each.name for each in SCENARIOS]
            self._random.shuffle(self._round)
        return self._round.pop()

    def _settings(self, more: str = "") -> None:
        self._config.write_text(
            f'[imds]\nendpoint = "{self._imds.endpoint}"\ntimeout = {self._plan.timeout}\n'
            f"deadline = {self._plan.timeout}\n"
            f"[poll]\ninterval = {self._plan.interval}\nconfirm_interval = {min(10.0, self._plan.interval)}\n"
            f'[metrics]\nlisten = ["127.0.0.1:0"]\n[textfile]\npath = "{self._directory / "rolewatch.prom"}"\n'
            f'[log]\nformat = "journal"\nlevel = "debug"\n{more}'
        )
        self._config.chmod(0o644)

    def _reload(self) -> None:
        """Read the settings again: now the same, now with an expectation, now such as cannot be used."""
        assert self._daemon is not None
        self._settings(self._random.choice(["", '[expect]\nrole = "web-*"\n', "[limits]\nboot_grase = 1\n"]))
        self._daemon.send_signal(signal.SIGHUP)
        self._counts.reloads += 1

    def _recover(self) -> None:
        """Check that it still reports health, and a fault."""
        self._imds.switch("healthy")
        self._wait_for("ok")
        self._imds.switch("assume_role_unauthorized")
        self._wait_for("failed")

    def _wait_for(self, state: str) -> None:
        for _ in range(40):
            if self._one_poll() == state:
                return
        raise AssertionError(f"not {state} after 40 polls; the seed is {self._plan.seed}")


def _end(process: subprocess.Popen[str]) -> int:
    """End *process*, and return its status."""
    process.terminate()
    # stdin stays open until then: a daemon under a shared clock reads it.
    with contextlib.suppress(BrokenPipeError):
        if process.stdin is not None:
            process.stdin.close()
    if process.stdout is not None:
        with process.stdout:
            process.stdout.read()
    try:
        return process.wait(LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _sum(page: str, name: str) -> float:
    return sum(float(line.split()[-1]) for line in page.splitlines() if line.startswith(name))
