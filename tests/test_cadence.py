"""The cadence of rotation, learned from the sets that were seen."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import HOUR, ROLE, START
from rolewatch.monitor import track
from rolewatch.monitor.memory import CredentialSet

MINUTE = timedelta(minutes=1)


def served(updated: datetime | None, seen: datetime) -> CredentialSet:
    """Return a set that was made at *updated* and last seen at *seen*."""
    return CredentialSet(role=ROLE, fingerprint="00000001", last_updated=updated, expiration=None, seen=seen)


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        ((), None),
        ((3600.0,), None),
        ((3600.0, 3600.0), 3600.0),
        ((600.0, 3600.0), 3600.0),
        ((3600.0, 18000.0, 3600.0), 3600.0),
        ((3600.0, 600.0, 3600.0), 3600.0),
        ((3500.0, 3600.0, 3700.0, 18000.0), 3700.0),
    ],
    ids=["none", "one", "two", "a re-association first", "one stuck", "one re-association", "even"],
)
def test_the_cadence_is_the_median_of_at_least_two(intervals: tuple[float, ...], expected: float | None) -> None:
    """One interval may be a re-association by hand, and one of some moves nothing."""
    assert track.learned(intervals) == expected


def test_an_interval_that_was_watched_is_kept() -> None:
    """The old set was seen until its successor came."""
    old, new = served(START, START + HOUR), served(START + HOUR, START + HOUR + MINUTE)

    assert track.with_rotation((), old, new) == (3600.0,)


def test_an_interval_that_nobody_watched_is_not_kept() -> None:
    """The daemon was down over several rotations: what lies between would pass for one long interval."""
    old, new = served(START, START + MINUTE), served(START + 3 * HOUR, START + 3 * HOUR + MINUTE)

    assert track.with_rotation((3600.0,), old, new) == (3600.0,)


@pytest.mark.parametrize(("gap", "kept"), [(track.UNWATCHED, True), (track.UNWATCHED + MINUTE, False)])
def test_a_short_gap_before_the_rotation_is_no_gap(gap: timedelta, kept: bool) -> None:  # noqa: FBT001 - a parameter
    """A poll or two may be missed, or be two minutes late."""
    old, new = served(START, START + HOUR - gap), served(START + HOUR, START + HOUR)

    assert bool(track.with_rotation((), old, new)) is kept


@pytest.mark.parametrize(
    ("old", "new"),
    [(None, START), (START, None), (START, START), (START, START - HOUR)],
    ids=["old without LastUpdated", "new without LastUpdated", "same time", "backwards"],
)
def test_what_has_no_length_is_no_interval(old: datetime | None, new: datetime | None) -> None:
    """An interval needs two ends, in order."""
    assert track.with_rotation((3600.0,), served(old, START), served(new, START)) == (3600.0,)


@pytest.mark.parametrize(("days", "kept"), [(1, True), (2, False), (3_000_000, False)])
def test_an_interval_of_more_than_a_day_is_not_learned(days: int, kept: bool) -> None:  # noqa: FBT001 - a parameter
    """No role session lives that long. An IMDS may date a set in any year; the state file has no such interval."""
    begin = datetime.min.replace(tzinfo=START.tzinfo)
    end = begin + timedelta(days=days)

    assert bool(track.with_rotation((), served(begin, end), served(end, end))) is kept


@given(minutes=st.lists(st.integers(1, 400), max_size=20))
def test_only_the_last_are_remembered(minutes: list[int]) -> None:
    """Memory is bounded, however many rotations there are, and the newest count."""
    intervals: tuple[float, ...] = ()
    now = START
    for length in minutes:
        old, now = served(now, now + length * MINUTE), now + length * MINUTE
        intervals = track.with_rotation(intervals, old, served(now, now))

    assert intervals == tuple(60.0 * length for length in minutes)[-track.KEPT :]
