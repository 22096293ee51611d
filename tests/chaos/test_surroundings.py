"""Files, sockets and clocks fail and recover while the daemon polls. A whole daemon in the process of the test."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Callable

import pytest

from harness import InProcessDaemon, Outputs, utc_now
from promises import Area, Measured, promise
from rolewatch.observation import Moment
from rolewatch.settings import ConfirmSettings, Settings, StateSettings, TextfileSettings
from rolewatch.simulator import Simulator

HOUR = 3600.0
LONG_ENOUGH = 8
"""Polls: a fault of the surroundings for some of them, and some after it."""


@dataclass
class Skewed:
    """The machine's clocks, each of which can be moved."""

    wall: float = 0.0
    boot: float = 0.0

    def utc(self) -> datetime:
        """Return the time by the wall's clock."""
        return datetime.now(timezone.utc) + timedelta(seconds=self.wall)

    def __call__(self) -> Moment:
        """Return what the clocks say."""
        return Moment(self.utc(), time.clock_gettime(time.CLOCK_BOOTTIME) + self.boot)

    def step(self, seconds: float) -> None:
        """Set the wall's clock."""
        self.wall += seconds

    def suspend(self, seconds: float) -> None:
        """Sleep: both clocks have gone on when it is over."""
        self.wall += seconds
        self.boot += seconds


@dataclass
class Fragile(InProcessDaemon):
    """A house whose state, text file and evidence lie each in a directory of its own, which can go."""

    clocks: Skewed = field(default_factory=Skewed)

    def __post_init__(self) -> None:
        """Make the directories."""
        self.clock = self.clocks
        for each in (self.state, self.textfiles):
            each.mkdir()

    @property
    def state(self) -> Path:
        """Where the state file lies."""
        return self.directory / "state"

    @property
    def textfiles(self) -> Path:
        """Where the text file lies."""
        return self.directory / "textfiles"

    @property
    def evidence(self) -> Path:
        """What a confirmation leaves behind."""
        return self.directory / "evidence.json"

    def settings(self) -> Settings:
        """Return the settings with those places in them."""
        return replace(
            super().settings(),
            state=StateSettings(str(self.state)),
            textfile=TextfileSettings(str(self.textfiles / "rolewatch.prom")),
            confirm=ConfirmSettings(file=str(self.evidence)),
        )

    def failures(self, seen: Outputs, publisher: str) -> float:
        """Return how often *publisher* failed."""
        return seen.sample("rolewatch_publisher_failures_total", publisher=publisher) or 0.0


@pytest.fixture(name="fragile")
def a_fragile_house(tmp_path: Path) -> Iterator[Fragile]:
    """Yield a house in good health."""
    clocks = Skewed()
    with Simulator(now=utc_now) as simulator:
        yield Fragile(tmp_path, simulator.endpoint, simulator=simulator, clocks=clocks)


def gone(path: Path) -> tuple[Callable[[], None], Callable[[], None]]:
    """Return what takes *path* away, and what brings it back."""
    elsewhere = path.with_name(f"{path.name}.elsewhere")

    def away() -> None:
        path.rename(elsewhere)

    def back() -> None:
        elsewhere.rename(path)

    return away, back


@promise(
    Area.SURROUNDINGS,
    "The directory of the state file is removed, and comes back",
    "Polling continues; each failure is counted, the first is logged; the file is written when that is possible again",
)
def test_without_its_state_directory_it_watches_on(fragile: Fragile) -> None:
    """What it learned is in its memory; it is lost only where it ends before the directory is back."""
    away, back = gone(fragile.state)
    seen = fragile.run((2, away), (3, fragile.switch("assume_role_unauthorized")), (6, back), polls=LONG_ENOUGH)

    assert fragile.failures(seen, "state_file") == 3  # the first of four polls had nothing new to write
    assert seen.events("publisher_failed")[0]["ROLEWATCH_PUBLISHER"] == "state_file"
    assert seen.status["state"] == "failed"
    assert "assume_role_unauthorized" in (fragile.state / "state.json").read_text()


@promise(
    Area.SURROUNDINGS,
    "The directory of the text file is removed, and comes back",
    "Polling and the port continue; each failure is counted, the first is logged with what to do",
)
def test_without_the_directory_of_the_text_file_it_watches_on(fragile: Fragile) -> None:
    """node_exporter's directory belongs to another package."""
    away, back = gone(fragile.textfiles)
    there = []
    seen = fragile.run(
        (2, away),
        (6, back),
        (7, lambda: there.append((fragile.textfiles / "rolewatch.prom").exists())),
        polls=LONG_ENOUGH,
    )

    assert fragile.failures(seen, "textfile") == 4
    assert "Its directory has to be there" in seen.events("publisher_failed")[0]["MESSAGE"]
    assert there == [True]


