"""The tracker over months: its promises are kept, whatever happens to the instance, its clocks and the daemon."""

from __future__ import annotations

import pickle
import random
import shutil
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from builders import ROLE
from forms import Form
from history import CONDITIONS, HEALTHY, History
from promises import Area, Measured, promise

MINUTE, HOUR, DAY = 60, 3600, 86400
OUTCOME = (
    "Each fault is active once it was seen as often as its debounce says, has its beginning, is repeated every hour, "
    "and is cleared; no other is raised"
)


class Tracker(RuleBasedStateMachine):
    """An instance to which anything may happen, in any order."""

    @initialize()
    def begin(self) -> None:
        """Launch it."""
        self.directory = Path(tempfile.mkdtemp(prefix="rolewatch-history-"))
        self.history = History(self.directory)

    def teardown(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self.directory)

    @rule(count=st.integers(1, 4), every=st.sampled_from([10, 30, 120]))
    def poll(self, count: int, every: int) -> None:
        """Poll some times."""
        self.history.watch(count, every)

    @rule(hours=st.integers(1, 9), every=st.sampled_from([120, 300]))
    def go_on(self, hours: int, every: int) -> None:
        """Poll for some hours."""
        self.history.watch(hours * HOUR // every, every)

    @rule(condition=st.sampled_from(list(CONDITIONS)), count=st.integers(0, 4))
    def inflict(self, condition: str, count: int) -> None:
        """Let IMDS answer otherwise, or as a healthy one again."""
        self.history.instance.condition = condition
        self.history.watch(count, 30)

    @rule()
    def repair(self) -> None:
        """Make everything healthy."""
        instance = self.history.instance
        instance.condition, instance.stuck, instance.role, instance.clock_error = HEALTHY, False, ROLE, 0

    @rule(stuck=st.booleans())
    def stick(self, *, stuck: bool) -> None:
        """Let EC2 rotate no more, or again."""
        self.history.instance.stuck = stuck

    @rule(cadence=st.sampled_from([(3600, 21720), (600, 900), (5 * HOUR, 6 * HOUR), (60, 21720)]))
    def change_cadence(self, cadence: tuple[int, int]) -> None:
        """Let EC2 rotate late, or short-lived sets."""
        self.history.instance.period, self.history.instance.life = cadence
        self.history.instance.steady = False

    @rule(
        seconds=st.sampled_from([MINUTE, 10 * MINUTE, HOUR, 7 * HOUR, DAY, 9 * DAY]),
        how=st.sampled_from(["suspended", "down"]),
    )
    def lose_polls(self, seconds: int, how: str) -> None:
        """Suspend the machine, or stop the daemon: no poll is made, and all clocks go on."""
        self.history.instance.pass_(seconds)
        if how == "down":
            self.history.restart()

    @rule(error=st.sampled_from([0, 0, 1, -59, 61, -HOUR, HOUR, DAY, -DAY, 3650 * DAY, -3650 * DAY]))
    def step_clock(self, error: int) -> None:
        """Step the wall clock."""
        self.history.instance.clock_error = error

    @rule()
    def restart(self) -> None:
        """Start the daemon again."""
        self.history.restart()

    @rule(down=st.sampled_from([MINUTE, HOUR, DAY]))
    def boot(self, down: int) -> None:
        """Stop and start the instance."""
        self.history.instance.pass_(down)
        self.history.boot()

    @rule()
    def become_another(self) -> None:
        """Start another instance from this one's image."""
        self.history.instance.number += 1
        self.boot(HOUR)

    @rule(role=st.sampled_from([ROLE, "admin", "Web-Server-2"]))
    def change_role(self, role: str) -> None:
        """Attach another instance profile."""
        self.history.instance.role = role


@promise(
    Area.IMDS, "Faults, rotations, lost polls, clock steps, restarts, boots and swapped roles in any order", OUTCOME
)
@pytest.mark.slow
def test_any_history(*, form: Form) -> None:
    """Against a model of the promises that shares nothing with the tracker."""
    profile = settings(
        max_examples=form.pick(quick=5, short=50, long=300),
        stateful_step_count=form.pick(quick=20, short=40, long=60),
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Tracker, settings=profile)


QUIET = 18 * HOUR
"""Seconds between two troubles at the most."""


def trouble(history: History, chance: random.Random) -> None:
    """Inflict a condition on the instance for a while, and repair it."""
    instance, every = history.instance, chance.choice([30, 120, 300])
    instance.condition = chance.choice([HEALTHY, *CONDITIONS])
    instance.clock_error = chance.choice([0, 0, 0, 45, -3600, 86400, -40 * DAY])
    instance.role = chance.choice([ROLE, ROLE, ROLE, "admin"])
    instance.stuck = chance.random() < 0.3
    history.watch(chance.choice([1, 2, 3, 20, 100]), every)
    one, other = instance.condition, chance.choice([HEALTHY, *CONDITIONS])
    for turn in range(chance.choice([0, 6])):  # it comes and goes
        instance.condition = one if turn % 2 else other
        history.watch(chance.choice([1, 1, 3]), every)
    lost = chance.choice([0, 0, 0, 600, 7200, DAY])
    instance.pass_(lost)
    ending = chance.random()
    if ending < 0.2:
        instance.number += chance.randrange(2)
        history.boot()
    elif ending < 0.5 or lost:
        history.restart()
    history.watch(chance.choice([0, 1, 2, 150]), every)
    instance.condition, instance.clock_error, instance.role, instance.stuck = HEALTHY, 0, ROLE, False
    history.watch(3, every)


@promise(
    Area.ENDURANCE,
    "A year in simulated time (in the short form a month), with troubles of every kind on most days",
    "Every fault is active when it should be and no other; the hours between are quiet; what is remembered stays small",
)
@pytest.mark.slow
def test_a_year(tmp_path: Path, measured: Measured, *, form: Form) -> None:
    """A month of it in the short form, at a poll in five minutes."""
    history, chance = History(tmp_path), random.Random(2026)  # noqa: S311 - the same at each run
    begun, end = time.monotonic(), form.pick(quick=4, short=30, long=365) * DAY
    troubles = 0
    while history.instance.elapsed < end:
        alarms = history.alarms
        history.watch(chance.randrange(QUIET) // 300, 300)
        assert history.alarms == alarms, "an alarm while everything was healthy"
        trouble(history, chance)
        troubles += 1
    memory = len(pickle.dumps(history.remembered)) / 1024

    measured("simulated", round(history.instance.elapsed / DAY), "days")
    measured("polls", history.polls, "polls")
    measured("troubles", troubles, "troubles")
    measured("alarms", history.alarms, "alarms")
    measured("state file at the most", round(history.largest / 1024, 1), "KiB", bound=64)
    measured("memory, pickled", round(memory, 1), "KiB", bound=8)
    measured("a poll", round(1000 * (time.monotonic() - begun) / history.polls, 2), "ms")
    assert troubles >= form.pick(quick=3, short=25, long=300)
