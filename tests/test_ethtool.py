"""Counters of network drivers: read from the kernel of this machine, and found among recorded names."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from field.bed import Namespace
from rolewatch.imds.ethtool import DriverCounter, place_of
from skips import cannot

ENA = (b"tx_timeout", b"suspend", b"bw_in_allowance_exceeded", b"linklocal_allowance_exceeded", b"queue_0_tx_cnt")
READ = """
import os
from rolewatch.imds.ethtool import DriverCounter
os.setgroups([]); os.setgid(65534); os.setuid(65534)
counter = DriverCounter("peer_ifindex")
print(counter.read("veth0"), counter.read("veth0"), DriverCounter("linklocal_allowance_exceeded").read("veth0"))
"""


@pytest.mark.parametrize(
    ("name", "place"), [("tx_timeout", 0), ("linklocal_allowance_exceeded", 3), ("linklocal", None)]
)
def test_a_counter_is_found_by_its_name(name: str, place: int | None) -> None:
    """Each name has 32 bytes, as struct ethtool_gstrings has them."""
    assert place_of(name.encode(), b"".join(each.ljust(32, b"\0") for each in ENA)) == place


@pytest.mark.parametrize("interface", ["lo", "nosuch", "a-name-that-is-too-long", ""])
def test_an_interface_without_the_counter_has_none(interface: str) -> None:
    """Loopback has no counters, and other interfaces may vanish."""
    assert DriverCounter("linklocal_allowance_exceeded").read(interface) is None


def test_the_kernel_gives_the_counter_to_any_user() -> None:
    """The driver of veth has a counter with the number of its peer."""
    try:
        with Namespace("ip link add veth1 index 500 type veth peer name veth0") as namespace:
            done = namespace.run(
                sys.executable, "-c", READ, environ={"PYTHONPATH": str(Path(__file__).parents[1] / "agent")}
            )
    except OSError as error:
        cannot(f"no network namespace can be made here: {error}")

    assert done.stdout == "500 500 None\n", done.stderr
