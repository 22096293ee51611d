"""Text from outside made safe to print on one line; times (RFC 3339) and durations as text, both ways."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone

_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Characters that `str.isprintable` accepts and that show nothing: those with the property Default_Ignorable_Code_Point
that are letters or marks (Unicode 16, DerivedCoreProperties.txt), and the blank Braille pattern."""


def is_printable(value: str) -> bool:
    """Return whether *value* stays on one line and holds only characters that a person can see, or plain spaces."""
    return value.isprintable() and (value.isascii() or not _INVISIBLE.search(value))


def printable(value: str) -> str:
    """Return *value* on one line, with every character escaped that `is_printable` rejects."""
    if is_printable(value):
        return value
    return "".join(each if is_printable(each) else each.encode("unicode_escape").decode("ascii") for each in value)


def shortened(value: str, longest: int) -> str:
    """Return `printable` of *value* in at most *longest* characters; an ellipsis marks that it was cut."""
    shown = printable(value[: longest + 1])
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def takes_colour(environ: Mapping[str, str], *, terminal: bool) -> bool:
    """Return whether output may have colours: it goes to a *terminal*, and *environ* does not forbid them.

    ``NO_COLOR`` forbids them if it is not empty (https://no-color.org), and ``TERM=dumb`` does.
    """
    return terminal and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


LONGEST_VALUE = 4096
"""Characters of one value in the journal, the log and the status line."""


def bounded(value: str) -> str:
    r"""Return *value* on one line, `LONGEST_VALUE` characters at most; control characters are escaped, as ``\x1b``."""
    return shortened(value, LONGEST_VALUE)


def rfc3339(moment: datetime, timespec: str = "seconds") -> str:
    """Return *moment* as RFC 3339 in UTC, ``2026-11-23T17:31:25Z``, cut to *timespec* (see `datetime.isoformat`)."""
    return moment.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec=timespec) + "Z"


FIRST_MOMENT = datetime.min.replace(tzinfo=timezone.utc)
LAST_MOMENT = datetime.max.replace(tzinfo=timezone.utc)
"""The ends of the calendar that `datetime` has: the years 1 and 9999. IMDS and a clock may show either."""


def shift(moment: datetime, seconds: float) -> datetime:
    """Return the time *seconds* after *moment*, or the end of the calendar if that is beyond it. Never raises."""
    try:
        return moment + timedelta(seconds=seconds)
    except OverflowError:
        return LAST_MOMENT if seconds > 0 else FIRST_MOMENT


_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.\d{1,9})?(?:Z|([+-])(\d\d):?(\d\d))", re.ASCII)


def timestamp(text: str | None) -> datetime | None:
    """Return the ISO 8601 time *text* with its zone, or None. `datetime.fromisoformat` of 3.9 does not read ``Z``."""
    match = _TIME.fullmatch(text) if text else None
    if match is None:
        return None
    year, month, day, hour, minute, second, sign, off_hours, off_minutes = match.groups()
    try:
        moment = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=timezone.utc)
        offset = timedelta(hours=int(off_hours or 0), minutes=int(off_minutes or 0))
        return moment + offset if sign == "-" else moment - offset
    except (ValueError, OverflowError):
        return None


_NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
_DURATION = re.compile(rf"(?:{_NUMBER}d)? ?(?:{_NUMBER}h)? ?(?:{_NUMBER}m)? ?(?:{_NUMBER}s)? ?(?:{_NUMBER}ms)?")
_SECONDS = (86400.0, 3600.0, 60.0, 1.0, 0.001)
_LONGEST_DURATION = 40
"""Characters. Longer than any duration that makes sense, and short enough to be matched at once."""


def parse_duration(text: str) -> float | None:
    """Return the seconds of a duration such as ``1h30m`` or ``7d``, the larger unit first; None if it is none."""
    match = _DURATION.fullmatch(text.strip()) if len(text) <= _LONGEST_DURATION else None
    if match is None or not any(match.groups()):
        return None
    return sum(float(number) * unit for number, unit in zip(match.groups(), _SECONDS) if number)


def format_duration(seconds: float) -> str:
    """Return *seconds* (from 0 to a billion) as `parse_duration` reads it: ``1h30m``, ``2.5s``, ``250ms``."""
    if seconds < 1:
        return f"{seconds * 1000:.10g}ms" if seconds else "0s"
    whole, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(whole), 60)
    parts = (f"{hours}h" if hours else "", f"{minutes}m" if minutes else "", f"{rest:.10g}s" if rest else "")
    return "".join(parts)
