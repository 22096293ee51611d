"""What happened, as a table, and how long each fault lasted. Pure."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from rolewatch.model import EventKind, Scalar, State
from rolewatch.tell import duration

_GAP = "  "
_INDENT = "    "


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
    told: List[Episode] = []
    for event in events:
        kind = event.event
        if event.fault and kind in (EventKind.FAULT_RAISED.value, EventKind.FAULT_PERSISTS.value):
            _stand(told, event)
        elif event.fault and kind == EventKind.FAULT_CLEARED.value:
            _end(told, event)
        elif kind == EventKind.STOPPING.value or _is_ok(event):
            told[:] = [replace(each, stands=False) if each.until is None else each for each in told]
    return sorted(told, key=lambda episode: episode.since)


def _is_ok(event: PastEvent) -> bool:
    return event.event == EventKind.STATE_CHANGED.value and event.facts.get("state") == State.OK.value


def _stand(told: List[Episode], event: PastEvent) -> None:
    """Begin an episode, unless it is one that has begun already."""
    since = _since(event)
    for index, episode in enumerate(told):
        if episode.fault != event.fault or episode.until is not None:
            continue
        if episode.since == since:
            told[index] = replace(episode, stands=True)
            return
        told[index] = replace(episode, stands=False)
    told.append(Episode(event.fault, since))


def _end(told: List[Episode], event: PastEvent) -> None:
    """End the latest open episode of the fault; where its beginning was too long ago to be among them, add it."""
    for index in reversed(range(len(told))):
        if told[index].fault == event.fault and told[index].until is None:
            told[index] = replace(told[index], until=event.at)
            return
    told.append(Episode(event.fault, _since(event), event.at))


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
        rows.append((episode.fault, _time(episode.since), end, lasted))
    if told:
        yield from (line.rstrip() for line in _aligned(rows))


def _row(event: PastEvent) -> Tuple[str, ...]:
    return (_time(event.at), event.event, _what(event), str(event.facts.get("role", "")), _lasted(event))


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
