"""The page of the promises lists each of them, and no other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest

from promises import PAGE, Area, Measured, Page, Row, promise

ROOT = Path(__file__).parents[1]


def report(
    name: str, *properties: tuple[str, object], outcome: Literal["passed", "failed"] = "passed"
) -> pytest.TestReport:
    """Return what pytest reports of the call of *name*."""
    return pytest.TestReport(
        name,
        ("", 0, name),
        {},
        outcome,
        None,
        "call",
        user_properties=list(properties),
    )


PROMISED = ("promise", (Area.IMDS.value, "it rains", "it stays dry"))


class Terminal:
    """What a page writes of itself."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.lines: list[str] = []

    def write_line(self, line: str) -> None:
        """Take *line*."""
        self.lines.append(line)


def test_the_page_has_the_worst_figure_of_all_cases(tmp_path: Path) -> None:
    """A reader wants to know what to expect at the most."""
    page, path = Page(tmp_path / "page.md"), tmp_path / "page.md"
    for case, value in (("a", 1.0), ("b", 3.0), ("c", 2.0)):
        page.pytest_runtest_logreport(
            report(f"tests/test_x.py::test_rain[{case}]", PROMISED, ("figure", ("wait", value, "s", 10.0)))
        )
    page.pytest_terminal_summary(Terminal())  # type: ignore[arg-type]

    assert (
        "| It rains | It stays dry | 3 cases, wait 3 s (at most 10) | [rain](../tests/test_x.py) |" in path.read_text()
    )


def test_the_page_has_each_figure_with_the_bound_of_its_own_case(tmp_path: Path) -> None:
    """Where the bounds differ, what comes nearest to its own is the worst."""
    page, path = Page(tmp_path / "page.md"), tmp_path / "page.md"
    for case, value, bound in (("a", 180.0, 210.0), ("b", 20.0, 100.0)):
        page.pytest_runtest_logreport(
            report(f"tests/test_x.py::test_rain[{case}]", PROMISED, ("figure", ("p99", value, "ms", bound)))
        )
    page.pytest_terminal_summary(Terminal())  # type: ignore[arg-type]

    assert "p99 180 ms (at most 210)" in path.read_text()


def test_the_page_is_not_written_where_a_promise_is_broken(tmp_path: Path) -> None:
    """A page of promises that are not kept is worse than an old one."""
    page, terminal = Page(tmp_path / "page.md"), Terminal()
    page.pytest_runtest_logreport(report("tests/test_x.py::test_rain", PROMISED))
    page.pytest_runtest_logreport(report("tests/test_x.py::test_snow", PROMISED, outcome="failed"))
    page.pytest_terminal_summary(terminal)  # type: ignore[arg-type]

    assert not (tmp_path / "page.md").exists()
    assert "1 promises are not held" in terminal.lines[0]


@pytest.mark.parametrize("value", [1.0, pytest.param(2.0, marks=pytest.mark.xfail(raises=AssertionError))])
def test_a_figure_beyond_its_bound_fails_the_test(value: float, measured: Measured) -> None:
    """A bound on the page is one that a test checks."""
    measured("size", value, "m", bound=1.5)


_COLLECT = """
import json, pytest, sys
class Collected:
    def pytest_collection_finish(self, session):
        rows = {(item.nodeid.partition("[")[0], *value)
                for item in session.items for name, value in item.user_properties if name == "promise"}
        with open(sys.argv[1], "w") as file:
            json.dump(sorted(rows), file)
pytest.main(["--collect-only", "-qq", "-m", "promise", "-p", "no:xdist", *sys.argv[2:]], plugins=[Collected()])
"""


def test_the_page_lists_every_promise_of_the_tests(tmp_path: Path) -> None:
    """A change to a promise requires a new page: ``make reliability``."""
    pytest.importorskip("moto", reason="some of the tests need it, and are not found without it")
    files = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        if f"@{promise.__name__}(" in path.read_text(encoding="utf-8")
    ]
    collected = tmp_path / "collected.json"
    subprocess.run(
        [sys.executable, "-c", _COLLECT, str(collected), *files],
        cwd=ROOT,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    rows = [Row(Area(area), what, outcome, test) for test, area, what, outcome in json.loads(collected.read_text())]
    table = [line.strip("| ").split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines()]
    listed = {(cells[0], cells[1], cells[-1]) for cells in table if len(cells) == 4 and cells[-1].startswith("[")}

    assert rows
    assert listed == {row.key[1:] for row in rows}, "write docs/reliability.md anew: make reliability"
