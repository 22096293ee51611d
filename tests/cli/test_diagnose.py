"""`rolewatch diagnose` as a person types it: usage, settings, the table."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Callable

import pytest

from rolewatch import cli
from rolewatch.aws.checks import Outcome, Result, Status, failed, passed
from rolewatch.cli.results import show_results
from special_files import SPECIAL_FILES

ROWS = (
    Result("a.b", "IMDS gives a session token", passed("IMDS gave a session token (IMDSv2).")),
    Result("a.c", "It holds a role", failed("The instance profile [red]web[/red] holds no role. " * 4)),
    Result("a.d", "It is right", Outcome(Status.SKIPPED, "Not from here.", who="somebody else: rolewatch diagnose")),
    Result("a.e", "It is seen", Outcome(Status.UNKNOWN, "Not allowed.", permission="iam:GetRole")),
    Result("a.f", "It is seen again", Outcome(Status.UNKNOWN, "Not allowed.", permission="iam:GetRole")),
)


class Terminal(io.StringIO):
    """A terminal of which the size is not known."""

    def isatty(self) -> bool:
        """Say that it is one."""
        return True


@pytest.fixture(autouse=True)
def command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the command with the entry point."""
    monkeypatch.setitem(cli.COMMANDS, "diagnose", "say why the credentials are wrong, and what to do")


def run(*words: str) -> int:
    """Run the command and return its exit status."""
    try:
        return cli.main(["diagnose", *words])
    except SystemExit as stop:
        return int(stop.code or 0)


@pytest.mark.parametrize("kind", [kind for kind in SPECIAL_FILES if kind != "huge file"])
def test_output_that_is_no_file_is_refused_before_anybody_is_asked(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """/dev/stdout is a link, and /dev/null a device: a file in its place would break the host."""
    path = tmp_path / "evidence.json"
    SPECIAL_FILES[kind](path)
    before = path.lstat()

    assert run("--output", str(path), "--config", "/nonexistent/rolewatch.toml") == 64
    assert f"cannot be replaced: it is a {kind}, not a regular file. Name a file" in capsys.readouterr().err
    assert path.lstat().st_ino == before.st_ino


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["--instance-id", "web-1"], 64),
        (["--instance-id", "i-0123; rm -rf /"], 64),
        (["--nonsense"], 64),
        (["--endpoint", "http://203.0.113.1"], 64),
        (["--config", "/nonexistent/rolewatch.toml"], 78),
    ],
)
def test_a_callers_mistake_is_no_verdict(
    words: tuple[str, ...], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong usage is 64, wrong settings are 78; neither can be taken for 1, 2 or 3."""
    assert run(*words) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err


def test_a_pipe_gets_plain_aligned_rows() -> None:
    """No escape sequence; the notes are in one column."""
    out = io.StringIO()
    show_results(ROWS, out, {})
    printed = out.getvalue()

    assert "\x1b" not in printed
    lines = printed.splitlines()
    column = lines[0].index("IMDS gave")
    assert lines[1].startswith("  FAIL")
    assert lines[1][column:].startswith("The instance profile [red]web[/red]")
    assert lines[2][:column].strip() == ""
    assert "Missing permission: iam:GetRole." in printed
    assert "Likewise: It is seen again." in " ".join(printed.split())
    assert len([line for line in lines if line.startswith("  unknown")]) == 1
    assert "somebody else: rolewatch diagnose" in printed


def test_a_terminal_gets_colour_and_the_same_words() -> None:
    """What AWS said is not read as markup."""
    out = Terminal()
    show_results(ROWS, out, {})
    plain = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue()).split())

    assert "\x1b[" in out.getvalue()
    assert "[red]web[/red]" in plain
    assert "Missing permission: iam:GetRole." in plain


@pytest.mark.parametrize("out", [io.StringIO, Terminal], ids=["pipe", "terminal"])
def test_what_aws_said_cannot_command_the_terminal(out: Callable[[], io.StringIO]) -> None:
    """A note may quote an error message or a name from AWS: its control and invisible characters are escaped."""
    printed = out()
    hostile = "\x1b]0;owned\x07 \x9b2J \u202e"
    show_results([replace(ROWS[0], outcome=replace(ROWS[0].outcome, note=hostile, who=hostile))], printed, {})
    plain = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", printed.getvalue()).split())

    assert plain.count("\\x1b]0;owned\\x07 \\x9b2J \\u202e") == 2
    assert plain.isprintable()


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colour_where_none_is_wanted(environ: dict[str, str]) -> None:
    """NO_COLOR is kept (no-color.org), and so is a dumb terminal."""
    out = Terminal()
    show_results(ROWS, out, environ)

    assert "\x1b" not in out.getvalue()
