"""An entry as one line: JSON for programs, or a readable form for a terminal."""

from __future__ import annotations

import json
import textwrap
from datetime import datetime, timezone
from typing import Dict, Iterator, Mapping

from rolewatch.model import EventKind, Level, Scalar
from rolewatch.publish.entries import Entry

_SHOWN = ("reason", "file", "problem")
"""The fields that a person may want beside the sentence, where it does not name them. All are in the JSON form."""
_NARROWEST = 72
"""Columns below which a sentence is not wrapped: there would be nothing but its column."""
_LEVEL_WIDTH = max(len(level.name) for level in Level)
_KIND_WIDTH = max(len(kind.value) for kind in EventKind)

_COLOURS: Mapping[Level, str] = {
    Level.CRITICAL: "1;31",
    Level.ERROR: "31",
    Level.WARNING: "33",
    Level.NOTICE: "32",
    Level.INFO: "36",
    Level.DEBUG: "2",
}
"""Of ECMA-48, which every terminal has: bold red, red, yellow, green, cyan, faint."""


def as_json(entry: Entry) -> str:
    """Return *entry* as one JSON object: time, level, event, message, and its fields by their names."""
    document: Dict[str, Scalar] = {
        "time": _instant(entry.at),
        "level": entry.level.name.lower(),
        "event": entry.kind.value,
        "message": entry.message,
    }
    if entry.fault:
        document["fault"] = entry.fault.value
    document.update(entry.facts)
    if entry.documentation:
        document["documentation"] = entry.documentation
    return json.dumps(document, ensure_ascii=False, allow_nan=False)


def for_terminal(entry: Entry, *, colour: bool, width: int = 0) -> str:
    """Return *entry* as a person reads it: time of day in UTC, level, event, sentence, and what the sentence lacks.

    The sentence is wrapped in its column where the terminal is *width* columns wide; 0: it stays on one line.
    """
    level = f"{entry.level.name.lower():<{_LEVEL_WIDTH}}"
    kind = f"{entry.kind.value:<{_KIND_WIDTH}}"
    time = f"{entry.at.astimezone(timezone.utc):%H:%M:%S}"
    more = " ".join(_details(entry))
    message = entry.message
    if width >= _NARROWEST:
        message, more = (
            _wrapped("  ".join(filter(None, (message, more))), len(time) + len(level) + len(kind) + 6, width),
            "",
        )
    if colour:
        level, time = _painted(level, _COLOURS[entry.level]), _painted(time, "2")
        more = _painted(more, "2") if more else ""
    return "  ".join(filter(None, (time, level, kind, message, more)))


def _details(entry: Entry) -> Iterator[str]:
    for name in _SHOWN:
        value = str(entry.facts.get(name, ""))
        if value and value not in entry.message:
            yield f"{name}={json.dumps(value, ensure_ascii=False) if ' ' in value else value}"


def _wrapped(sentence: str, column: int, width: int) -> str:
    lines = textwrap.wrap(sentence, width - column, break_long_words=False, break_on_hyphens=False)
    return ("\n" + " " * column).join(lines)


def _painted(words: str, colour: str) -> str:
    return f"\x1b[{colour}m{words}\x1b[0m"


def _instant(moment: datetime) -> str:
    """Return *moment* as RFC 3339 in UTC, to the millisecond: what happens within one second keeps its order."""
    return moment.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
