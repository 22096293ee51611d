"""Decide which clock to keep time by: IMDS's, as its `Date` shows it, or the local one. Pure.

Neither clock is trusted blindly. The local one may be wrong (1970 at boot, hours off by a time zone); a `Date` may be
forged. What is remembered and saved (`since` of a fault, the newest set, intervals) is dated by `ImdsClock.time`, and
only a believed `Date` moves that. Expiries and ages are judged by it, too: see `judging_time`. A `Date` is believed if

1. it agrees with the local clock, or with the last believed `Date` and the uptime since: two clocks agree; or
2. no `Date` was believed since this process began, and it is plausible: not before a time that is known to have passed,
   and not far ahead of the local clock, unless that clock itself is before that time; or
3. it is the third in a row that contradicts the last believed one and agrees with its predecessors. Then the local
   clock is wrong, and `clock_skew` is raised by the same poll.

A wrong belief ends: what is dated later than the believed time is dropped when it is next used (`track`).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

from rolewatch.faults import FAULTS, Fault
from rolewatch.monitor.memory import Memory
from rolewatch.observation import Moment, Observation, Unanswered

AGREE = timedelta(minutes=5)
"""Two clocks that differ by no more than this agree. AWS signatures have the same limit."""
FAR = timedelta(days=1)
"""How far the first `Date` may be ahead of the local clock: a wrong time zone sets that back by 14 hours at most."""
RELEASED = datetime(2026, 1, 1, tzinfo=timezone.utc)
"""A time that has passed wherever this program runs: a clock before it is wrong."""
CONFIRMED = FAULTS[Fault.CLOCK_SKEW].debounce
"""Polls in a row that make a contradicting `Date` the believed one."""


def keep_time(memory: Memory, observation: Observation, now: Moment) -> Memory:
    """Return *memory* with IMDS's clock updated, if the `Date` of *observation* is believed.

    Called before `classify`, which judges by the believed time. A `Date` that is not believed only counts as a doubt.
    """
    clock, date = memory.clock, observation.date
    if date is None:  # an answer without a Date ends the row of doubted ones; no answer leaves it
        unanswered = isinstance(observation, Unanswered)
        return memory if unanswered else replace(memory, clock=replace(clock, doubts=0, doubted=None))
    repeated = _follows(date, clock.doubted, clock.doubted_at, now)
    doubts = clock.doubts + 1 if repeated else 1
    confirmed = _is_confirmed(memory, date, now) or doubts >= CONFIRMED
    if not confirmed and not _is_plausible_first(memory, date, now):
        return replace(memory, clock=replace(clock, doubts=doubts, doubted=date, doubted_at=now.uptime))
    offset = (now.utc - date).total_seconds()
    believed = replace(clock, date=date, date_at=now.uptime, confirmed=confirmed, offset=offset, doubts=0, doubted=None)
    memory = replace(memory, clock=believed)
    return _redated(memory, now) if abs(date - clock.time(now)) > AGREE else memory


def judging_time(memory: Memory, observation: Observation, now: Moment) -> datetime:
    """Return the time by which ages and expiries in *observation* are judged. `keep_time` comes first.

    That is the believed time, whatever this `Date` is. If no `Date` was believed yet: the `Date` of
    *observation*, unless it is before a time that is known to have passed. An unconfirmed belief counts only beside a
    `Date`.
    """
    clock, date = memory.clock, observation.date
    if date is None:
        return clock.time(now) if clock.confirmed else now.utc
    if clock.date is not None or _passed(memory) - date > AGREE:
        return clock.time(now)
    return date


def _is_confirmed(memory: Memory, date: datetime, now: Moment) -> bool:
    """Return whether a second clock agrees with *date*: rule 1 of the module."""
    return abs(date - now.utc) <= AGREE or _follows(date, memory.clock.date, memory.clock.date_at, now)


def _is_plausible_first(memory: Memory, date: datetime, now: Moment) -> bool:
    """Return whether *date* would be the first that is believed, and is plausible: rule 2 of the module."""
    passed = _passed(memory)
    return memory.clock.date is None and passed - date <= AGREE and (date - now.utc <= FAR or passed - now.utc > AGREE)


def _passed(memory: Memory) -> datetime:
    """Return a time that is known to have passed."""
    last = memory.credentials.last
    return max(RELEASED, last.seen) if last else RELEASED


def _follows(date: datetime, earlier: datetime | None, at: float, now: Moment) -> bool:
    """Return whether a clock that showed *earlier* at the uptime *at* shows *date* now."""
    return earlier is not None and abs((date - earlier) - timedelta(seconds=now.uptime - at)) <= AGREE


def _redated(memory: Memory, now: Moment) -> Memory:
    """Return *memory* with the dates that this process set, by the clock that is believed now.

    An active fault keeps its `since`: the journal has it, and finds the end of the fault by it.
    """

    def at(uptime: float) -> datetime:
        return memory.clock.time(Moment(now.utc, uptime))

    faults = dict(memory.faults)
    for fault, state in memory.faults.items():
        if state.since_uptime is None or state.active:
            continue
        since = at(state.since_uptime)
        if abs(since - state.since) > AGREE:
            faults[fault] = replace(state, since=since)
    status, polls = memory.status, memory.polls
    return replace(
        memory,
        faults=faults,
        status=replace(status, since=status.since and at(status.since_uptime)),
        polls=replace(polls, last_success=polls.last_success and at(polls.last_success_uptime)),
    )
