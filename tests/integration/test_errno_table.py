"""The errno table, for real: what the kernel says about IMDS's address behind each kind of wall.

Each row is made in a network namespace of its own, which is empty but for what the row puts there: no packet can leave
it, and so the well-known address may be asked. Needs root, `unshare` and `ip`.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from confined import NOT_PERMITTED
from skips import cannot

AGENT = Path(__file__).resolve().parents[2] / "agent"
ADDRESS = "169.254.169.254"
LOOPBACK = "ip link set lo up"
ASK = """
import json, sys, time
from rolewatch.imds.client import Client
from rolewatch.imds import Questions, observe
from rolewatch.settings import ExpectSettings, ImdsSettings
settings = ImdsSettings(timeout=float(sys.argv[2]), deadline=8.0)
client = Client(sys.argv[1], settings, monotonic=time.monotonic)
print(json.dumps(dict(observe(client, ExpectSettings(), Questions()).failure.evidence)))
"""

WIRE = "ip link add wall type veth peer name gap && ip link set wall up && ip link set gap up"
"""A cable whose other end takes packets and throws them away: no host there has the address."""
NEIGHBOUR = f"ip neigh replace {ADDRESS} lladdr 02:00:00:00:00:01 dev wall nud permanent"


@dataclass(frozen=True)
class Row:
    """One wall, and what the client makes of it."""

    wall: str
    """The shell command that builds it."""
    reason: str
    errno: int | None
    timeout: float = 0.5
    needs: str = "ip"
    """The program without which there is no such wall."""
    endpoint: str = f"http://{ADDRESS}"
    way: str = ""
    """The kernel's way to IMDS in the evidence: interface, gateway and table, without those that it has not."""


LISTENERLESS = f"ip addr add {ADDRESS}/32 dev lo"
DROPPED = f"{WIRE} && ip addr add 192.0.2.1/24 dev wall && ip route add {ADDRESS} dev wall && {NEIGHBOUR}"
HOST = f"""{LOOPBACK} \\
 && ip link add eth0 type veth peer name gap && ip link set eth0 up && ip link set gap up \\
 && ip link add tun0 type veth peer name far && ip link set tun0 up && ip link set far up \\
 && ip addr add 10.0.0.10/24 dev eth0 && ip addr add 10.8.0.2/24 dev tun0 \\
 && ip route add default via 10.0.0.1 \\
 && ip neigh replace 10.0.0.1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent \\
 && ip neigh replace 10.8.0.1 lladdr 02:00:00:00:00:02 dev tun0 nud permanent"""
