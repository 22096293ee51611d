"""What one entry of the journal says. Total: whatever its fields hold, a value is in range and safe to print. Pure."""

from __future__ import annotations

import math
import re
from datetime import datetime, timezone
from typing import Any, Mapping, Optional

from rolewatch.cli.timeline import PastEvent
from rolewatch.model import EVENT_FIELDS, Level, Scalar
from rolewatch.publish.entries import text
from rolewatch.publish.native import PREFIX

_NUMBERS = frozenset({"errno", "http_status", "roles", "failures"})
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,20})?(e[+-]?[0-9]{1,3})?", re.ASCII)
_LARGEST = 1e15
"""Beyond every count, and every duration in seconds, that means something: thirty million years."""
_LEVELS = {str(level.value): level.name.lower() for level in Level}
_MICROSECONDS = 1_000_000


def read_event(entry: Mapping[str, Any]) -> Optional[PastEvent]:
    """Return the event that *entry* reports, or None where it reports none.

    *entry* has the bytes of each field, and its time as an int. Raise `ValueError` where that time is no date.
    """
    kind = word(entry, f"{PREFIX}EVENT")
    if not kind:
        return None
    facts = {name: _scalar(name, word(entry, PREFIX + name.upper())) for name in EVENT_FIELDS}
    return PastEvent(
        at=_moment(entry["__REALTIME_TIMESTAMP"]),
        level=_LEVELS.get(word(entry, "PRIORITY"), "info"),
        event=kind,
        message=word(entry, "MESSAGE"),
        fault=word(entry, f"{PREFIX}FAULT"),
        facts={name: value for name, value in facts.items() if value is not None},
    )


def word(entry: Mapping[str, Any], name: str) -> str:
    """Return a field of *entry*, safe to print, the first where there are several; empty where there is none."""
    value = entry.get(name, "")
    if isinstance(value, list):
        value = value[0]
    return text(value.decode(errors="replace") if isinstance(value, bytes) else str(value))


def _scalar(name: str, value: str) -> Optional[Scalar]:
    """Return *value* as the daemon had it, or None where it is empty, or is no finite number in a field of numbers."""
    if not value:
        return None
    if name not in _NUMBERS and not name.endswith("_seconds"):
        return value
    match = _NUMBER.fullmatch(value)
    number = float(value) if match else math.nan
    if match is None or not abs(number) <= _LARGEST:
        return None
    return number if match[1] or match[2] else int(value)


def _moment(microseconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(microseconds / _MICROSECONDS, timezone.utc)
    except (OverflowError, OSError) as error:
        raise ValueError(str(error)) from None
