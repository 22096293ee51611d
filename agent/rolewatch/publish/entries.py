"""One entry of the log: an event, reduced to what may be written down. Whatever is on no allow-list ends here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Dict, Mapping, Optional

from rolewatch.faults import Fault
from rolewatch.model import EVENT_FIELDS, EventKind, Level, Scalar
from rolewatch.text import shortened

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
    fault: Optional[Fault] = None
    message_id: Optional[str] = None
    documentation: Optional[str] = None


class UnknownFieldError(Exception):
    """An event carries what no allow-list knows. Only in tests: the daemon leaves such a field out."""


def allowed(fields: Mapping[str, object], *, strict: bool) -> Dict[str, Scalar]:
    """Return those of *fields* that may be told: the names of `EVENT_FIELDS`, with clean values.

    Everything else is left out or, if *strict*, raises `UnknownFieldError`. Nothing is ever told by its ``repr``.
    """
    values = {name: clean(fields[name]) for name in EVENT_FIELDS if name in fields}
    told = {name: value for name, value in values.items() if value is not None}
    unknown = sorted(set(fields) - set(told))
    if strict and unknown:
        raise UnknownFieldError(f"Not in EVENT_FIELDS, or neither text nor a number: {', '.join(unknown)}")
    return told


def clean(value: object) -> Optional[Scalar]:
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
