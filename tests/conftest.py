"""What holds for every test: nothing reaches a real IMDS, and nothing of the caller's environment gets in."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import hypothesis
import pytest
from harness import utc_now

import guard
from promises import (  # noqa: F401 - pytest finds hooks and fixtures here
    long,
    measured,
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_configure,
)
from rolewatch.simulator import Simulator
from stalls import pytest_runtest_protocol  # noqa: F401 - likewise

guard.scrub()
sys.addaudithook(guard.refuse_real_imds)

SLOW = 300
"""Seconds until a slow test that hangs names itself."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give a slow test more time than pyproject.toml gives each, unless it says how much it needs."""
    if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
        item.add_marker(pytest.mark.timeout(SLOW))


# A shared machine is slow at times: a time limit on one example says nothing about the code.
hypothesis.settings.register_profile("rolewatch", deadline=None, print_blob=True)
hypothesis.settings.load_profile("rolewatch")


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Run an IMDS in good health, on the machine's clock."""
    with Simulator(now=utc_now) as running:
        yield running
