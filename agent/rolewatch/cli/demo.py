"""``rolewatch demo``: simulator and daemon in one process, on loopback, walking through the faults."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Callable

from rolewatch.cli import options, output, signals
from rolewatch.cli.daemon import Daemon
from rolewatch.faults import Fault
from rolewatch.http import Endpoint
from rolewatch.monitor.loop import Wake, clock
from rolewatch.publish import Report
from rolewatch.settings import ExpectSettings, ImdsSettings, LogSettings, MetricsSettings, PollSettings, Settings
from rolewatch.simulator import Simulator
from rolewatch.simulator.scenarios import SCENARIOS, Scenario

INTERVAL = 1.0
"""Seconds between two polls here, instead of 30: an hour of a fleet in two minutes."""
LONGEST = 12.0
"""Seconds after which a scenario is left although not all of it was noticed."""
DWELL = 2.0
"""Seconds for which a scenario stays after all of it was noticed: time to read."""
BREATH = 0.5
"""Seconds of health between two scenarios."""


def add_parser(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Add ``demo``."""
    parser = commands.add_parser(
        "demo",
        help="watch a simulated IMDS go through its faults",
        description="Run the simulator and the daemon in one process, on loopback, and walk through the faults in "
        "compressed time. Nothing outside this process is asked. Exit status of one walk: 0 where every fault was "
        "noticed, else 1; 0 where a signal ends it.",
    )
    parser.add_argument(
        "--for",
        dest="duration",
        type=options.seconds,
        metavar="DURATION",
        help="go on for so long (default: one walk, about two minutes)",
    )
    parser.add_argument("--listen", metavar="HOST:PORT", default="127.0.0.1:10169", help="address of the HTTP endpoint")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Walk through the scenarios and say which faults were noticed."""
    signals.block()
    settings = Settings(
        imds=ImdsSettings(timeout=0.5, deadline=2.0),
        poll=PollSettings(interval=INTERVAL, confirm_interval=INTERVAL / 2, max_interval=2 * INTERVAL),
        metrics=MetricsSettings(listen=(arguments.listen,)),
        log=LogSettings(format="console"),
        expect=ExpectSettings(role=tuple({pattern for each in SCENARIOS for pattern in each.expect.expect_role})),
    )
    with Simulator(now=lambda: clock().utc) as simulator:
        settings = replace(settings, imds=replace(settings.imds, endpoint=simulator.endpoint))
        tour = Tour(simulator, one_of_each_fault(SCENARIOS), duration=arguments.duration)
        daemon = Daemon(settings, lambda: (settings, ()), os.environ, extra_publishers=(tour,), min_gap=0)
        daemon.run(tour.pause, ready=lambda endpoint: _say_how_to_look(endpoint, settings))
    return tour.summary()


def one_of_each_fault(scenarios: Sequence[Scenario]) -> list[Scenario]:
    """Return the scenarios of the walk: the first that shows a fault not yet shown."""
    shown: set[Fault] = set()
    walk: list[Scenario] = []
    for scenario in scenarios:
        faults = set(scenario.expect.faults)
        if faults - shown:
            shown |= faults
            walk.append(scenario)
    return walk


@dataclass
class Tour:
    """Walk the simulator through *walk* as the daemon notices: it is the daemon's pause and one of its publishers."""

    simulator: Simulator
    walk: Sequence[Scenario]
    duration: float | None = None
    name: str = "tour"
    pause_for: Callable[[float], Wake] = signals.pause
    now: Callable[[], float] = time.monotonic
    noticed: list[Noticed] = field(default_factory=list)
    _step: int = -1
    _interrupted: bool = False

    def __post_init__(self) -> None:
        """Begin in good health."""
        self._begun = self._entered = self.now()
        self._seen_at: float | None = None
        self._mended = True

    def publish(self, report: Report) -> None:
        """Note when all that the scenario shows has been noticed; in between, when all of it is over."""
        if self._seen_at is not None:
            return
        active = {active.fault for active in report.snapshot.faults}
        if self._mended:
            self._seen_at = None if active else self.now()
        elif set(self.walk[self._step].expect.faults) <= active:
            self._seen_at = self.now()
            self.noticed.append(Noticed(self.walk[self._step], self._seen_at - self._entered))

    def pause(self, seconds: float) -> Wake:
        """Wait as the daemon asked, and go to the next scenario when this one has been seen for long enough."""
        wake = self.pause_for(seconds)
        if wake in (Wake.STOP, Wake.RELOAD):  # the terminal was closed: SIGHUP
            self._interrupted = True
            return Wake.STOP
        now = self.now()
        seen = self._seen_at is not None and now - self._seen_at >= (BREATH if self._mended else DWELL)
        if seen or now - self._entered >= LONGEST:
            return self._next(now)
        return wake

    def _next(self, now: float) -> Wake:
        """Mend what is broken, or go on to the next scenario; stop after the last one, or when the time is over.

        There is always one, however short the time.
        """
        self._entered, self._seen_at = now, None
        if not self._mended:
            self._mended = True
            self.simulator.switch("healthy")
            output.say("── mended")
            return Wake.POLL
        over = self.duration is not None and self._step >= 0 and now - self._begun >= self.duration
        last = self._step + 1 == len(self.walk)
        if over or (last and self.duration is None):
            return Wake.STOP
        self._mended, self._step = False, 0 if last else self._step + 1
        scenario = self.walk[self._step]
        self.simulator.switch(scenario.name)
        output.say(f"\n── {self._step + 1} of {len(self.walk)}: {scenario.title}")
        return Wake.POLL

    def summary(self) -> int:
        """Print what was noticed and how fast; return the exit status.

        A walk that a signal ended has missed nothing.
        """
        names = {noticed.scenario.name for noticed in self.noticed}
        missed = [scenario.name for scenario in self.walk if scenario.name not in names]
        output.say(f"\nNoticed, at a poll each {INTERVAL:g} s:")
        for noticed in self.noticed:
            faults = ", ".join(fault.value for fault in noticed.scenario.expect.faults)
            output.say(f"  {noticed.after:5.1f} s  {faults}")
        if missed and self.duration is None and not self._interrupted:
            output.complain(f"Not noticed: {', '.join(missed)}")
            return 1
        return 0


@dataclass(frozen=True)
class Noticed:
    """A scenario whose faults were all raised, and the seconds that took."""

    scenario: Scenario
    after: float


def _say_how_to_look(endpoint: Endpoint, settings: Settings) -> None:
    url, imds = endpoint.urls[0], settings.imds.endpoint
    output.say(
        f"The simulated IMDS answers on {imds}. While this runs, look at:\n"
        f"  curl {url}/metrics\n"
        f"  curl {url}/status.json\n"
        f"  rolewatch check --endpoint {imds}"
    )
