"""The life of the served credentials as a bar: refreshed, now, when refreshes are due, overdue, expiry.

The drawing tells nothing that the words below it do not.
"""

from __future__ import annotations

from datetime import datetime
from typing import List, Optional

from rolewatch import tell
from rolewatch.model import Snapshot, shift
from rolewatch.publish.page.markup import ago, clock, words

MOST_TICKS = 12
"""More refreshes in one life would be a smear."""
_EDGE = 8.0
"""Per cent of the width within which a word in the middle of its place would be cut off."""

_TICK = '<svg class="key" width="14" height="14" aria-hidden="true"><path class="tick" d="M7 1v12"/></svg>'
_LATE = '<svg class="key" width="14" height="14" aria-hidden="true"><path class="late" d="M7 2l5 10H2z"/></svg>'


def lifetime(snapshot: Snapshot, now: datetime) -> str:
    """Return the bar and what it says in words; nothing where no beginning or no end is known."""
    begun, ends = snapshot.last_updated, snapshot.expiration
    if begun is None or ends is None or ends <= begun:
        return ""
    life = (ends - begun).total_seconds()

    def at(moment: datetime) -> float:
        """Return where *moment* is on the bar, in per cent."""
        return min(max((moment - begun).total_seconds() / life, 0.0), 1.0) * 100

    passed = at(now)
    marks = [f'<line class="tick" x1="{at(due):.1f}%" x2="{at(due):.1f}%" y1="36" y2="44"/>' for due in _due(snapshot)]
    if snapshot.overdue is not None and snapshot.overdue < ends:
        late = '<path class="late" d="M0 0l5 10h-10z"/>'
        marks.append(f'<svg x="{at(snapshot.overdue):.1f}%" y="35" overflow="visible">{late}</svg>')
    anchor = "start" if passed < _EDGE else "end" if passed > 100 - _EDGE else "middle"
    label = f"{passed:.0f} per cent of the life of the credentials has passed."
    return (
        f'<svg class="bar" role="img" aria-label="{label}" width="100%" height="46">\n'
        '<rect class="life" width="100%" height="16" y="20" rx="3"/>\n'
        f'<rect class="passed" width="{passed:.1f}%" height="16" y="20" rx="3"/>\n'
        + "".join(f"{mark}\n" for mark in marks)
        + f'<line class="now" x1="{passed:.1f}%" x2="{passed:.1f}%" y1="16" y2="40"/>\n'
        f'<text class="now" x="{passed:.1f}%" y="12" text-anchor="{anchor}">now</text>\n</svg>\n'
        f'<p class="ends"><span>refreshed {clock(begun, now)}</span> <span>{_expiry(ends, now)}</span></p>\n'
        f'<ul class="keys">\n<li>{_TICK} {_refreshes(snapshot, now)}</li>\n{_overdue(snapshot.overdue, now)}</ul>\n'
    )


def _due(snapshot: Snapshot) -> List[datetime]:
    """Return when the refreshes of this life are due."""
    begun, ends, interval = snapshot.last_updated, snapshot.expiration, snapshot.rotation_interval
    if begun is None or ends is None or not interval:
        return []
    count = int((ends - begun).total_seconds() / interval)
    return [shift(begun, interval * (n + 1)) for n in range(count)] if count <= MOST_TICKS else []


def _expiry(ends: datetime, now: datetime) -> str:
    return f"{'expired' if ends <= now else 'expires'} {clock(ends, now)}"


def _refreshes(snapshot: Snapshot, now: datetime) -> str:
    """Return when the next refresh is due."""
    interval = snapshot.rotation_interval
    if not interval or snapshot.last_updated is None:
        return "How often they are refreshed here is not known yet: it takes two refreshes to learn that."
    due = shift(snapshot.last_updated, interval)
    verb = "the next was due" if due <= now else "the next is due"
    return f"Refreshed about every {words(tell.duration(interval))}; {verb} at {clock(due, now)}, {ago(due, now)}."


def _overdue(overdue: Optional[datetime], now: datetime) -> str:
    if overdue is None:
        return ""
    told = (
        f"Overdue since {clock(overdue, now)}, for {tell.duration((now - overdue).total_seconds())} now."
        if overdue <= now
        else f"Overdue from {clock(overdue, now)} on, {ago(overdue, now)}."
    )
    return f"<li>{_LATE} {told}</li>\n"
