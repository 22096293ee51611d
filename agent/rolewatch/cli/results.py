"""The results of checks as a table in a terminal, for `diagnose` and `preflight`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
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


def _rows(results: Sequence[Result]) -> Iterator[tuple[Status, str, str]]:
    """Yield status, title and note of each row. Results in a row with the same note are one row, which names all."""
    for (status, note), alike in groupby(results, key=lambda each: (each.outcome.status, _note(each))):
        title, *others = (each.title for each in alike)
        yield status, title, f"{note} Likewise: {'; '.join(others)}." if others else note


def _note(result: Result) -> str:
    missing = f" Missing permission: {result.outcome.permission}." if result.outcome.permission else ""
    return result.outcome.note + missing


def _plain(results: Sequence[Result], out: TextIO, *, styled: bool) -> None:
    rows = tuple(_rows(results))
    first = max((len(title) for _, title, _ in rows), default=0)
    for status, title, note in rows:
        word = style(f"{_word(status):<7}", _COLOURS[status], styled=styled)
        lines = wrapped(note, " " * (first + 13), max(width(out), first + 13 + 40))
        out.write(f"  {word}  {title:<{first}}  {lines[0].strip()}\n")
        out.writelines(f"{line}\n" for line in lines[1:])


def _rich(results: Sequence[Result], out: TextIO) -> None:
    from rich.console import Console  # noqa: PLC0415 - 20 MiB, for a terminal with colour only
    from rich.table import Table  # noqa: PLC0415 - likewise
    from rich.text import Text  # noqa: PLC0415 - likewise

    table: Any = Table(box=None, show_header=False, padding=(0, 1), pad_edge=True)
    table.add_column(no_wrap=True)
    table.add_column(max_width=44)
    table.add_column(ratio=1)
    for status, title, note in _rows(results):  # as Text: what AWS said is not to be read as rich's markup
        table.add_row(Text(_word(status), style=_COLOURS[status]), Text(printable(title)), Text(printable(note)))
    Console(file=out, width=width(out), highlight=False).print(table)


def _word(status: Status) -> str:
    """Return *status* as a word; a failure in capitals, so that it is found without colour."""
    word = str(status.value)
    return word.upper() if status is Status.FAIL else word
