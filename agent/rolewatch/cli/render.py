"""Faults and states for people: text for a terminal, and Markdown."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TextIO

from rolewatch.faults.explain import Explained, explain
from rolewatch.faults.remedy import Step
from rolewatch.faults.table import Entry
from rolewatch.publish import messages
from rolewatch.text import printable, takes_colour
from rolewatch.vocabulary import State

WIDTH = 96
"""Columns where standard output is no terminal."""
_NARROW = 60
_LABEL = 15
_STATE_COLOURS = {
    State.OK: "green",
    State.DEGRADED: "yellow",
    State.FAILED: "red",
    State.UNKNOWN: "magenta",
    State.STARTING: "cyan",
}
_CODES = {"bold": "1", "red": "31", "green": "32", "yellow": "33", "magenta": "35", "cyan": "36"}


def is_styled(out: TextIO, environ: Mapping[str, str]) -> bool:
    """Return whether *out* is a terminal that may have colours."""
    return takes_colour(environ, terminal=out.isatty())


def width(out: TextIO) -> int:
    """Return the width of *out* in columns: at least 60, or `WIDTH` where it is no terminal."""
    return max(_NARROW, shutil.get_terminal_size((WIDTH, 24)).columns) if out.isatty() else WIDTH


def style(words: str, *styles: str, styled: bool) -> str:
    """Return *words* in *styles*, a colour or ``bold``, if *styled*."""
    codes = ";".join(_CODES[each] for each in styles)
    return f"\x1b[{codes}m{words}\x1b[0m" if styled else words


def headline(state: State, meaning: str = "", *, styled: bool) -> str:
    """Return *state* and what it means; *meaning* replaces the general one."""
    word = style(state.value.upper(), "bold", _STATE_COLOURS[state], styled=styled)
    return f"{word}: {meaning or messages.STATES[state]}"


def explanation(explained: Explained, note: tuple[str, str], *, columns: int) -> Iterator[str]:
    """Yield the lines below a fault's title: *note*, a label and its text; then meaning, remedy, and where more is."""
    yield from paragraph(*note, columns)
    yield from paragraph("means", explained.meaning, columns)
    yield from remedy(explained, columns)
    yield from paragraph("more", f"rolewatch explain {explained.fault.value}, {explained.page}", columns)


def remedy(explained: Explained, columns: int) -> Iterator[str]:
    """Yield the lines of cause, fix, timing, and who can do it."""
    yield from paragraph("cause", explained.cause, columns)
    yield from steps(explained.fix, columns)
    yield from paragraph("takes effect", explained.takes_effect, columns)
    yield from paragraph("who", explained.who, columns)


def steps(fix: Sequence[Step], columns: int = WIDTH) -> Iterator[str]:
    """Yield the lines of a fix: its steps numbered, commands unwrapped below them, to be pasted."""
    for number, step in enumerate(fix, 1):
        yield from paragraph("fix" if number == 1 else "", f"{number}. {step.text}", columns)
        yield from (" " * (_LABEL + 3) + printable(line) for line in step.command.splitlines())


def paragraph(label: str, body: str, columns: int = WIDTH) -> list[str]:
    """Return *body* wrapped beside *label*, nothing if it is empty. Commands and URLs are not broken."""
    return wrapped(body, f"  {label:<{_LABEL - 3}} ", columns) if body else []


def wrapped(body: str, first: str, columns: int) -> list[str]:
    """Return *body* in lines of *columns*, indented like *first*, which begins the first line."""
    return textwrap.wrap(
        printable(body),
        columns,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    )


def raised_when(entry: Entry) -> str:
    """Return in words how many polls or confirmations raise the fault of *entry*."""
    if entry.only_diagnosed:
        return "by rolewatch diagnose only"
    unit = "confirmation" if entry.decided_by else "poll"
    if entry.debounce == 1:
        return f"at once, by the first {unit} that sees it"
    return f"after {entry.debounce} {unit}s in a row that see it"


def section(entry: Entry, reason: str | None = None) -> Iterator[str]:
    """Yield the Markdown section of *entry*; with the remedy for one *reason* only, if it is given."""
    general = explain(entry.fault, {}, {})
    yield f"## {entry.fault.value}"
    yield ""
    yield f"**{entry.title[0].upper()}{entry.title[1:]}.** {general.meaning}"
    yield ""
    lighter = ", or warning while the last credentials work" if entry.warns_while_usable else ""
    yield f"Severity: {entry.severity.name.lower()}{lighter}. Raised {raised_when(entry)}. AWS: <{entry.page}>."
    if entry.message_id:
        yield f"In the journal: `journalctl -u rolewatch MESSAGE_ID={entry.message_id}`."
    yield f"Runbook: [{entry.fault.value}](runbooks/{entry.fault.value}.md)."
    if entry.decided_by:
        yield "Only the AWS API shows it: a confirmation finds it, not the daemon's polls."
    yield ""
    yield from remedies(entry, reason)


def remedies(entry: Entry, reason: str | None = None) -> Iterator[str]:
    """Yield the Markdown of the remedies of *entry*: the general one and each reason's, or one *reason*'s only."""
    if reason is None:
        if entry.variants:
            yield "What to do depends on the reason that the evidence names. For any reason that is not below:"
            yield ""
        yield from _markdown_remedy(explain(entry.fault, {}, {}))
    for name in [reason] if reason else entry.variants:
        yield f"### {entry.fault.value}: {name}"
        yield ""
        yield from _markdown_remedy(explain(entry.fault, {"reason": name}, {}))


def _markdown_remedy(filled: Explained) -> Iterator[str]:
    yield f"Cause: {_escaped(filled.cause)}"
    yield ""
    for number, step in enumerate(filled.fix, 1):
        yield f"{number}. {_escaped(step.text)}"
        if step.command:
            yield ""
            yield "   ```sh"
            yield from (f"   {line}" for line in step.command.splitlines())
            yield "   ```"
            yield ""
    if not filled.fix[-1].command:
        yield ""
    yield f"Takes effect: {_escaped(filled.takes_effect)}"
    yield ""
    yield f"Who can do it: {filled.who}."
    yield ""


def _escaped(prose: str) -> str:
    """Return *prose* with escapes, so that Markdown shows placeholders and underscores as they are."""
    return prose.replace("<", "\\<").replace("_", "\\_").replace("*", "\\*")
