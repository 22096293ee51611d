"""Which output has colours: one rule for every command."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from rolewatch.text import takes_colour

NOBODY = "http://127.0.0.1:9"
"""An endpoint that refuses the connection."""


@pytest.mark.parametrize(
    ("environ", "colours"),
    [
        ({}, True),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, True),
        ({"TERM": "dumb"}, False),
        ({"NO_COLOR": "1"}, False),
    ],
)
def test_a_terminal_has_colours_unless_the_environment_forbids_them(environ: dict[str, str], colours: bool) -> None:  # noqa: FBT001 - a row
    """NO_COLOR counts if it is not empty, as no-color.org has it; a dumb terminal shows escapes as text."""
    assert takes_colour(environ, terminal=True) is colours
    assert takes_colour(environ, terminal=False) is False


@pytest.mark.parametrize(("variable", "escapes"), [("TERM=dumb", 0), ("NO_COLOR=1", 0), ("TERM=xterm", 2)])
def test_check_prints_escapes_only_where_they_are_understood(variable: str, escapes: int) -> None:
    """`TERM=dumb rolewatch check` in a terminal prints no escape; in another terminal state and fault have a style."""
    ours, theirs = pty.openpty()
    environ = {**os.environ, "TERM": "xterm", **dict([variable.split("=")])}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "rolewatch", "check", "--endpoint", NOBODY], stdout=theirs, env=environ, check=False
        )
        printed = os.read(ours, 1 << 16)
    finally:
        os.close(ours)
        os.close(theirs)

    assert done.returncode == 3
    assert printed.count(b"\x1b[0m") == escapes, printed