@promise(
    Area.SURROUNDINGS,
    "journald goes away, and comes back",
    "Meanwhile the entries go to standard error; none is lost",
)
def test_without_journald_the_entries_go_to_stderr(fragile: Fragile, capfd: pytest.CaptureFixture[str]) -> None:
    """A restart of journald is seconds; a container has none at all."""
    away, back = gone(fragile.directory / "journal")
    seen = fragile.run(
        (1, away), (2, fragile.switch("assume_role_unauthorized")), (5, back), (6, fragile.switch("healthy")), polls=12
    )

    logged = [json.loads(line)["event"] for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    assert logged.count("fault_raised") == 1
    assert seen.events("fault_raised") == []
    assert len(seen.events("fault_cleared")) == 1
    assert seen.sample("rolewatch_log_messages_dropped_total") == 0


@promise(
    Area.SURROUNDINGS,
    "The notify socket of systemd goes away, and comes back",
    "Polling continues; each failure is counted; the status is sent when systemd is back",
)
def test_without_the_notify_socket_it_watches_on(fragile: Fragile) -> None:
    """A unit that was taken over, a wrong variable: systemd ends what does not report, and no other."""
    away, back = gone(fragile.directory / "notify")
    seen = fragile.run((2, away), (3, fragile.switch("assume_role_unauthorized")), (6, back), polls=LONG_ENOUGH)

    assert fragile.failures(seen, "systemd") >= 1
    assert seen.status["state"] == "failed"
    assert [note for note in seen.notifications if note.startswith("STATUS=failed")]


@promise(
    Area.SURROUNDINGS,
    "The wall's clock steps, by hours, forward or back",
    "The credentials are judged by the clock of IMDS; `clock_skew` is raised, and cleared when it is right again",
)
@pytest.mark.parametrize("hours", [7, -7, 48, -48])
def test_a_step_of_the_clock_is_a_fault_of_the_clock_only(hours: float, fragile: Fragile) -> None:
    """By the local clock the credentials would have expired, or be of tomorrow; the polls do not wait for either."""
    clocks = fragile.clocks
    seen = fragile.run((2, lambda: clocks.step(hours * HOUR)), (8, lambda: clocks.step(-hours * HOUR)), polls=14)

    assert [entry["ROLEWATCH_FAULT"] for entry in seen.events("fault_raised")] == ["clock_skew"]
    assert [entry["ROLEWATCH_FAULT"] for entry in seen.events("fault_cleared")] == ["clock_skew"]
    assert seen.status["state"] == "ok"


@promise(
    Area.SURROUNDINGS,
    "The machine is suspended for hours, and resumed",
    "It polls at once; no fault is raised for the time without polls",
)
@pytest.mark.parametrize("hours", [1, 8, 100])
def test_a_resume_is_no_fault(hours: float, tmp_path: Path, measured: Measured) -> None:
    """EC2's hibernation: the credentials were renewed meanwhile, and the cadence is no longer than it was."""
    clocks = Skewed()
    with Simulator(now=clocks.utc) as simulator:
        fragile = Fragile(tmp_path, simulator.endpoint, simulator=simulator, clocks=clocks)
        seen = fragile.run((3, lambda: clocks.suspend(hours * HOUR)), polls=LONG_ENOUGH)

    measured("faults raised", len(seen.events("fault_raised")), "", bound=0)
    assert seen.status["state"] == "ok"
    assert len(seen.events("credentials_rotated")) == 1


@promise(
    Area.SURROUNDINGS,
    "What a confirmation left behind is garbage, a pipe, or endless",
    "It is logged and counted once, and ignored; faults that IMDS shows are reported as before",
)
@pytest.mark.parametrize("what", ["garbage", "empty", "pipe", "huge", "directory"])
def test_garbage_for_evidence_is_reported_and_not_believed(what: str, fragile: Fragile) -> None:
    """Another process writes it, under another user."""

    def spoil() -> None:
        if what == "pipe":
            os.mkfifo(fragile.evidence)
        elif what == "directory":
            fragile.evidence.mkdir()
        else:
            content = {"garbage": b"\xff{]", "empty": b"", "huge": b"[" * (1 << 20)}[what]
            fragile.evidence.write_bytes(content)

    seen = fragile.run((2, spoil), (3, fragile.switch("assume_role_unauthorized")), polls=LONG_ENOUGH)

    assert fragile.failures(seen, "confirmation") == 1
    assert len([e for e in seen.events("publisher_failed") if e["ROLEWATCH_PUBLISHER"] == "confirmation"]) == 1
    assert seen.status["state"] == "failed"
    with contextlib.suppress(OSError):
        fragile.evidence.unlink()
