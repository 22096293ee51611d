"""The manual pages, as man(1) and mandoc(1) read them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from rolewatch import cli
from rolewatch.cli import signals
from rolewatch.config.keys import KEYS
from rolewatch.faults import FAULTS

ROOT = Path(__file__).resolve().parents[2]
COMMANDS, SETTINGS = ROOT / "packaging/man/rolewatch.8", ROOT / "packaging/man/rolewatch.toml.5"
PAGES = (COMMANDS, SETTINGS)
needs_man = pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed (man-db)")
needs_mandoc = pytest.mark.skipif(shutil.which("mandoc") is None, reason="mandoc is not installed")
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)


def formatted(page: Path) -> subprocess.CompletedProcess[str]:
    """Let man(1) format *page*, as for a terminal of 80 columns. Warnings are on standard error."""
    return subprocess.run(
        ["man", "--warnings", "--local-file", str(page)],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "MANWIDTH": "80", "LC_ALL": "C.UTF-8"},
    )


def shown(page: Path) -> str:
    """Return what a reader of *page* sees."""
    return formatted(page).stdout


@needs_man
@each_page
def test_man_has_nothing_to_complain_of(page: Path) -> None:
    """No warning of the formatter, and no line that is too wide for a terminal but a URL."""
    done = formatted(page)
    wide = [line for line in done.stdout.splitlines() if len(line) > 80 and "https://" not in line]

    assert (done.returncode, done.stderr, wide) == (0, "", [])


@needs_man
def test_a_mistake_in_a_page_is_reported(tmp_path: Path) -> None:
    """The check reads every page."""
    page = tmp_path / "broken.8"
    page.write_text(COMMANDS.read_text(encoding="utf-8") + ".nonsense\n", encoding="utf-8")

    assert "nonsense" in formatted(page).stderr


@needs_mandoc
@each_page
def test_mandoc_has_nothing_to_complain_of(page: Path) -> None:
    """The other reader of manual pages. There is no date, which would change at each build."""
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", str(page)], capture_output=True, text=True, check=False
    )

    assert [line for line in done.stdout.splitlines() if "missing date" not in line] == []


@needs_man
@pytest.mark.parametrize(
    ("page", "sections"),
    [
        (
            COMMANDS,
            (
                "NAME, SYNOPSIS, DESCRIPTION, COMMANDS, FAULTS, CONFIRMATION, EXIT STATUS, SIGNALS, ENVIRONMENT, "
                "FILES, EXAMPLES, SEE ALSO"
            ),
        ),
        (SETTINGS, "NAME, SYNOPSIS, DESCRIPTION, SETTINGS, ENVIRONMENT, EXAMPLES, SEE ALSO"),
    ],
    ids=["rolewatch.8", "rolewatch.toml.5"],
)
def test_a_page_has_the_sections_that_a_reader_looks_for(page: Path, sections: str) -> None:
    """In the order of man-pages(7)."""
    assert re.findall(r"^([A-Z][A-Z ]+)$", shown(page), re.MULTILINE) == sections.split(", ")


@needs_man
def test_every_command_and_every_option_is_in_the_page() -> None:
    """What `--help` of each command lists."""
    command_line = pytest.importorskip("command_line")
    page = shown(COMMANDS)
    parts = dict(re.findall(r"^   (rolewatch [a-z -]+)\n(.*?)(?=^   rolewatch|^[A-Z])", page, re.MULTILINE | re.DOTALL))

    assert list(parts) == [each.name for each in command_line.commands()]
    for each in command_line.commands():
        for option in each.options:
            assert option.option_strings[0] in parts[each.name]


@needs_man
def test_every_exit_status_is_in_the_page() -> None:
    """The verdicts, and what sysexits.h calls them."""
    part = shown(COMMANDS).partition("EXIT STATUS\n")[2].partition("SIGNALS\n")[0]
    used = {0, 1, 2, 3, cli.EX_USAGE, cli.EX_UNAVAILABLE, cli.EX_IOERR, cli.EX_CONFIG, cli.EX_INTERRUPTED}

    assert {int(number) for number in re.findall(r"^       (\d+) ", part, re.MULTILINE)} == used


@needs_man
def test_every_signal_is_in_the_page() -> None:
    """Those that the daemon waits for."""
    part = shown(COMMANDS).partition("SIGNALS\n")[2].partition("ENVIRONMENT\n")[0]

    assert set(re.findall(r"SIG[A-Z0-9]+", part)) == {number.name for number in signals.MEANING}


@needs_man
def test_every_fault_and_every_setting_is_in_its_page() -> None:
    """By the names that people search for."""
    assert [
        fault.value for fault in FAULTS if not re.search(rf"^ +{fault.value}$", shown(COMMANDS), re.MULTILINE)
    ] == []
    assert [key.variable for key in KEYS.values() if key.variable not in shown(SETTINGS)] == []


@needs_man
@each_page
def test_whatis_finds_a_page(page: Path) -> None:
    """The NAME section is what apropos(1) reads."""
    if shutil.which("lexgrog") is None:
        pytest.skip("lexgrog is not installed (man-db)")
    done = subprocess.run(["lexgrog", str(page)], capture_output=True, text=True, check=False)

    assert re.search(rf'"{re.escape(page.stem)} - \w', done.stdout), done.stdout
