"""Words as HTML. Whatever comes from outside goes through `words`: a role may be called anything."""

from __future__ import annotations

from datetime import datetime, timezone
from html import escape
from typing import Optional

from rolewatch import tell
from rolewatch.model import rfc3339
from rolewatch.publish.entries import text


def words(value: object) -> str:
    """Return *value* as text in HTML, on one line and in bounds, with nothing in it that a browser would obey."""
    return escape(text(str(value)))


def code(value: object) -> str:
    """Return *value* as a name or a word to type."""
    return f"<code>{words(value)}</code>"


def command(lines: str) -> str:
    """Return *lines* of shell to copy."""
    return "<pre><code>" + "\n".join(words(line) for line in lines.splitlines()) + "</code></pre>"


def sentence(value: str) -> str:
    """Return *value*, which begins in lower case, as a heading does."""
    return words(value[:1].upper() + value[1:])


def clock(moment: datetime, now: datetime) -> str:
    """Return *moment* as a time of day, with the date where that is not the day of *now*: ``17:31 UTC``."""
    there, here = moment.astimezone(timezone.utc), now.astimezone(timezone.utc)
    date = "" if there.date() == here.date() else f"{there:%Y-%m-%d} "
    return f'<time datetime="{rfc3339(moment)}">{date}{tell.clock(there)}</time>'


def ago(moment: datetime, now: datetime) -> str:
    """Return how far *moment* is from *now*: ``29 min ago``, ``in 5 h 40 min``."""
    seconds = (now - moment).total_seconds()
    return f"{tell.duration(seconds)} ago" if seconds >= 0 else f"in {tell.duration(-seconds)}"


def row(label: str, value: Optional[str], *, wide: bool = False) -> str:
    """Return one row of a description list, *value* being HTML; nothing where there is none.

    A *wide* one has its label above it, whatever the window.
    """
    start = '<div class="wide">' if wide else "<div>"
    return f"{start}<dt>{label}</dt><dd>{value}</dd></div>\n" if value else ""
