"""Durations as people write them: ``30s``, ``5m``, ``1h30m``, ``250ms``. Seconds everywhere else."""

from __future__ import annotations

import re
from typing import Optional

_NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
_FORM = re.compile(rf"(?:{_NUMBER}h)? ?(?:{_NUMBER}m)? ?(?:{_NUMBER}s)? ?(?:{_NUMBER}ms)?")
_SECONDS = (3600.0, 60.0, 1.0, 0.001)
_LONGEST = 40
"""Characters. Longer than any duration that makes sense, and short enough to be matched at once."""


def parse_duration(text: str) -> Optional[float]:
    """Return the seconds that *text* stands for, the larger unit first; None where it is not a duration."""
    match = _FORM.fullmatch(text.strip()) if len(text) <= _LONGEST else None
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
