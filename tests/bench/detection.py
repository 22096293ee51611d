"""Which of the simulator's scenarios each alternative notices, and how long after it began.

Time is the bench's: the simulator, rolewatch and botocore are handed its clock, the script and blackbox_exporter have
none (they give a state and a time stamp, and an alert does the rest). So hours pass at once, and nothing is estimated.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Callable, Optional

from botocore.credentials import RefreshableCredentials
from botocore.exceptions import BotoCoreError
from botocore.utils import InstanceMetadataFetcher

from bench import alternatives, daemon
from bench.alternatives import blackbox_exporter, run_script
from bench.scrapes import scrape_text
from rolewatch.cli.daemon import Daemon
from rolewatch.monitor.loop import Wake
from rolewatch.observation import Moment
from rolewatch.publish import Report
from rolewatch.settings import ExpectSettings, ImdsSettings, LogSettings, MetricsSettings, Settings
from rolewatch.simulator import Simulator
from rolewatch.simulator.conditions import HEALTHY
from rolewatch.simulator.scenarios import Scenario

HORIZON = timedelta(hours=7)
"""Longer than any credentials live: what nobody has noticed by then is not noticed."""
QUIET = timedelta(hours=2)
"""The same where nothing is wrong: by then a false alarm has come."""
SETTLED = 60
"""So many pauses of five seconds at most, and the daemon has seen a healthy instance."""
INTERVAL = timedelta(seconds=30)
FIRST = timedelta(minutes=5)
STRIDE = timedelta(minutes=20)
"""Between two polls after the `FIRST` minutes, of everything but rolewatch: nothing changes between them but age."""
SOON = timedelta(minutes=15)
"""The script's users are alerted when credentials expire this soon: IMDS promises new ones five minutes before."""
PATIENCE = 30.0
"""Real seconds. A program that waits so long for its credentials is one that somebody has noticed."""
COLUMNS = (daemon.NAME, alternatives.SCRIPT, alternatives.BLACKBOX, alternatives.BOTOCORE)

Noticed = Optional[timedelta]
"""How long after its beginning; None: not at all."""


@dataclass
class Clock:
    """A clock that the bench sets."""

    now: datetime

    def utc(self) -> datetime:
        """Return the time."""
        return self.now

    def moment(self) -> Moment:
        """Return the time as rolewatch reads it. The machine has been up for a day: nothing is excused by a boot."""
        uptime = self.now - datetime(2026, 1, 1, tzinfo=timezone.utc) + timedelta(days=1)
        return Moment(utc=self.now, uptime=uptime.total_seconds())


@dataclass(frozen=True)
class Detection:
    """One scenario, and who noticed."""

    scenario: Scenario
    noticed: dict[str, Noticed]


def detect(scenarios: Sequence[Scenario], directory: Path) -> list[Detection]:
    """Run each of *scenarios* on a healthy instance, watched by each alternative."""
    return [Detection(each, {name: watch(each, directory) for name, watch in _WATCHERS.items()}) for each in scenarios]


def can_occur(scenario: Scenario) -> bool:
    """Return whether *scenario* can begin on a running instance: that of a fresh start cannot."""
    return scenario.conditions.uptime == HEALTHY.uptime


def is_wrong(scenario: Scenario) -> bool:
    """Return whether something is wrong in *scenario*, or will be before the watching ends: a stopped rotation."""
    return bool(scenario.expect.faults) or not scenario.conditions.rotates


def horizon(scenario: Scenario) -> timedelta:
    """Return how long *scenario* is watched."""
    return HORIZON if is_wrong(scenario) else QUIET


def verdict(scenario: Scenario, noticed: Noticed) -> str:
    """Return the cell of the table: how long it took; a false alarm where nothing was wrong."""
    wrong = is_wrong(scenario)
    if noticed is None:
        return "**no**" if wrong else "quiet"
    return _words(noticed) if wrong else f"**false alarm**, {_words(noticed)}"


def _words(duration: timedelta) -> str:
    seconds = round(duration.total_seconds())
    return (
        f"{seconds} s" if seconds < 300 else f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
    )


