"""Decide which clock to keep time by: IMDS's, as its `Date` shows it, or the local one. Pure.

Neither clock is trusted blindly. The local one may be wrong (1970 at boot, hours off by a time zone); a `Date` may be
forged. What is remembered and saved (`since` of a fault, the newest set, intervals) is dated by `memory.true_time`, and
only a believed `Date` moves that. A `Date` is believed if

1. it agrees with the local clock, or with the last believed `Date` and the uptime since: two clocks say the same; or
2. no `Date` was believed since this process began, and it is plausible: not before a time that is known to have passed,
   and not far ahead of the local clock, unless that clock itself is before that time; or
3. it is the third in a row that contradicts the last believed one and agrees with its predecessors. Then the local
   clock is wrong, and `clock_skew` is raised by the same poll.

A wrong belief is not for ever: what is dated later than the believed time is dropped when it is next used (`notes`).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Dict, Optional

from rolewatch.faults import FAULTS
from rolewatch.monitor.memory import Memory, Watched, true_time
from rolewatch.observation import Moment
from rolewatch.vocabulary import Fault

AGREE = timedelta(minutes=5)
"""Two clocks that differ by no more than this agree. AWS signatures have the same limit."""
FAR = timedelta(days=1)
"""How far the first `Date` may be ahead of the local clock: a wrong time zone sets that back by 14 hours at most."""
RELEASED = datetime(2026, 1, 1, tzinfo=timezone.utc)
"""A time that has passed wherever this program runs: a clock before it is wrong."""
CONFIRMED = FAULTS[Fault.CLOCK_SKEW].debounce
"""Polls in a row that make a contradicting `Date` the believed one."""


def keep_time(memory: Memory, date: Optional[datetime], offset: Optional[float], now: Moment) -> Memory:
    """Return *memory* with IMDS's clock noted, if *date* (`Date` of this poll, None without one) is believed.

    *offset* is the local clock minus *date*, in seconds. A *date* that is not believed only counts as a doubt.
    """
    if date is None:
        return memory
    repeated = _follows(date, memory.doubted, memory.doubted_at, now)
    doubts = memory.doubts + 1 if repeated else 1
    if not _is_believed(memory, date, now) and doubts < CONFIRMED:
        return replace(memory, doubts=doubts, doubted=date, doubted_at=now.uptime)
    was_doubted = memory.doubts > 0
    memory = replace(memory, imds_date=date, imds_date_at=now.uptime, clock_offset=offset, doubts=0, doubted=None)
    return replace(memory, faults=_dated_anew(memory, now)) if was_doubted else memory


def _is_believed(memory: Memory, date: datetime, now: Moment) -> bool:
    """Return whether *date* is believed at once: rules 1 and 2 of the module."""
    if abs(date - now.utc) <= AGREE or _follows(date, memory.imds_date, memory.imds_date_at, now):
        return True
    if memory.imds_date is not None:
        return False
    passed = max(RELEASED, memory.served.seen) if memory.served else RELEASED
    return passed - date <= AGREE and (date - now.utc <= FAR or passed - now.utc > AGREE)


def _follows(date: datetime, earlier: Optional[datetime], at: float, now: Moment) -> bool:
    """Return whether *date* is what a clock shows now that showed *earlier* at the uptime *at*."""
    return earlier is not None and abs((date - earlier) - timedelta(seconds=now.uptime - at)) <= AGREE


def _dated_anew(memory: Memory, now: Moment) -> Dict[Fault, Watched]:
    """Return the faults. The believed clock now dates those that were first seen in doubt and are not raised yet."""
    faults = dict(memory.faults)
    for fault, watched in memory.faults.items():
        if watched.since_uptime is None or watched.active:
            continue
        since = true_time(memory, Moment(now.utc, watched.since_uptime))
        if abs(since - watched.since) > AGREE:
            faults[fault] = replace(watched, since=since)
    return faults
