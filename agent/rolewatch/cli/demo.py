"""``rolewatch demo``: simulator and daemon in one process, on loopback, go through the faults."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Callable

from rolewatch.cli import COMMANDS, options, output, signals
from rolewatch.cli.daemon import Daemon
from rolewatch.faults import Fault
from rolewatch.http import Endpoint
from rolewatch.monitor.loop import Wake, clock
from rolewatch.publish import Report
from rolewatch.settings import ExpectSettings, ImdsSettings, LogSettings, MetricsSettings, PollSettings, Settings
from rolewatch.simulator import Simulator
from rolewatch.simulator.scenarios import SCENARIOS, Scenario

INTERVAL = 1.0
"""Seconds between two polls, instead of 30."""
TIME_LIMIT = 12.0
"""Seconds after which a scenario ends even if not all of its faults were detected."""
DISPLAY_TIME = 2.0
"""Seconds for which a scenario stays after its faults were detected: time to read."""
RECOVERY_TIME = 0.5
"""Seconds without a fault between two scenarios."""


def add_parser(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Add ``demo``."""
    parser = commands.add_parser(
        "demo",
        help=COMMANDS["demo"],
        description="Run the simulator and the daemon in one process, on loopback, and go through the faults in "
        "compressed time. The demo contacts nothing outside this process. Exit status: 1 if it showed a fault that "
        "was not detected, else 0.",
    )
    parser.add_argument(
        "--for",
        dest="duration",
        type=options.seconds,
        metavar="DURATION",
        help="run for this time (default: each fault once, about two minutes)",
    )
    parser.add_argument("--listen", metavar="HOST:PORT", default="127.0.0.1:10169", help="address of the HTTP endpoint")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Go through the scenarios and print which faults were detected; return the exit status."""
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
        daemon.run(tour.pause, ready=lambda endpoint: _print_urls(endpoint, settings))
    return tour.summary()


def one_of_each_fault(scenarios: Sequence[Scenario]) -> list[Scenario]:
    """Return the scenarios of the demo: each that shows a fault which none before it shows."""
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
    """Switches the simulator through *scenarios* as the daemon detects them: the daemon's pause and a publisher."""

    simulator: Simulator
    scenarios: Sequence[Scenario]
    duration: float | None = None
    name: str = "tour"
    pause_for: Callable[[float], Wake] = signals.pause
    now: Callable[[], float] = time.monotonic
    detections: list[Detection] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    """The scenarios that were shown to their end and not detected."""
    _step: int = -1

    def __post_init__(self) -> None:
        """Begin without a fault."""
        self._started = self._entered = self.now()
        self._complete_at: float | None = None
        """When the last poll confirmed all that the current step waits for."""
        self._recovering = True
        """Whether the current step is the time without a fault between two scenarios."""

    def publish(self, report: Report) -> None:
        """Record when all faults of the scenario are active or, between two scenarios, when none is."""
        if self._complete_at is not None:
            return
        active = {active.fault for active in report.snapshot.faults}
        if self._recovering:
            self._complete_at = None if active else self.now()
        elif set(self.scenarios[self._step].expect.faults) <= active:
            self._complete_at = self.now()
            self.detections.append(Detection(self.scenarios[self._step], self._complete_at - self._entered))

    def pause(self, seconds: float) -> Wake:
        """Wait *seconds*, and go on when the current step is complete and was shown for long enough."""
        wake = self.pause_for(seconds)
        if wake in (Wake.STOP, Wake.RELOAD):  # SIGHUP: the terminal was closed
            return Wake.STOP
        now = self.now()
        complete = self._complete_at is not None and now - self._complete_at >= (
            RECOVERY_TIME if self._recovering else DISPLAY_TIME
        )
        if complete or now - self._entered >= TIME_LIMIT:
            return self._next(now)
        return wake

    def _next(self, now: float) -> Wake:
        """End the scenario, or enter the next one; stop after the last, or after *duration*.

        At least one scenario runs, even if *duration* is shorter.
        """
        if not (self._recovering or self._complete_at):
            self.missed.append(self.scenarios[self._step].name)
        self._entered, self._complete_at = now, None
        if not self._recovering:
            self._recovering = True
            self.simulator.switch("healthy")
            output.say("── recovered")
            return Wake.POLL
        over = self.duration is not None and self._step >= 0 and now - self._started >= self.duration
        last = self._step + 1 == len(self.scenarios)
        if over or (last and self.duration is None):
            return Wake.STOP
        self._recovering, self._step = False, 0 if last else self._step + 1
        scenario = self.scenarios[self._step]
        self.simulator.switch(scenario.name)
        output.say(f"\n── {self._step + 1} of {len(self.scenarios)}: {scenario.title}")
        return Wake.POLL

    def summary(self) -> int:
        """Print what was detected and how fast, and what was not; return the exit status."""
        output.say(f"\nDetected, with a poll every {INTERVAL:g} s:")
        for each in self.detections:
            faults = ", ".join(fault.value for fault in each.scenario.expect.faults)
            output.say(f"  {each.seconds:5.1f} s  {faults}")
        if self.missed:
            output.complain(f"Not detected: {', '.join(self.missed)}")
        return int(bool(self.missed))


@dataclass(frozen=True)
class Detection:
    """A scenario whose faults were all raised, and the seconds until then."""

    scenario: Scenario
    seconds: float


def _print_urls(endpoint: Endpoint, settings: Settings) -> None:
    url, imds = endpoint.urls[0], settings.imds.endpoint
    output.say(
        f"The simulated IMDS answers on {imds}. While the demo runs, try:\n"
        f"  curl {url}/metrics\n"
        f"  curl {url}/status.json\n"
        f"  rolewatch check --endpoint {imds}"
    )
