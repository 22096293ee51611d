"""Learn how often IMDS rotates the credentials, from the sets that were seen."""

from __future__ import annotations

from datetime import timedelta
from typing import Optional, Tuple

from rolewatch.memory import Served

INTERVALS = (1.0, 86_400.0)
"""The shortest and the longest interval between two rotations that is learned, in seconds. `LastUpdated` has whole
seconds, and a role session lives for 12 hours at most (STS API reference, AssumeRole, 2026)."""
KEPT = 7
"""How many intervals are remembered."""
NEEDED = 2
"""How many it takes to know a cadence: one alone may be a re-association by hand."""
UNWATCHED = timedelta(minutes=5)
"""A new set counts only where the old one was still seen this shortly before it: what rotated while nobody looked
would pass for one long interval."""


def learned(intervals: Tuple[float, ...]) -> Optional[float]:
    """Return the cadence in seconds: the median, so that neither one late rotation nor one re-association moves it."""
    if len(intervals) < NEEDED:
        return None
    return sorted(intervals)[len(intervals) // 2]


def with_rotation(intervals: Tuple[float, ...], old: Served, new: Served) -> Tuple[float, ...]:
    """Return *intervals* and the one between *old* and *new*, where it can be known."""
    if old.last_updated is None or new.last_updated is None:
        return intervals
    interval = (new.last_updated - old.last_updated).total_seconds()
    shortest, longest = INTERVALS
    if not shortest <= interval <= longest or new.last_updated - old.seen > UNWATCHED:
        return intervals
    return (*intervals, interval)[-KEPT:]
