"""Decide which clock to keep time by: IMDS's, as its `Date` shows it, or the local one. Pure.

Neither clock is trusted blindly. The local one may be wrong (1970 at boot, hours off by a time zone); a `Date` may be
forged. What is remembered and saved (`since` of a fault, the newest set, intervals) is dated by `memory.true_time`, and
only a believed `Date` moves that. Expiries and ages are judged by it, too: see `judging_time`. A `Date` is believed if

1. it agrees with the local clock, or with the last believed `Date` and the uptime since: two clocks say the same; or
2. no `Date` was believed since this process began, and it is plausible: not before a time that is known to have passed,
   and not far ahead of the local clock, unless that clock itself is before that time; or
3. it is the third in a row that contradicts the last believed one and agrees with its predecessors. Then the local
   clock is wrong, and `clock_skew` is raised by the same poll.

A wrong belief is not for ever: what is dated later than the believed time is dropped when it is next used (`rotation`).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

from rolewatch.faults import FAULTS, Fault
from rolewatch.monitor.memory import Memory, true_time
from rolewatch.observation import Moment, Observation, Unanswered

AGREE = timedelta(minutes=5)
"""Two clocks that differ by no more than this agree. AWS signatures have the same limit."""
FAR = timedelta(days=1)
"""How far the first `Date` may be ahead of the local clock: a wrong time zone sets that back by 14 hours at most."""
RELEASED = datetime(2026, 1, 1, tzinfo=timezone.utc)
"""A time that has passed wherever this program runs: a clock before it is wrong."""
CONFIRMED = FAULTS[Fault.CLOCK_SKEW].debounce
"""Polls in a row that make a contradicting `Date` the believed one."""


def keep_time(memory: Memory, seen: Observation, now: Moment) -> Memory:
    """Return *memory* with IMDS's clock noted, if the `Date` of *seen* is believed.

    Called before `classify`, which judges by what this believes. A `Date` that is not believed only counts as a doubt.
    """
    date = seen.date
    if date is None:  # an answer ends the row of doubted dates; a poll without any leaves it
        return memory if isinstance(seen, Unanswered) else replace(memory, doubts=0, doubted=None)
    repeated = _follows(date, memory.doubted, memory.doubted_at, now)
    doubts = memory.doubts + 1 if repeated else 1
    confirmed = _is_confirmed(memory, date, now) or doubts >= CONFIRMED
    if not confirmed and not _is_plausible_first(memory, date, now):
        return replace(memory, doubts=doubts, doubted=date, doubted_at=now.uptime)
    was = true_time(memory, now)
    offset = (now.utc - date).total_seconds()
    memory = replace(
        memory,
        imds_date=date,
        imds_date_at=now.uptime,
        imds_date_confirmed=confirmed,
        clock_offset=offset,
        doubts=0,
        doubted=None,
    )
    return _dated_anew(memory, now) if abs(date - was) > AGREE else memory


def judging_time(memory: Memory, seen: Observation, now: Moment) -> datetime:
    """Return the time by which ages and expiries in *seen* are judged. *memory* has noted the `Date` of *seen*.

    That is the believed time, whatever this one `Date` says. Where no `Date` was believed yet, the `Date` of *seen*,
    unless it is before a time that is known to have passed. Without a `Date`, an unconfirmed belief does not count.
    """
    if seen.date is None:
        return true_time(memory, now) if memory.imds_date_confirmed else now.utc
    if memory.imds_date is not None or _passed(memory) - seen.date > AGREE:
        return true_time(memory, now)
    return seen.date


def _is_confirmed(memory: Memory, date: datetime, now: Moment) -> bool:
    """Return whether a second clock says what *date* says: rule 1 of the module."""
    return abs(date - now.utc) <= AGREE or _follows(date, memory.imds_date, memory.imds_date_at, now)


def _is_plausible_first(memory: Memory, date: datetime, now: Moment) -> bool:
    """Return whether *date* would be the first that is believed, and is plausible: rule 2 of the module."""
    passed = _passed(memory)
    return memory.imds_date is None and passed - date <= AGREE and (date - now.utc <= FAR or passed - now.utc > AGREE)


def _passed(memory: Memory) -> datetime:
    """Return a time that is known to have passed."""
    return max(RELEASED, memory.served.seen) if memory.served else RELEASED


def _follows(date: datetime, earlier: datetime | None, at: float, now: Moment) -> bool:
    """Return whether *date* is what a clock shows now that showed *earlier* at the uptime *at*."""
    return earlier is not None and abs((date - earlier) - timedelta(seconds=now.uptime - at)) <= AGREE


def _dated_anew(memory: Memory, now: Moment) -> Memory:
    """Return *memory* with what this process dated, dated by the clock that is believed now.

    A fault that is raised keeps its `since`: the journal has told it, and finds the end of the fault by it.
    """

    def at(uptime: float) -> datetime:
        return true_time(memory, Moment(now.utc, uptime))

    faults = dict(memory.faults)
    for fault, watched in memory.faults.items():
        if watched.since_uptime is None or watched.active:
            continue
        since = at(watched.since_uptime)
        if abs(since - watched.since) > AGREE:
            faults[fault] = replace(watched, since=since)
    return replace(
        memory,
        faults=faults,
        state_since=memory.state_since and at(memory.state_since_uptime),
        last_success=memory.last_success and at(memory.last_success_uptime),
    )
