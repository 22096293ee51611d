"""Debian 13, the newest systemd and Python: the whole life of a package, and of the RPM."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from vm.guests import Boot, Guest, previous
from vm.machine import Machine
from vm.package_life import *  # noqa: F403 - its tests are this file's: a file is what one worker runs
from vm.package_life import USER_DATA, assert_is, break_and_mend, gone
from vm.views import await_verdict


@pytest.fixture(scope="module", name="guest")
def the_guest(boot: Boot) -> Iterator[Guest]:
    """Boot the machine."""
    with boot("trixie", USER_DATA.encode()) as guest:
        yield guest


def test_it_is_the_machine_that_it_is_said_to_be(machine: Machine) -> None:
    """The systemd and the Python for which the suite stands."""
    assert_is(machine, "257", "3.13")


def test_the_rpm_does_the_same(guest: Guest, machine: Machine, rpm: Path) -> None:
    """Debian's own rpm, whose database is empty: scriptlets, preset, units, upgrade and removal for real."""
    machine.copy(rpm, "/root/rolewatch.rpm")
    machine.run("rpm --install --nodeps /root/rolewatch.rpm", timeout=300)
    listed = machine.run("systemctl is-enabled rolewatch.service").out.strip()
    machine.run("systemctl start rolewatch.service")
    break_and_mend(guest)
    machine.run("rpm --upgrade --force --nodeps /root/rolewatch.rpm", timeout=300)
    upgraded = machine.run("systemctl is-active rolewatch.service").out.strip()
    await_verdict(machine, "ok", set())
    machine.run("rpm --erase rolewatch", timeout=300)
    left = machine.run("systemctl is-active rolewatch.service", check=False).out.strip()

    assert (listed, upgraded, left) == ("enabled", "active", "inactive")
    assert gone(machine, "/usr/lib/rolewatch", "/usr/bin/rolewatch") == ["/usr/lib/rolewatch", "/usr/bin/rolewatch"]
    assert machine.get("/metrics") is None


def test_this_package_is_kept_for_the_next_upgrade(deb: Path) -> None:
    """The last test: what passed here is what the next run upgrades from."""
    kept = previous()
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(deb, kept)

    assert kept.read_bytes() == deb.read_bytes()
