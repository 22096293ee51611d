"""SECURITY.md claims nothing that is not held: each test and each line of a unit that it names is there."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
LINKS = re.findall(r"\[`([^`]+)`\]\(([^)]+)\)", PAGE)
TESTS = [(name, path) for name, path in LINKS if name.startswith("test_")]
LINES = [(line, path) for line, path in LINKS if path.startswith("systemd/")]


@pytest.mark.parametrize(("name", "path"), TESTS)
def test_a_test_that_is_named_exists(name: str, path: str) -> None:
    """A test that is renamed is renamed on the page, too."""
    found = re.search(rf"^def {name}\(", (ROOT / path).read_text(encoding="utf-8"), flags=re.MULTILINE)

    assert found, f"SECURITY.md names {name}, which is not in {path}"


@pytest.mark.parametrize(("line", "path"), LINES)
def test_every_named_line_of_a_unit_exists(line: str, path: str) -> None:
    """Who loosens the unit, says so."""
    assert line in (ROOT / path).read_text(encoding="utf-8").splitlines()


def test_nothing_is_named_otherwise() -> None:
    """Every test in the text is a link, and every other link leads to a file."""
    assert len(TESTS) == len(re.findall(r"`test_\w+`", PAGE)) > 20
    assert len(LINES) > 10
    assert [path for path in re.findall(r"\]\(([^)]+)\)", PAGE) if not (ROOT / path).exists()] == []


def test_no_row_appears_twice() -> None:
    """One row for each attack: two rows about one attack would come to differ."""
    rows = [line.split(" | ")[0] for line in PAGE.splitlines() if line.startswith("| ")]

    assert sorted(row for row, count in Counter(rows).items() if count > 1 and row != "| tries to") == []
