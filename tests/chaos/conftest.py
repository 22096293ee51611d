"""The IMDS of the daemons that something befalls here."""

from __future__ import annotations

from typing import Iterator

import pytest
from harness import utc_now

from rolewatch.simulator import Simulator


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Run an IMDS in good health."""
    with Simulator(now=utc_now) as running:
        yield running
