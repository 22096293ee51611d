"""Checks and faults for people: text for a terminal, and Markdown."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

from rolewatch.aws.checks import Result, Status
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
_COLOURS = {Status.PASS: "green", Status.FAIL: "red", Status.SKIPPED: "cyan", Status.UNKNOWN: "yellow"}
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
    return _wrapped(body, f"  {label:<{_LABEL - 3}} ", columns) if body else []


def show(results: Sequence[Result], out: TextIO, environ: Mapping[str, str]) -> None:
    """Print a row for each of *results*, and below them who could make the checks that were not made."""
    if is_styled(out, environ):
        try:
            _rich(results, out)
        except ImportError:
            _plain(results, out, styled=True)
    else:
        _plain(results, out, styled=False)
    for who in dict.fromkeys(result.outcome.who for result in results if result.outcome.who):
        lines = paragraph("who else", f"Skipped and unknown checks can be made by {who}", width(out))
        out.write("\n".join(["", *lines, ""]))


def _notes(results: Sequence[Result]) -> list[str]:
    """Return the note of each result; a note that repeats the one before is shortened."""
    notes = [_note(result) for result in results]
    return ["As above." if number and note == notes[number - 1] else note for number, note in enumerate(notes)]


def _note(result: Result) -> str:
    missing = f" Missing permission: {result.outcome.permission}." if result.outcome.permission else ""
    return result.outcome.note + missing


def _plain(results: Sequence[Result], out: TextIO, *, styled: bool) -> None:
    first = max((len(result.title) for result in results), default=0)
    for result, note in zip(results, _notes(results)):
        status = result.outcome.status
        word = style(f"{_word(status):<7}", _COLOURS[status], styled=styled)
        lines = _wrapped(note, " " * (first + 13), max(width(out), first + 13 + 40))
        out.write(f"  {word}  {result.title:<{first}}  {lines[0].strip()}\n")
        out.writelines(f"{line}\n" for line in lines[1:])


def _rich(results: Sequence[Result], out: TextIO) -> None:
    from rich.console import Console  # noqa: PLC0415 - 20 MiB, for a terminal with colour only
    from rich.table import Table  # noqa: PLC0415 - likewise
    from rich.text import Text  # noqa: PLC0415 - likewise

    table: Any = Table(box=None, show_header=False, padding=(0, 1), pad_edge=True)
    table.add_column(no_wrap=True)
    table.add_column(max_width=44)
    table.add_column(ratio=1)
    for result, note in zip(results, _notes(results)):  # as Text: what AWS said is not to be read as rich's markup
        status = result.outcome.status
        table.add_row(Text(_word(status), style=_COLOURS[status]), Text(printable(result.title)), Text(printable(note)))
    Console(file=out, width=width(out), highlight=False).print(table)


def _word(status: Status) -> str:
    """Return *status* as a word; a failure in capitals, so that it is found without colour."""
    word = str(status.value)
    return word.upper() if status is Status.FAIL else word


def _wrapped(body: str, first: str, columns: int) -> list[str]:
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
    yield f"Severity: {entry.severity.name.lower()}. Raised {raised_when(entry)}. AWS: <{entry.page}>."
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
