"""Debian 11, the oldest systemd and Python: the whole life of a package."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vm.guests import Boot, Guest
from vm.machine import Machine
from vm.package_life import *  # noqa: F403 - its tests are this file's: a file is what one worker runs
from vm.package_life import USER_DATA, assert_is


@pytest.fixture(scope="module", name="guest")
def the_guest(boot: Boot) -> Iterator[Guest]:
    """Boot the machine."""
    with boot("bullseye", USER_DATA.encode()) as guest:
        yield guest


def test_it_is_the_machine_that_it_is_said_to_be(machine: Machine) -> None:
    """The systemd and the Python for which the suite stands."""
    assert_is(machine, "247", "3.9")
