"""The walk of `rolewatch demo`, in time that the test makes."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Optional

import pytest

from publish.snapshots import OK
from rolewatch.cli.demo import Tour
from rolewatch.model import Report
from rolewatch.simulator import Simulator
from rolewatch.simulator.scenarios import SCENARIOS
from rolewatch.watch import Wake


@pytest.mark.parametrize(("duration", "shown"), [(0.1, 1), (2.0, 1), (20.0, 2), (None, 3)])
def test_however_short_the_time_a_fault_is_shown(
    duration: Optional[float], shown: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a busy machine, the time may be over after the first poll; a walk that has an end is walked to its end."""
    passed = 0.0

    def wait(seconds: float) -> Wake:
        nonlocal passed
        passed += seconds
        return Wake.TIMER

    with Simulator(now=lambda: datetime.now(timezone.utc)) as simulator:
        tour = Tour(simulator, SCENARIOS[1:4], duration, pause_for=wait, now=lambda: passed)
        passed = 1.5
        tour.publish(Report(OK))
        while tour.pause(1.0) is not Wake.STOP:
            assert passed < 100
            tour.publish(Report(OK))

    assert capsys.readouterr().out.count("── mended") == shown
