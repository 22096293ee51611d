"""Standard output and standard error for text whose writer must neither wait nor fail: warnings, errors, progress."""

from __future__ import annotations

import errno
import os
import sys
import threading
from typing import TYPE_CHECKING, TextIO

from rolewatch.text import printable

if TYPE_CHECKING:
    from rolewatch.publish.journald import LineWriter

_lock = threading.Lock()
_writers: dict[tuple[int, str], LineWriter] = {}
"""By descriptor and encoding. Each keeps the rest of a line that was written in part."""


def say(text: str) -> None:
    """Print *text* at once if there is room for it, and drop it otherwise. Never wait, never raise `OSError`.

    For commands that have more to do than to print: a reader that stops reading (`| less`) stops the reader, not them.
    Where standard output cannot be written (any more), nothing is printed from then on.
    """
    error = _write(sys.stdout, text)
    if error is not None:
        discard()
        if error.errno != errno.EPIPE:
            complain(f"the output cannot be written: {error.strerror}. Nothing more is printed.")


def complain(problem: object) -> None:
    """Print *problem*, an error or a warning, as one line on standard error. Never wait, never raise `OSError`."""
    print_error(f"rolewatch: {printable(str(problem))}")


def print_error(text: str) -> None:
    """Print *text* on standard error as it is, as `complain` does."""
    _write(sys.stderr, text)


def discard() -> None:
    """Send standard output to nowhere, with what is still in its buffer: Python writes that when it exits."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, sys.stdout.fileno())
    finally:
        os.close(nowhere)


def _write(stream: TextIO, text: str) -> OSError | None:
    """Write *text* as a line to *stream* if there is room. Return the error where it cannot be written."""
    from rolewatch.publish.journald import LineWriter  # noqa: PLC0415 - of no use where there is nothing to say

    try:
        key = (stream.fileno(), stream.encoding or "utf-8")
    except (OSError, ValueError):  # it is in memory
        print(text, file=stream)
        return None
    with _lock:
        writer = _writers.get(key) or _writers.setdefault(key, LineWriter(*key))
        writer.write(text)
        return writer.error
