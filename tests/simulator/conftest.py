"""A simulator with a clock that the test moves, and a client of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rolewatch.simulator import Simulator
from simulator.client import Client, Clock


@pytest.fixture
def clock() -> Clock:
    """Return a clock that shows noon."""
    return Clock()


@pytest.fixture
def simulator(clock: Clock) -> Iterator[Simulator]:
    """Run a simulator with a control port, in the scenario `healthy`."""
    with Simulator(now=clock, control_port=0) as running:
        yield running


@pytest.fixture
def client(simulator: Simulator) -> Client:
    """Return a client that has a token."""
    made = Client(simulator.endpoint)
    made.renew()
    return made
