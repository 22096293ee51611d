"""The results of checks as a table in a terminal, for `diagnose` and `preflight`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from rolewatch.aws.checks import Result, Status
from rolewatch.cli.render import is_styled, paragraph, style, width, wrapped
from rolewatch.text import printable

_COLOURS = {Status.PASS: "green", Status.FAIL: "red", Status.SKIPPED: "cyan", Status.UNKNOWN: "yellow"}


def show_results(results: Sequence[Result], out: TextIO, environ: Mapping[str, str]) -> None:
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
        lines = wrapped(note, " " * (first + 13), max(width(out), first + 13 + 40))
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
