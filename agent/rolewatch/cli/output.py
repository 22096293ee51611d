"""Non-blocking writes of warnings, errors and progress to standard output and standard error."""

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
"""Writers by descriptor and encoding. Each keeps the rest of a partly written line."""


def say(text: str) -> None:
    """Print *text* if it can be written at once, else drop it. Never wait, never raise `OSError`.

    For commands that must not stop when their reader does (`| less`). After a failed write, nothing more is printed.
    """
    error = _write(sys.stdout, text)
    if error is not None:
        discard()
        if error.errno != errno.EPIPE:
            complain(f"the output cannot be written: {error.strerror}. Nothing more is printed.")


def complain(problem: object) -> None:
    """Print *problem*, an error or a warning, on one line of standard error. Never wait, never raise `OSError`."""
    print_error(f"rolewatch: {printable(str(problem))}")


def print_error(text: str) -> None:
    """Print *text* unchanged on standard error. Never wait, never raise `OSError`."""
    _write(sys.stderr, text)


def discard() -> None:
    """Redirect standard output, with its buffer, to /dev/null: Python writes the buffer at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, sys.stdout.fileno())
    finally:
        os.close(nowhere)


def _write(stream: TextIO, text: str) -> OSError | None:
    """Write *text* as a line to *stream* if that does not block. Return the error if it cannot be written."""
    from rolewatch.publish.journald import LineWriter  # noqa: PLC0415 - most commands print no warning

    try:
        key = (stream.fileno(), stream.encoding or "utf-8")
    except (OSError, ValueError):  # it is in memory
        print(text, file=stream)
        return None
    with _lock:
        writer = _writers.get(key) or _writers.setdefault(key, LineWriter(*key))
        writer.write(text)
        return writer.error
