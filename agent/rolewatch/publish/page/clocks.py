"""What time it is for the page: by IMDS's clock where that is known, for that is what the credentials live by."""

from __future__ import annotations

from datetime import datetime

from rolewatch.model import Snapshot, shift

NOISE = 2.0
"""Seconds by which two clocks may differ and agree: `Date` has whole seconds, and an answer takes its time."""


def now(snapshot: Snapshot, age: float) -> datetime:
    """Return the time, *age* seconds after the poll of *snapshot*, by IMDS's clock where that is known."""
    return shift(by_imds(snapshot, snapshot.moment.utc), age)


def by_imds(snapshot: Snapshot, local: datetime) -> datetime:
    """Return what IMDS's clock said when that of this host said *local*."""
    offset = snapshot.clock_offset or 0.0
    return local if abs(offset) < NOISE else shift(local, -offset)
