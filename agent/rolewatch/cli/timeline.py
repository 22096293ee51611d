"""What happened, as a table, and how long each fault lasted. Pure."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from rolewatch.model import EventKind, Scalar, State
from rolewatch.tell import duration
from rolewatch.text import shortened

_GAP = "  "
_INDENT = "    "
_WIDEST = 64
"""Characters of a cell. A role's name has so many at most (IAM API reference, CreateRole, 2026)."""


@dataclass(frozen=True)
class PastEvent:
    """One event as the journal kept it. Words instead of our vocabularies: a newer rolewatch may have written it."""

    at: datetime
    level: str
    event: str
    message: str
    fault: str
    """Empty where the event is not about a fault."""
    facts: Mapping[str, Scalar]

    @property
    def document(self) -> Dict[str, Scalar]:
        """The event as JSON, with the keys of the daemon's own JSON lines."""
        time = self.at.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
        head = {"time": time, "level": self.level, "event": self.event, "message": self.message}
        return {**head, **({"fault": self.fault} if self.fault else {}), **self.facts}


@dataclass(frozen=True)
class Episode:
    """One fault from when it was first seen to when it was over."""

    fault: str
    since: datetime
    until: Optional[datetime] = None
    """None where the end was not told."""
    stands: bool = True
    """Whether, without an end, it may still stand: nothing that was told since then says otherwise."""


def episodes(events: Sequence[PastEvent]) -> List[Episode]:
    """Return each fault's episodes in *events*, by when they began.

    An end may go untold: rolewatch was stopped, the fault was mended, and nothing was remembered over the restart.
    """
    ledger = _Ledger()
    for event in events:
        kind = event.event
        if event.fault and kind in (EventKind.FAULT_RAISED.value, EventKind.FAULT_PERSISTS.value):
            ledger.begin(event.fault, _since(event))
        elif event.fault and kind == EventKind.FAULT_CLEARED.value:
            ledger.end(event.fault, _since(event), event.at)
        elif kind == EventKind.STOPPING.value or _is_ok(event):
            ledger.doubt()
    return sorted(ledger.episodes, key=lambda episode: episode.since)


class _Ledger:
    """Episodes, by the order in which they were reported. Each call takes constant time, amortised."""

    def __init__(self) -> None:
        self.episodes: List[Episode] = []
        self._open: Dict[str, Dict[datetime, int]] = {}
        """Of each fault the episodes without an end: index by beginning, the latest reported last."""
        self._standing: Dict[str, int] = {}
        """Of each fault the episode that may still stand."""

    def begin(self, fault: str, since: datetime) -> None:
        """Begin an episode, unless it has begun already. An earlier one of the same fault no longer stands."""
        began = self._open.setdefault(fault, {})
        if since not in began:
            began[since] = len(self.episodes)
            self.episodes.append(Episode(fault, since))
        self._doubt(self._standing.get(fault))
        self._standing[fault] = began[since]
        self._set(began[since], stands=True)

    def end(self, fault: str, since: datetime, until: datetime) -> None:
        """End the latest open episode of *fault*; where its beginning was too long ago to be read, add it."""
        began = self._open.get(fault)
        if not began:
            self.episodes.append(Episode(fault, since, until))
            return
        _, index = began.popitem()
        if self._standing.get(fault) == index:
            del self._standing[fault]
        self.episodes[index] = replace(self.episodes[index], until=until)

    def doubt(self) -> None:
        """Note that no open episode is known to stand any longer."""
        for index in self._standing.values():
            self._doubt(index)
        self._standing.clear()

    def _doubt(self, index: Optional[int]) -> None:
        if index is not None:
            self._set(index, stands=False)

    def _set(self, index: int, *, stands: bool) -> None:
        self.episodes[index] = replace(self.episodes[index], stands=stands)


def _is_ok(event: PastEvent) -> bool:
    return event.event == EventKind.STATE_CHANGED.value and event.facts.get("state") == State.OK.value


def _since(event: PastEvent) -> datetime:
    """Return since when the fault of *event* stands: as it says, or else since it was told."""
    try:
        return datetime.strptime(str(event.facts.get("since")), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    except ValueError:
        return event.at


def table(events: Sequence[PastEvent], width: Optional[int]) -> Iterator[str]:
    """Yield a line for each of *events*; where *width* is given, the sentence goes below it, wrapped to that."""
    lines = _aligned([("time (UTC)", "event", "fault or state", "role", "lasted"), *map(_row, events)])
    yield lines[0].rstrip() if width else f"{lines[0]}{_GAP}message"
    for line, event in zip(lines[1:], events):
        if width is None:
            yield f"{line}{_GAP}{event.message}".rstrip()
        else:
            yield line.rstrip()
            yield from textwrap.wrap(event.message, width, initial_indent=_INDENT, subsequent_indent=_INDENT)


def fault_table(told: Sequence[Episode], until: datetime) -> Iterator[str]:
    """Yield a line for each episode: from when to when, and how long. What still stands has lasted until *until*."""
    rows: List[Tuple[str, ...]] = [("fault", "from (UTC)", "to", "lasted")]
    for episode in told:
        if episode.until is not None:
            end, lasted = _time(episode.until), duration((episode.until - episode.since).total_seconds())
        elif episode.stands:
            end, lasted = "stands", f"{duration((until - episode.since).total_seconds())} so far"
        else:
            end, lasted = "end not told", ""
        rows.append((_cell(episode.fault), _time(episode.since), end, lasted))
    if told:
        yield from (line.rstrip() for line in _aligned(rows))


def _row(event: PastEvent) -> Tuple[str, ...]:
    role = str(event.facts.get("role", ""))
    return (_time(event.at), _cell(event.event), _cell(_what(event)), _cell(role), _lasted(event))


def _cell(words: str) -> str:
    """Return *words* in the width of a cell: one long value would widen every row."""
    return shortened(words, _WIDEST)


def _what(event: PastEvent) -> str:
    if event.event == EventKind.STATE_CHANGED.value:
        return str(event.facts.get("state", ""))
    return event.fault


def _lasted(event: PastEvent) -> str:
    seconds = event.facts.get("duration_seconds")
    return duration(seconds) if isinstance(seconds, (int, float)) else ""


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S}"


def _aligned(rows: Sequence[Sequence[str]]) -> List[str]:
    widths = [max(map(len, column)) for column in zip(*rows)]
    return [_GAP.join(cell.ljust(width) for cell, width in zip(row, widths)) for row in rows]