"""An instance with its gateway, and a tunnel with its far end. Both take packets and answer none."""
CHAIN = "nft add table t && nft add chain t o '{ type filter hook output priority 0; }'"
FILTER = f"{CHAIN} && nft add rule t o ip daddr {ADDRESS} meta skuid 0"
"""By user, as in AWS's own example for iptables (EC2 user guide, limit access to IMDS, 2026)."""
ROWS = {
    "no-route": Row(LOOPBACK, "no_route", 101),
    "no-network-at-all": Row("ip link set lo down", "no_route", 101),
    "prohibit-route": Row(f"ip route add prohibit {ADDRESS}", "prohibited", 13),
    "unreachable-route": Row(f"ip route add unreachable {ADDRESS}", "host_unreachable", 113),
    "blackhole-route": Row(f"ip route add blackhole {ADDRESS}", "blackhole", 22),
    "nothing-listens": Row(LISTENERLESS, "local_address", 111, way="lo"),
    "own-address-behind-a-firewall": Row(
        f"{LISTENERLESS} && {CHAIN} && nft add rule t o ip daddr {ADDRESS} drop",
        "local_address",
        None,
        needs="nft",
        way="lo",
    ),
    "dropped": Row(DROPPED, "connect_timeout", None, way="wall"),
    "dropped-until-the-kernel-gives-up": Row(
        f"{DROPPED} && echo 1 > /proc/sys/net/ipv4/tcp_syn_retries", "connect_timeout", 110, timeout=7.0, way="wall"
    ),
    "no-neighbour": Row(
        f"{WIRE} && ip addr add 169.254.0.1/16 dev wall && echo 1 > /proc/sys/net/ipv4/neigh/wall/mcast_solicit",
        "wrong_route",
        113,
        timeout=7.0,
        way="wall",
    ),
    "nft-reject": Row(f"{DROPPED} && {FILTER} reject", "refused", 111, needs="nft", way="wall"),
    "nft-reject-with-reset": Row(
        f"{DROPPED} && {FILTER} tcp dport 80 reject with tcp reset", "refused", 111, needs="nft", way="wall"
    ),
    "nft-reject-as-prohibited": Row(
        f"{DROPPED} && {FILTER} reject with icmp type admin-prohibited", "rejected", 113, needs="nft", way="wall"
    ),
    "nft-drop": Row(f"{DROPPED} && {FILTER} drop", "connect_timeout", None, needs="nft", way="wall"),
    "policy-of-a-chain": Row(
        f"{DROPPED} && nft add table t && nft add chain t i '{{ type filter hook input priority 0; policy drop; }}'",
        "connect_timeout",
        None,
        needs="nft",
        way="wall",
    ),
    "gateway-of-another-subnet": Row(
        f"{HOST} && ip route add {ADDRESS} via 10.0.0.99", "wrong_route", None, way="eth0 10.0.0.99"
    ),
    "bridge-on-the-link-local-network": Row(
        f"{HOST} && ip addr add 169.254.0.1/16 dev tun0", "wrong_route", None, way="tun0"
    ),
    "full-tunnel": Row(
        f"{HOST} && ip route add 0.0.0.0/1 via 10.8.0.1 && ip route add 128.0.0.0/1 via 10.8.0.1",
        "wrong_route",
        None,
        way="tun0 10.8.0.1",
    ),
    "policy-routing": Row(
        f"{HOST} && ip route add default via 10.8.0.1 table 52 && ip rule add pref 5270 table 52",
        "wrong_route",
        None,
        way="tun0 10.8.0.1 52",
    ),
    "policy-routing-of-this-user": Row(
        f"{HOST} && ip route add default via 10.8.0.1 table 52 && ip rule add pref 5270 uidrange 0-0 table 52",
        "wrong_route",
        None,
        way="tun0 10.8.0.1 52",
    ),
    "exception-to-a-tunnel-behind-a-firewall": Row(
        f"{HOST} && ip route replace default via 10.8.0.1 && ip route add {ADDRESS} dev eth0"
        f" && ip neigh replace {ADDRESS} lladdr 02:00:00:00:00:03 dev eth0 nud permanent",
        "connect_timeout",
        None,
        way="eth0",
    ),
    "two-default-gateways-behind-a-firewall": Row(
        f"{HOST} && ip route replace default nexthop via 10.0.0.1 weight 1 nexthop via 10.8.0.1 weight 255",
        "connect_timeout",
        None,
        way="tun0 10.8.0.1",
    ),
    "dropped-on-the-usual-way": Row(HOST, "connect_timeout", None, way="eth0 10.0.0.1"),
    "no-free-port": Row(
        f"{HOST} && echo '40000 40000' > /proc/sys/net/ipv4/ip_local_port_range &&"
        f' {sys.executable} -c \'import socket, time; s = socket.socket(); s.bind(("10.0.0.10", 40000)); s.listen();'
        " time.sleep(9)' & sleep 0.5",
        "no_free_port",
        99,
        way="eth0 10.0.0.1",
    ),
    "ipv6-no-route": Row(LOOPBACK, "no_route", 101, endpoint="http://[fd00:ec2::254]"),
    "ipv6-prohibit-route": Row(
        "ip -6 route add prohibit fd00:ec2::254 dev lo", "prohibited", 13, endpoint="http://[fd00:ec2::254]"
    ),
}


def in_a_namespace(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the shell *command* in an empty network namespace of its own. *arguments* are its ``$@``."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(AGENT), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        ["unshare", "--net", "sh", "-c", f"{LOOPBACK} 2>&1 || true\n{command}", "sh", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env=environment,
    )


@pytest.fixture(scope="module", autouse=True)
def _namespaces() -> None:
    """Skip, and say why, where no network namespace can be made."""
    missing = [program for program in ("unshare", "ip") if shutil.which(program) is None]
    if missing:
        cannot(f"no {' and no '.join(missing)} here")
    tried = in_a_namespace("true")
    if tried.returncode:
        cannot(f"no network namespace can be made here: {tried.stderr.strip()}")


@pytest.mark.parametrize("row", [pytest.param(row, id=name) for name, row in ROWS.items()])
def test_the_kernel_says_what_the_table_says(row: Row) -> None:
    """Each wall around IMDS has its reason and its errno, as the evidence of a poll."""
    if shutil.which(row.needs) is None:
        cannot(f"no {row.needs} here")
    built = in_a_namespace(row.wall)
    if built.returncode:
        cannot(f"this kernel cannot build that wall: {built.stderr.strip()}")

    done = in_a_namespace(f'{row.wall} && exec "$@"', sys.executable, "-c", ASK, row.endpoint, str(row.timeout))

    interface, gateway, table = (*row.way.split(), None, None, None)[:3]
    expected: dict[str, object] = {
        "phase": "connect",
        "reason": row.reason,
        "document": "api/token",
        **({"route_interface": interface} if interface else {}),
        **({"route_gateway": gateway} if gateway else {}),
        **({"route_table": int(table)} if table else {}),
    }
    assert done.stderr == ""
    assert json.loads(done.stdout) == {**expected, **({} if row.errno is None else {"errno": row.errno})}


@pytest.mark.skipif(platform.machine() not in {"x86_64", "aarch64"}, reason="the number of connect is not known here")
def test_a_connect_that_is_not_permitted_is_filtered() -> None:
    """EPERM, as from the service manager's system call filter or a control group's BPF program."""
    done = in_a_namespace('exec "$@"', sys.executable, "-c", NOT_PERMITTED + ASK, f"http://{ADDRESS}", "0.5")

    assert done.stderr == ""
    assert json.loads(done.stdout) == {"phase": "connect", "reason": "filtered", "errno": 1, "document": "api/token"}
