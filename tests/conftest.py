"""What applies to every test: it cannot reach a real IMDS, and does not see the environment of the caller."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

import forms
import guard
import promises
from forms import form  # noqa: F401 - pytest finds fixtures here
from harness import utc_now
from promises import measured  # noqa: F401 - likewise
from rolewatch.simulator import Simulator
from stalls import pytest_runtest_protocol  # noqa: F401 - likewise

guard.scrub()
sys.addaudithook(guard.refuse_real_imds)

SLOW = 300
"""Seconds after which pytest-timeout ends a slow test."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--quick``, ``--long`` and ``--reliability``."""
    forms.add_options(parser)
    promises.add_option(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Set the examples of Hypothesis, and collect the promises."""
    forms.load_profile(config)
    promises.register_page(config)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give a slow test more time than pyproject.toml gives the others, unless the test sets its own limit."""
    if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
        item.add_marker(pytest.mark.timeout(SLOW))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the quick form does not run."""
    promises.label(items)
    forms.leave_out(config, items)


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Run a healthy IMDS on the machine's clock."""
    with Simulator(now=utc_now) as running:
        yield running
