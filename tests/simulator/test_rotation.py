"""When sets of credentials begin and end."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from rolewatch.simulator.conditions import HEALTHY, Conditions
from rolewatch.simulator.instance import Rotation

NOON = datetime(2026, 3, 1, 12, 0, 0, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def rotation(conditions: Conditions = HEALTHY, *, speed: float = 1) -> Rotation:
    """Return a rotation that was begun at noon."""
    return Rotation(conditions, now=NOON, speed=speed)


def test_the_first_set_is_a_third_of_a_period_old() -> None:
    """A simulator does not start at the moment of a rotation."""
    assert rotation().term(NOON).last_updated == NOON - 20 * MINUTE


def test_a_healthy_set_is_renewed_every_hour() -> None:
    """40 minutes after the start, and every hour from then on."""
    clock = rotation()
    starts = {clock.term(NOON + minute * MINUTE).last_updated for minute in range(180)}

    assert sorted(starts) == [NOON + minutes * MINUTE for minutes in (-20, 40, 100, 160)]


@pytest.mark.parametrize("hours", range(12))
def test_a_healthy_set_lives_as_long_as_was_measured(hours: int) -> None:
    """Between 6 h 02 min and 6 h 35 min."""
    term = rotation().term(NOON + hours * HOUR)

    assert 362 * MINUTE <= term.expiration - term.last_updated <= 395 * MINUTE


def test_sets_do_not_all_live_equally_long() -> None:
    """A constant life would hide mistakes in what is learned from it."""
    terms = [rotation().term(NOON + hours * HOUR + hours * 7 * MINUTE) for hours in range(6)]
    started = [Rotation(HEALTHY, now=NOON + step * MINUTE, speed=1).term(NOON + step * MINUTE) for step in range(9)]

    assert len({term.expiration - term.last_updated for term in [*terms, *started]}) > 1


def test_speed_divides_life_and_period() -> None:
    """At 60 times the speed an hour is a minute, and all times stay on the clock."""
    clock = rotation(speed=60)
    first, second = clock.term(NOON), clock.term(NOON + MINUTE)

    assert second.last_updated - first.last_updated == MINUTE
    assert timedelta(seconds=361) <= first.expiration - first.last_updated <= timedelta(seconds=395)


def test_a_stuck_set_is_as_old_as_declared_and_stays() -> None:
    """At any speed, requests at any time get the same set."""
    clock = rotation(replace(HEALTHY, age=4 * HOUR, lifetime_spread=timedelta(0)), speed=60)

    assert clock.term(NOON) == replace(clock.term(NOON + 3 * HOUR), refreshed=clock.term(NOON).refreshed)
    assert clock.term(NOON).last_updated == NOON - 4 * HOUR
    assert clock.term(NOON).expiration == NOON + 122 * MINUTE


def test_ec2_goes_on_refreshing_where_the_set_is_stuck() -> None:
    """`iam/info` is fresh while the credentials grow old: two independent verdicts."""
    clock = rotation(replace(HEALTHY, age=4 * HOUR))

    assert clock.term(NOON + 2 * HOUR).refreshed == NOON + 100 * MINUTE


def test_the_last_set_stays_where_the_rotation_stops() -> None:
    """The set that is served when the scenario is entered is the last one."""
    clock = rotation()
    clock.enter(replace(HEALTHY, rotates=False), NOON + 50 * MINUTE)

    assert clock.term(NOON + 5 * HOUR).last_updated == NOON + 40 * MINUTE


def test_the_set_stays_the_same_where_a_scenario_does_not_speak_of_it() -> None:
    """Switching there and back is no rotation."""
    clock = rotation()
    before = clock.term(NOON + MINUTE)
    clock.enter(replace(HEALTHY, trailing_newline=True), NOON + MINUTE)
    clock.enter(HEALTHY, NOON + 2 * MINUTE)

    assert clock.term(NOON + 2 * MINUTE) == before


def test_another_period_begins_when_it_is_entered() -> None:
    """Short-lived credentials are fresh at once."""
    clock = rotation()
    clock.enter(
        replace(HEALTHY, period=10 * MINUTE, lifetime=15 * MINUTE, lifetime_spread=timedelta(0)), NOON + 30 * MINUTE
    )
    term = clock.term(NOON + 30 * MINUTE)

    assert (NOON + 30 * MINUTE - term.last_updated, term.expiration - term.last_updated) == (
        timedelta(seconds=200),
        15 * MINUTE,
    )


@pytest.mark.parametrize(
    "conditions",
    [HEALTHY, replace(HEALTHY, age=4 * HOUR), replace(HEALTHY, rotates=False)],
    ids=["healthy", "stuck", "stopped"],
)
def test_a_forced_rotation_gives_a_new_set_now(conditions: Conditions) -> None:
    """Whatever the conditions, and even twice in a second."""
    clock = rotation(conditions)
    serials = [clock.term(NOON).serial]
    for _ in range(2):
        clock.rotate(NOON)
        serials.append(clock.term(NOON).serial)

    assert len(set(serials)) == 3
    assert clock.term(NOON).last_updated == NOON


def test_times_are_those_of_imds() -> None:
    """Where the two clocks differ, the documents bear IMDS's."""
    clock = rotation(replace(HEALTHY, imds_ahead=24 * HOUR))

    assert clock.term(NOON).last_updated == NOON + 24 * HOUR - 20 * MINUTE
