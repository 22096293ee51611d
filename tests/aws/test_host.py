"""The host's way to IMDS, read from recorded /proc files."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from rolewatch.aws.diagnose.host import Host, execute, inspect, proxies

ENDPOINT = "http://169.254.169.254"
ANY = "0.0.0.0"  # noqa: S104 - the default route
HEADER = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"


def number(address: str) -> str:
    """Return *address* as /proc/net/route has it: in the host's byte order."""
    return f"{struct.unpack('=L', bytes(int(part) for part in address.split('.')))[0]:08X}"


def route(interface: str, network: str, mask: str, *, flags: str = "0001", metric: int = 0) -> str:
    """Return a line of /proc/net/route."""
    return f"{interface}\t{number(network)}\t00000000\t{flags}\t0\t0\t{metric}\t{number(mask)}\t0\t0\t0\n"


DEFAULT = route("ens5", ANY, ANY, flags="0003", metric=512)
IMDS = route("ens5", "169.254.169.254", "255.255.255.255", flags="0005", metric=512)
PROHIBIT = route("*", "169.254.169.254", "255.255.255.255", flags="0205")


def tree(root: Path, files: dict[str, str]) -> Path:
    """Write *files* below *root*."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def no_ethtool(command: Sequence[str]) -> str | None:
    """Be an ethtool that fails."""
    assert command[1:] == ["-S", "ens5"]
    return None


def inspected(root: Path, endpoint: str = ENDPOINT, **files: str) -> Host:
    """Return what is found on a host with *files*."""
    return inspect(endpoint, {}, root=tree(root, files), run=no_ethtool)


def test_the_longest_route_wins(tmp_path: Path) -> None:
    """The default route leads elsewhere than IMDS's own."""
    routes = HEADER + route("docker0", ANY, ANY, flags="0003") + IMDS
    found = inspected(tmp_path, **{"proc/net/route": routes})

    assert found.interface == "ens5"
    assert not found.rejected


def test_the_lower_metric_wins(tmp_path: Path) -> None:
    """Of two default routes the kernel takes the cheaper one."""
    routes = HEADER + route("ens6", ANY, ANY, flags="0003", metric=600) + DEFAULT

    assert inspected(tmp_path, **{"proc/net/route": routes}).interface == "ens5"


def test_a_rejecting_route_is_seen(tmp_path: Path) -> None:
    """A prohibit route, as systemd-imdsd sets one."""
    found = inspected(tmp_path, **{"proc/net/route": HEADER + DEFAULT + PROHIBIT})

    assert found.rejected
    assert found.interface is None


@pytest.mark.parametrize("text", ["", HEADER, HEADER + "rubbish\n", HEADER + "ens5\tzz\tzz\tzz\t0\t0\t0\tzz\n"])
def test_what_cannot_be_read_is_not_known(tmp_path: Path, text: str) -> None:
    """No routes at all are not taken for no route."""
    found = inspected(tmp_path, **{"proc/net/route": text})

    assert (found.interface, found.rejected, found.routes_read) == (None, False, False)


def test_ipv6_routes_are_read(tmp_path: Path) -> None:
    """The IPv6 endpoint has a table of its own."""
    zeros = "0" * 32
    lines = (
        f"{zeros} 00 {zeros} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     ens5\n"
        f"{zeros} 00 {zeros} 00 {zeros} ffffffff 00000001 00000000 00200200       lo\n"
    )
    found = inspected(tmp_path, "http://[fd00:ec2::254]", **{"proc/net/ipv6_route": lines})

    assert found.interface == "ens5"


def test_loopback_needs_no_route(tmp_path: Path) -> None:
    """It is in the local table, which /proc does not show."""
    found = inspect("http://127.0.0.1:1338", {}, root=tmp_path, run=lambda _: None)

    assert (found.interface, found.routes_read) == ("lo", True)


def test_the_ena_counter_is_read(tmp_path: Path) -> None:
    """As ethtool -S prints it."""
    printed = "NIC statistics:\n     tx_timeout: 0\n     linklocal_allowance_exceeded: 42\n"
    found = inspect(ENDPOINT, {}, root=tree(tmp_path, {"proc/net/route": HEADER + IMDS}), run=lambda _: printed)

    assert found.allowance_exceeded == 42


def test_imdsd_and_its_option_are_seen(tmp_path: Path) -> None:
    """The binary, and its setting on the kernel's command line; the last one counts."""
    found = inspected(
        tmp_path,
        **{
            "usr/lib/systemd/systemd-imdsd": "",
            "proc/cmdline": "ro systemd.imds.network=unlocked systemd.imds.network=locked quiet\n",
        },
    )

    assert (found.imdsd, found.imdsd_network) == (True, "locked")


@pytest.mark.parametrize(
    ("tag", "expected"), [("i-0123456789abcdef0\n", "i-0123456789abcdef0"), ("Not Specified\n", None), ("", None)]
)
def test_nitro_gives_the_instance_id_without_imds(tmp_path: Path, tag: str, expected: str | None) -> None:
    """The fix can be filled in even where IMDS does not answer."""
    assert inspected(tmp_path, **{"sys/devices/virtual/dmi/id/board_asset_tag": tag}).instance_id == expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, ()),
        ({"http_proxy": "http://user:canary@proxy:3128"}, ("http_proxy",)),
        ({"HTTP_PROXY": "p", "ALL_PROXY": "p"}, ("HTTP_PROXY", "ALL_PROXY")),
        ({"https_proxy": "p"}, ()),
        ({"http_proxy": "p", "no_proxy": "localhost,169.254.169.254"}, ()),
        ({"http_proxy": "p", "NO_PROXY": "169.254.0.0/16"}, ()),
        ({"http_proxy": "p", "no_proxy": "*"}, ()),
        ({"http_proxy": "p", "no_proxy": "169.254.169.254:80"}, ()),
        ({"http_proxy": "p", "no_proxy": "example.org, ,169.254.1.1"}, ("http_proxy",)),
        ({"http_proxy": " "}, ()),
    ],
)
def test_proxies_are_named_and_not_shown(environ: dict[str, str], expected: Sequence[str]) -> None:
    """Only the variables' names: a value may contain a password."""
    assert proxies("169.254.169.254", environ) == tuple(expected)


def test_a_named_endpoint_is_taken_as_it_is(tmp_path: Path) -> None:
    """Nothing is resolved: that would be a packet."""
    assert inspect("http://imds.example", {}, root=tmp_path).routes_read is False


def test_a_command_that_fails_is_nothing() -> None:
    """Not found, failed: both give None."""
    assert execute(["/nonexistent/ethtool"]) is None
    assert execute(["/bin/false"]) is None
    assert execute(["/bin/echo", "x"]) == "x\n"
