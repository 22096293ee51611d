"""A journal entry: an event reduced to the allowed fields, and its form as one line of JSON or of text."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum

from rolewatch.faults import Fault
from rolewatch.text import rfc3339, shortened
from rolewatch.vocabulary import EVENT_FIELDS, EventKind, Level, Scalar

LONGEST_VALUE = 4096
"""Characters of one value. Longer ones are cut, and end with an ellipsis."""


@dataclass(frozen=True)
class Entry:
    """What is written of one event: the same in the journal, as JSON, and on a terminal."""

    at: datetime
    """When it was told. The journal has its own clock; the other forms have not."""
    level: Level
    kind: EventKind
    message: str
    facts: Mapping[str, Scalar]
    """The fields, by their names in `EVENT_FIELDS` and in that order."""
    fault: Fault | None = None
    message_id: str | None = None
    documentation: str | None = None


class UnknownFieldError(Exception):
    """An event carries what no allow-list knows. Only in tests: the daemon leaves such a field out."""


def allowed(fields: Mapping[str, object], *, strict: bool) -> dict[str, Scalar]:
    """Return those of *fields* that may be told: the names of `EVENT_FIELDS`, with clean values.

    Everything else is left out or, if *strict*, raises `UnknownFieldError`. Nothing is ever told by its ``repr``.
    """
    values = {name: clean(fields[name]) for name in EVENT_FIELDS if name in fields}
    told = {name: value for name, value in values.items() if value is not None}
    unknown = sorted(set(fields) - set(told))
    if strict and unknown:
        raise UnknownFieldError(f"Not in EVENT_FIELDS, or neither text nor a number: {', '.join(unknown)}")
    return told


def clean(value: object) -> Scalar | None:
    """Return *value* as it may be written, or None where it is neither text nor a number."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, str):
        return text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no word for it
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    return None


def text(value: str) -> str:
    r"""Return *value* on one line and in bounds; what a terminal would obey is escaped, as in ``\x1b``."""
    return shortened(value, LONGEST_VALUE)


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
    document: dict[str, Scalar] = {
        "time": rfc3339(entry.at, "milliseconds"),
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