def _rolewatch(scenario: Scenario, _: Path) -> Noticed:
    """Run the daemon, with its own intervals; it has noticed when a fault is active."""
    clock = Clock(datetime.now(timezone.utc))
    begun: datetime | None = None
    found: list[timedelta] = []
    with Simulator(now=clock.utc) as simulator:

        class Alarm:
            """A publisher that takes the first fault after the scenario began."""

            name = "alarm"

            def publish(self, report: Report) -> None:
                """Note the first *report* with a fault."""
                if begun is not None and report.snapshot.faults:
                    found.append(clock.now - begun)

        settings = Settings(
            imds=ImdsSettings(endpoint=simulator.endpoint),
            expect=ExpectSettings(role=scenario.expect.expect_role),
            metrics=MetricsSettings(listen=()),
            log=LogSettings(format="json", level="error"),
        )
        pauses = 0

        def pause(seconds: float) -> Wake:
            nonlocal pauses, begun
            pauses += 1
            if pauses == SETTLED:
                simulator.switch(scenario.name)
                begun = clock.now
            clock.now += timedelta(seconds=seconds)
            over = begun is not None and clock.now - begun > horizon(scenario)
            return Wake.STOP if found or over else Wake.TIMER

        Daemon(settings, lambda: (settings, ()), {}, clock=clock.moment, extra_publishers=(Alarm(),), min_gap=0).run(
            pause
        )
    return found[0] if found else None


def _probe(scenario: Scenario, begin: Callable[[Simulator, Clock, ExitStack], Callable[[], bool]]) -> Noticed:
    """Call the probe that *begin* returns again and again, until it says that something is wrong."""
    clock = Clock(datetime.now(timezone.utc))
    with ExitStack() as stack:
        simulator = stack.enter_context(Simulator(now=clock.utc))
        probe = begin(simulator, clock, stack)
        assert not probe()
        simulator.switch(scenario.name)
        begun = clock.now
        while clock.now - begun <= horizon(scenario):
            clock.now += INTERVAL if clock.now - begun < FIRST else STRIDE
            if probe():
                return clock.now - begun
    return None


def _script(scenario: Scenario, directory: Path) -> Noticed:
    """Run the script; its users are alerted of ``up`` being 0, and of an expiration that is near."""

    def begin(simulator: Simulator, clock: Clock, _: ExitStack) -> Callable[[], bool]:
        def probe() -> bool:
            target = directory / "role.prom"
            run_script(simulator.endpoint, target)
            samples = dict(line.split() for line in target.read_text(encoding="ascii").splitlines() if line[0] != "#")
            expires = float(samples.get("instance_role_expiration_timestamp_seconds", "inf"))
            return samples["instance_role_up"] == "0" or expires - clock.now.timestamp() < SOON.total_seconds()

        return probe

    return _probe(scenario, begin)


def _blackbox(scenario: Scenario, _: Path) -> Noticed:
    """Probe; ``probe_success`` is 0."""

    def begin(simulator: Simulator, _: Clock, stack: ExitStack) -> Callable[[], bool]:
        exporter = stack.enter_context(blackbox_exporter(simulator.endpoint))
        return lambda: "\nprobe_success 0" in scrape_text(exporter.url or "")

    return _probe(scenario, begin)


def _botocore(scenario: Scenario, _: Path) -> Noticed:
    """Use the credentials as a program does, which fetched them while there was no fault; botocore raises, or hangs.

    Its time-out is for one read: of an IMDS that drips it waits for each byte.
    """

    def begin(simulator: Simulator, clock: Clock, _: ExitStack) -> Callable[[], bool]:
        config = {"ec2_metadata_v1_disabled": True}
        fetcher = InstanceMetadataFetcher(base_url=simulator.endpoint + "/", env={}, config=config)
        fetched = fetcher.retrieve_iam_role_credentials()
        credentials = RefreshableCredentials(
            fetched["access_key"],
            fetched["secret_key"],
            fetched["token"],
            datetime.fromisoformat(fetched["expiry_time"].replace("Z", "+00:00")),
            fetcher.retrieve_iam_role_credentials,
            "iam-role",
            time_fetcher=clock.utc,
        )

        raised: list[Exception] = []

        def ask() -> None:
            try:
                credentials.get_frozen_credentials()
            except (BotoCoreError, RuntimeError, KeyError, ValueError) as error:
                raised.append(error)

        def probe() -> bool:
            asking = threading.Thread(target=ask, daemon=True)  # it ends with the simulator at the latest
            asking.start()
            asking.join(PATIENCE)
            return asking.is_alive() or bool(raised)

        return probe

    return _probe(scenario, begin)


_WATCHERS: dict[str, Callable[[Scenario, Path], Noticed]] = {
    daemon.NAME: _rolewatch,
    alternatives.SCRIPT: _script,
    alternatives.BLACKBOX: _blackbox,
    alternatives.BOTOCORE: _botocore,
}
