"""Standard output for commands that go on when nobody reads it."""

from __future__ import annotations

import contextlib
import os
import sys


def say(text: str) -> None:
    """Print *text* at once. Where standard output cannot be written (any more), go on, and print nothing from then on.

    For commands that have more to do than to print: `| head` ends the reader, not them.
    """
    try:
        print(text, flush=True)
    except OSError as error:
        discard()
        if not isinstance(error, BrokenPipeError):
            complain(f"rolewatch: the output cannot be written: {error.strerror}. Nothing more is printed.")


def complain(text: str) -> None:
    """Print *text* on standard error, if that can be written."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def discard() -> None:
    """Send standard output to nowhere, with what is still in its buffer: Python writes that when it exits."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, sys.stdout.fileno())
    finally:
        os.close(nowhere)
