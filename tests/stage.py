"""The loop in the process of the test, with a simulated IMDS over real sockets. Time passes only in the pauses."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Callable

import pytest

from builders import START, UPTIME
from rolewatch.imds.client import Client
from rolewatch.monitor.confirmation import ConfirmationFile
from rolewatch.monitor.loop import Loop, Setup, Wake
from rolewatch.monitor.memory import Memory
from rolewatch.observation import Moment
from rolewatch.publish import Event, Publisher, Report
from rolewatch.settings import ImdsSettings, Settings
from rolewatch.simulator import Simulator
from rolewatch.vocabulary import EventKind


@dataclass
class Time:
    """The clocks of a test: only `pass_` moves them."""

    elapsed: float = 0.0
    error: float = 0.0
    """Seconds by which the local wall clock is ahead of the true time."""

    def utc(self) -> datetime:
        """Return the true time, which IMDS has."""
        return START + timedelta(seconds=self.elapsed)

    def __call__(self) -> Moment:
        """Return both local clocks."""
        return Moment(self.utc() + timedelta(seconds=self.error), UPTIME + self.elapsed)

    def pass_(self, seconds: float) -> None:
        """Move the clocks by *seconds*."""
        self.elapsed += seconds


@dataclass
class Recorder:
    """A publisher that keeps the reports."""

    name: str = "recorder"
    reports: list[Report] = field(default_factory=list)

    def publish(self, report: Report) -> None:
        """Keep *report*."""
        self.reports.append(report)

    def events(self, kind: EventKind) -> list[Event]:
        """Return the events of one kind."""
        return [event for report in self.reports for event in report.events if event.kind is kind]

    @property
    def times(self) -> list[float]:
        """Return when the polls were, in seconds after the start."""
        return [report.snapshot.moment.uptime - UPTIME for report in self.reports]


@dataclass
class Stage:
    """A loop, its IMDS and its clocks."""

    imds: Simulator
    time: Time
    recorder: Recorder = field(default_factory=Recorder)
    settings: Settings = field(default_factory=lambda: Settings(imds=ImdsSettings(timeout=15.0, deadline=30.0)))
    confirmation: ConfirmationFile | None = None

    def setup(self, endpoint: str = "") -> Setup:
        """Return the settings with a client for *endpoint*, or for the simulator."""
        return Setup(
            self.settings,
            Client(endpoint or self.imds.endpoint, self.settings.imds, monotonic=time.monotonic),
            self.confirmation,
            Path(self.settings.confirm.request) if self.settings.confirm.request else None,
        )

    def watch(
        self,
        *others: Publisher,
        save: Callable[[Memory, Moment], None] | None = None,
        memory: Memory | None = None,
        heartbeat: Callable[[], None] = lambda: None,
        heartbeat_interval: float = 30.0,
        min_gap: float = 0.0,
    ) -> Loop:
        """Return the loop; *others* get each report before the recorder."""
        return Loop(
            setup=self.setup(),
            memory=memory or Memory(boot_id="boot"),
            publishers=(*others, self.recorder),
            save=save,
            clock=self.time,
            heartbeat=heartbeat,
            heartbeat_interval=heartbeat_interval,
            min_gap=min_gap,
        )

    def run(self, watch: Loop, until: float, *steps: tuple[float, Callable[[], None]]) -> None:
        """Run *watch* until *until* seconds after the start. Each step is a time in seconds and what happens then."""
        todo = sorted(steps, key=lambda step: step[0])

        def pause(seconds: float) -> Wake:
            self.time.pass_(seconds)
            while todo and todo[0][0] <= self.time.elapsed:
                todo.pop(0)[1]()
            return Wake.TIMER if self.time.elapsed < until else Wake.STOP

        watch.run(pause, no_reload)

    def run_script(
        self,
        watch: Loop,
        wakes: Sequence[Wake],
        reload: Callable[[], tuple[Setup | None, Event]] | None = None,
    ) -> None:
        """Run *watch* with pauses that end at once, for the reasons *wakes*."""
        script = iter(wakes)
        watch.run(lambda _: next(script), reload or no_reload)


def no_reload() -> tuple[Setup | None, Event]:
    """Fail the test: it sends no SIGHUP."""
    pytest.fail("the loop reloads the settings without a SIGHUP")
