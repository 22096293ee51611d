"""What happened lately, for the page: the changes, and a few of the rotations, which are many and matter less.

In memory only. What happened before this process started stands in the journal, and `rolewatch history` reads it back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Optional, Tuple

from rolewatch.faults import Fault
from rolewatch.model import Event, EventKind, Level, Report
from rolewatch.publish.entries import text
from rolewatch.publish.page.clocks import by_imds

KEPT_CHANGES = 40
KEPT_ROTATIONS = 10
"""They come every hour, and would push everything else out within two days."""
LONGEST = 500
"""Characters of a sentence that is kept; a setting that is wrong may be told at any length."""

REPEATED = (EventKind.FAULT_PERSISTS, EventKind.POLL_FAILED, EventKind.STOPPING)
"""What is no change, or has nobody left to read of it."""


@dataclass(frozen=True)
class Happened:
    """One event, reduced to what the page shows: fifty of them take some 25 kB."""

    number: int
    """Counts what happened, so that the order does not hang on a clock."""
    at: datetime
    """When it was told, by IMDS's clock where that is known."""
    kind: EventKind
    level: Level
    message: str
    fault: Optional[Fault] = None


@dataclass(frozen=True)
class Recent:
    """The last events. A value: another thread may be showing it while the next one is made."""

    changes: Tuple[Happened, ...] = ()
    rotations: Tuple[Happened, ...] = ()
    count: int = 0

    def after(self, report: Report) -> Recent:
        """Return this with the events of *report*; itself where there are none, as in most polls."""
        snapshot, recent = report.snapshot, self
        at = by_imds(snapshot, snapshot.moment.utc)
        for event in report.events:
            if event.kind not in REPEATED:
                recent = recent._with(event, at)
        return recent

    def newest_first(self) -> Tuple[Happened, ...]:
        """Return all that is kept."""
        return tuple(sorted((*self.changes, *self.rotations), key=lambda each: -each.number))

    def _with(self, event: Event, at: datetime) -> Recent:
        count = self.count + 1
        happened = Happened(count, at, event.kind, event.level, text(event.message)[:LONGEST], event.fault)
        if event.kind is EventKind.CREDENTIALS_ROTATED:
            return replace(self, rotations=(*self.rotations, happened)[-KEPT_ROTATIONS:], count=count)
        return replace(self, changes=(*self.changes, happened)[-KEPT_CHANGES:], count=count)
