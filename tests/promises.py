"""What the daemon survives, as a table: a promise is a test that says so, and its figures are what the test measured.

A test is marked ``@promise(Area.…, "what happens", "what rolewatch does then")`` and hands its figures to the fixture
`measured`. ``make reliability`` runs them all and writes docs/reliability.md; there is no other list of promises.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from typing import Any, Callable, Protocol

import pytest

from forms import form_of

PAGE = Path(__file__).parents[1] / "docs" / "reliability.md"
_HEAD = """\
# What rolewatch survives

Each row is a test of the repository, and its figures are what the test measured when this page was written: the worst
of all its cases, and, where the test has one, its bound. `make reliability` runs them all, in the form of
minutes that CI runs, and writes the page anew; `make reliability FORM=--long` takes an hour: a month of polls instead
of a day, a year of the tracker's instead of a month, resets at each byte instead of some, half a minute of each flood.
A poll's deadline is 0.6 or 4 s in the first table, where it is 10 s as shipped; its bound is that and two seconds. The
bound of p99 is 25 ms, 100 with TLS, or thrice what it was on the machine before, whichever is most. What rolewatch
takes as packaged is in [performance.md](performance.md). What is not on the page was not tested.
"""


class Area(Enum):
    """The tables of the page, in their order."""

    IMDS = "IMDS gone mad"
    SCRAPERS = "Scrapers gone mad"
    SURROUNDINGS = "Faults in the surroundings"
    SECRETS = "Secrets"
    ENDURANCE = "Endurance"


def promise(area: Area, what: str, outcome: str) -> pytest.MarkDecorator:
    """Return the mark of a test that checks a promise: *what* may happen, and the *outcome* that rolewatch guarantees.

    Both are phrases without a full stop.
    """
    return pytest.mark.promise(area, what, outcome)


class Measured(Protocol):
    """Takes one figure of a test."""

    def __call__(self, name: str, value: float, unit: str, *, bound: float | None = None) -> None:
        """Note *value*; fail the test where it is beyond *bound*."""


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Measured:
    """Note figures for the page, each with the bound that the test checks."""

    def note(name: str, value: float, unit: str, *, bound: float | None = None) -> None:
        record_property("figure", (name, value, unit, bound))
        assert bound is None or value <= bound, f"{name}: {value:g} {unit}, and the bound is {bound:g} {unit}"

    return note


@dataclass
class Row:
    """One promise, and what came of its test."""

    area: Area
    what: str
    outcome: str
    test: str
    """Its file, ``::`` and its function."""
    passed: int = 0
    figures: dict[tuple[str, str], tuple[float, float | None]] = field(default_factory=dict)
    """By name and unit: the worst, and its bound. Where the bounds differ, what comes nearest to its own."""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Its row on the page, without the figures."""
        file, _, function = self.test.partition("::")
        sentence = function.removeprefix("test_").replace("_", " ")
        what, outcome = (text[:1].upper() + text[1:] for text in (self.what, self.outcome))
        return self.area.value, what, outcome, f"[{sentence}](../{file})"

    def __str__(self) -> str:
        """One row of the table."""
        _, what, outcome, link = self.key
        figures = "; ".join(_figure(name, unit, *worst) for (name, unit), worst in self.figures.items())
        cases = f"{self.passed} cases" if self.passed > 1 else ""
        return f"| {what} | {outcome} | {', '.join(filter(None, (cases, figures)))} | {link} |"


def _figure(name: str, unit: str, value: float, bound: float | None) -> str:
    most = "" if bound is None else f" (at most {_number(bound)})"
    return f"{name} {_number(value)} {unit}".rstrip() + most


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


class Page:
    """Gathers the promises from the reports of their tests, in whichever process these ran, and writes the page."""

    def __init__(self, path: Path | None, form: str = "long") -> None:
        """Write to *path* in the end, unless it is None, and say in which *form* the tests ran."""
        self._path = path
        self._form = form
        self._rows: dict[str, Row] = {}
        self._broken: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record the promise and the figures in the report of one test."""
        properties: list[tuple[str, Any]] = list(report.user_properties)
        found = [value for name, value in properties if name == "promise"]
        if not found:
            return
        if not report.passed:
            self._broken.append(report.nodeid)
        if report.when != "call":
            return
        for area, what, outcome in found:
            test = report.nodeid.partition("[")[0]
            row = self._rows.setdefault(f"{test} {what}", Row(Area(area), what, outcome, test))
            row.passed += 1
            for name, value, unit, bound in (value for kind, value in properties if kind == "figure"):
                worst = row.figures.get((name, unit))
                if worst is None or value / (bound or 1) > worst[0] / (worst[1] or 1):
                    row.figures[name, unit] = (value, bound)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Write the page, or say why not."""
        if self._path is None:
            return
        if self._broken or not self._rows:
            terminalreporter.write_line(f"{self._path} is not written: {len(self._broken)} promises are not held.")
            return
        self._path.write_text(page(list(self._rows.values()), self._form), encoding="utf-8")
        terminalreporter.write_line(f"{self._path} is written: {len(self._rows)} promises.")


def page(rows: list[Row], form: str) -> str:
    """Return the page of *rows*, in the order of the areas. *form*: in which the tests ran, ``long`` or ``short``."""
    today = f"{datetime.now(timezone.utc):%Y-%m-%d}"
    where = f"Python {platform.python_version()}, Linux {platform.release().partition('-')[0]}, {platform.machine()}"
    parts = [_HEAD, f"Written on {today}, in the {form} form: {where}.\n"]
    for area in Area:
        of_area = [row for row in rows if row.area is area]
        if of_area:
            head = "| what happens | outcome | measured | test |\n|---|---|---|---|"
            parts.append("\n".join([f"## {area.value}\n", head, *map(str, of_area), ""]))
    return "\n".join(parts)


def add_option(parser: pytest.Parser) -> None:
    """Add ``--reliability``."""
    parser.addoption("--reliability", metavar="FILE", type=Path, help="write the page of the promises to FILE")


def register_page(config: pytest.Config) -> None:
    """Collect the reports where they arrive: in the controller of xdist, not in a worker."""
    if not hasattr(config, "workerinput"):
        page = Page(config.getoption("--reliability"), form_of(config).value)
        config.pluginmanager.register(page, "promises-page")


def label(items: list[pytest.Item]) -> None:
    """Put the promises of each test into its report."""
    for item in items:
        for mark in reversed(list(item.iter_markers("promise"))):
            area, what, outcome = mark.args
            item.user_properties.append(("promise", (area.value, what, outcome)))
