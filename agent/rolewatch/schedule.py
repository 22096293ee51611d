"""When to look next. Arithmetic only: the waiting is elsewhere."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Tuple

from rolewatch.faults import CONFIRMED_FAULTS
from rolewatch.memory import Memory
from rolewatch.settings import PollSettings

MAX_CREDIT = 3.0
"""What one fault needs: two hasty polls to be raised after the first that saw it, one to be cleared."""
CREDIT = 0.05
"""A poll at the nominal interval earns this much of a hasty one: one in ten minutes. So a fault is confirmed in haste
at once, and an IMDS that flickers for ever is still asked at most ten times a minute: no ten minutes, the first ones
included, have more than 24 polls of four requests (a test simulates it; hasty polls shorten the waits around them)."""


@dataclass(frozen=True)
class Schedule:
    """Where this instance stands in time: its place among the fleet, and its credit of hasty polls."""

    seed: str
    """What differs between the instances of a fleet, and stays the same for one: its instance id."""
    credit: float = MAX_CREDIT


def next_poll(schedule: Schedule, memory: Memory, poll: PollSettings, uptime: float) -> Tuple[Schedule, float]:
    """Return the schedule after this poll, and the seconds to the next one.

    Nominally the polls stand on a grid of `poll.interval` whose origin differs from instance to instance, so that a
    fleet that was started together spreads, and each instance keeps its place. Throttled: the interval doubles, up to
    `poll.max_interval`. While a fault is being confirmed or cleared: `poll.confirm_interval`, as long as there is
    credit.
    """
    if memory.throttled:
        return schedule, min(poll.interval * 2 ** min(memory.throttled, 10), max(poll.max_interval, poll.interval))
    if confirming(memory) and schedule.credit >= 1:
        return replace(schedule, credit=schedule.credit - 1), min(poll.confirm_interval, poll.interval)
    wait = (phase(schedule.seed) * poll.interval - uptime) % poll.interval
    if wait < poll.interval / 2:
        wait += poll.interval
    return replace(schedule, credit=min(MAX_CREDIT, schedule.credit + CREDIT)), wait


def confirming(memory: Memory) -> bool:
    """Return whether a fault was seen that is not raised yet, or not seen that is not cleared yet."""
    return any(
        not watched.active or watched.unseen
        for fault, watched in memory.faults.items()
        if fault not in CONFIRMED_FAULTS  # no haste makes the next confirmation come sooner
    )


def phase(seed: str) -> float:
    """Return a place in [0, 1) that is the same for *seed* in every process (`hash` is not)."""
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big") / 2**64
