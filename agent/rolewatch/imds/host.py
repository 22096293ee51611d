"""What this host knows of its way to IMDS, and of itself: the kernel's route and neighbour, and the firmware's names.

It asks the kernel by rtnetlink and reads its files. No packet is sent, no privilege is needed, and everything is total:
what cannot be read is not known.
"""

from __future__ import annotations

import errno
import fcntl
import ipaddress
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from rolewatch.authority import is_loopback
from rolewatch.aws_names import INSTANCE_ID
from rolewatch.observation import MAIN_TABLE, Failure, Route, RouteKind, Signs
from rolewatch.vocabulary import Reason

# linux/netlink.h, linux/rtnetlink.h, linux/neighbour.h
_HEADER = struct.Struct("=IHHII")
_ROUTE = struct.Struct("=BBBBBBBBI")
_NEIGHBOUR = struct.Struct("=BxxxiHBB")
_ATTRIBUTE = struct.Struct("=HH")
_REQUEST = 1
_ERROR = 2
_GET_ROUTE, _NEW_ROUTE = 26, 24
_GET_NEIGHBOUR, _NEW_NEIGHBOUR = 30, 28
_FIB_MATCH = 0x2000
"""RTM_F_FIB_MATCH: return the entry of the table that matched, with its prefix."""
_ETHERNET = 1
"""ARPHRD_ETHER. A tunnel (tun, WireGuard) has no hardware address, and 65534."""
_GET_HARDWARE = 0x8927
"""SIOCGIFHWADDR (netdevice(7)); any user may ask."""
_LOOK_UP_TABLE = 0x1000
"""RTM_F_LOOKUP_TABLE: return the table that has the route, and not always `main`."""
_DESTINATION, _INTERFACE, _GATEWAY, _TABLE, _VIA, _UID = 1, 4, 5, 15, 18, 25
"""RTA_VIA is a gateway of another family, such as an IPv6 router of an IPv4 route: two bytes of family come first."""
_LOCAL_TYPE = 2
_NEIGHBOUR_ADDRESS = 1
_NO_NEIGHBOUR = 0x01 | 0x20
"""NUD_INCOMPLETE and NUD_FAILED: nobody has answered for the address, yet or at all."""
_LARGEST = 8192
"""Bytes of an answer of the kernel; one about one route has some 150."""
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}

_REJECTING = {
    errno.ENETUNREACH: RouteKind.NONE,
    errno.EHOSTUNREACH: RouteKind.UNREACHABLE,
    errno.EACCES: RouteKind.PROHIBIT,
    errno.EINVAL: RouteKind.BLACKHOLE,
}
"""What the kernel answers about a route that rejects (measured with each kind on Linux 6.1)."""


def route_to(host: str, uid: int) -> Route | None:
    """Return the kernel's way to *host* for the user *uid*; None for a name, or if the kernel cannot be asked."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    family = _FAMILIES[address.version]
    size = address.max_prefixlen
    question = _attribute(_DESTINATION, address.packed) + _attribute(_UID, struct.pack("=I", uid))
    try:
        kind, payload = _ask(_GET_ROUTE, _ROUTE.pack(family, size, 0, 0, 0, 0, 0, 0, _LOOK_UP_TABLE) + question)
    except OSError as error:
        rejecting = _REJECTING.get(error.errno or 0)
        return None if rejecting is None else Route(rejecting, default_interface=default_interface(address.version))
    if kind != _NEW_ROUTE or len(payload) < _ROUTE.size:
        return None
    route_type = payload[7]
    found = dict(_attributes(payload[_ROUTE.size :]))
    index = _number(found.get(_INTERFACE))
    gateway = found.get(_GATEWAY) or found.get(_VIA, b"")[2:]
    interface = _name(index)
    table = _number(found.get(_TABLE)) or payload[4]
    usual = default_interface(address.version)
    aside = bool(usual and interface != usual and (gateway or not _is_ethernet(interface)))
    if aside and table == MAIN_TABLE:  # one of several next hops of the default route is no detour
        aside = not _is_default(_ROUTE.pack(family, size, 0, 0, 0, 0, 0, 0, _FIB_MATCH) + question)
    return Route(
        RouteKind.LOCAL if route_type == _LOCAL_TYPE else RouteKind.UNICAST,
        interface=interface,
        gateway=_text(gateway),
        table=table,
        no_neighbour=route_type != _LOCAL_TYPE and _has_no_neighbour(index, gateway or address.packed),
        is_aside=aside,
        default_interface=usual,
    )


def _is_default(question: bytes) -> bool:
    """Return whether the route that matches *question* is a default route."""
    try:
        kind, payload = _ask(_GET_ROUTE, question)
    except OSError:
        return False
    return kind == _NEW_ROUTE and len(payload) >= _ROUTE.size and payload[1] == 0


def _is_ethernet(interface: str) -> bool:
    """Return whether *interface* looks for its neighbours by their addresses; False for a tunnel."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as any_socket:
        try:
            answer = fcntl.ioctl(any_socket, _GET_HARDWARE, struct.pack("16s24x", interface.encode()))
        except OSError:
            return True
    return bool(struct.unpack_from("=H", answer, 16)[0] == _ETHERNET)


def with_route(failure: Failure, host: str, uid: int) -> Failure:
    """Return *failure* to connect to *host*, with the kernel's way there, and named by what that shows.

    An errno alone is ambiguous: EHOSTUNREACH comes from an `unreachable` route, from a next hop that does not answer
    and from a firewall's REJECT; a time-out of two seconds ends before the kernel's search for the next hop, which
    takes three (net.ipv4.neigh.*.mcast_solicit). Loopback is nobody's wrong address.
    """
    route = route_to(host, uid)
    if route is None or _is_loopback(host):
        return failure
    reason = _reason(failure.reason, route)
    if reason is Reason.NO_ROUTE and ":" not in host and lacks_ipv4():
        reason = Reason.NO_IPV4
    return replace(failure, reason=reason, route=route)


def _reason(reason: Reason, route: Route) -> Reason:
    if reason is Reason.PROHIBITED:
        return reason if route.kind is RouteKind.PROHIBIT else Reason.CONFINED
    if reason not in (Reason.REFUSED, Reason.NO_ROUTE, Reason.HOST_UNREACHABLE, Reason.CONNECT_TIMEOUT):
        return reason
    if route.kind is RouteKind.LOCAL:
        return Reason.LOCAL_ADDRESS
    if reason is Reason.REFUSED or route.kind is not RouteKind.UNICAST:
        return reason
    if route.no_neighbour or route.is_aside:
        return Reason.WRONG_ROUTE
    return reason if reason is Reason.CONNECT_TIMEOUT else Reason.REJECTED


def _has_no_neighbour(index: int, address: bytes) -> bool:
    family = socket.AF_INET if len(address) == 4 else socket.AF_INET6  # noqa: PLR2004 - an IPv4 address
    body = _NEIGHBOUR.pack(family, index, 0, 0, 0) + _attribute(_NEIGHBOUR_ADDRESS, address)
    try:
        kind, payload = _ask(_GET_NEIGHBOUR, body)
    except OSError:  # the kernel has no entry: nothing was sent there lately
        return False
    if kind != _NEW_NEIGHBOUR or len(payload) < _NEIGHBOUR.size:
        return False
    return bool(_NEIGHBOUR.unpack_from(payload)[2] & _NO_NEIGHBOUR)


def _ask(kind: int, body: bytes) -> tuple[int, bytes]:
    """Send one request to the kernel, and return the type and the payload of its answer.

    Raise `OSError` with the kernel's errno if it refuses, or if there is no netlink.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as kernel:  # 0: NETLINK_ROUTE
        kernel.settimeout(1.0)
        kernel.sendto(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST, 1, 0) + body, (0, 0))
        answer, sender = kernel.recvfrom(_LARGEST)
    if sender[0] != 0 or len(answer) < _HEADER.size:
        raise OSError(errno.EPROTO, os.strerror(errno.EPROTO))
    length, answered, _, _, _ = _HEADER.unpack_from(answer)
    payload = answer[_HEADER.size : length]
    if answered == _ERROR:
        number = -struct.unpack_from("=i", payload)[0] if len(payload) >= 4 else errno.EPROTO  # noqa: PLR2004 - an int
        raise OSError(number, os.strerror(number))
    return answered, payload


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the attributes of an answer; a broken one ends them."""
    start = 0
    while start + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, start)
        if length < _ATTRIBUTE.size:
            return
        yield kind, data[start + _ATTRIBUTE.size : start + length]
        start += length + -length % 4


def _number(value: bytes | None) -> int:
    return int(struct.unpack("=I", value)[0]) if value is not None and len(value) == 4 else 0  # noqa: PLR2004 - an int


def _text(packed: bytes) -> str:
    return str(ipaddress.ip_address(packed)) if len(packed) in (4, 16) else ""


def _name(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except (OSError, OverflowError):
        return ""


_UP_AND_NOT_REJECTING = 0x0001
_REJECTS = 0x0200


def default_interface(version: int, root: Path = Path("/")) -> str:
    """Return the interface of the main table's default route of IP *version*; empty if there is none.

    From ``/proc/self/net/route`` or ``ipv6_route`` below *root*. Of several, the one with the least metric.
    """
    best: tuple[int, str] | None = None
    is_ipv4 = version == 4  # noqa: PLR2004 - IPv4
    for line in kernel_text(root / "proc/self/net" / ("route" if is_ipv4 else "ipv6_route")).splitlines():
        fields = line.split()
        try:
            if is_ipv4:
                whole = int(fields[1], 16) == 0 and int(fields[7], 16) == 0
                metric, flags, name = int(fields[6]), int(fields[3], 16), fields[0]
            else:
                whole = int(fields[0], 16) == 0 and int(fields[1], 16) == 0
                metric, flags, name = int(fields[5], 16), int(fields[8], 16), fields[9]
        except (ValueError, IndexError):
            continue
        if whole and flags & _UP_AND_NOT_REJECTING and not flags & _REJECTS and (best is None or metric < best[0]):
            best = (metric, name)
    return best[1] if best else ""


def lacks_ipv4(root: Path = Path("/")) -> bool:
    """Return whether the network of this host has IPv6 only: the interface of its default route has no IPv4 route."""
    interface = default_interface(6, root)
    lines = kernel_text(root / "proc/self/net/route").splitlines()
    return bool(interface) and not any(line.split()[:1] == [interface] for line in lines)


_DMI = "sys/devices/virtual/dmi/id/"


def dmi_instance_id(root: Path = Path("/")) -> str | None:
    """Return the instance id that the firmware has; None if it has none, as on Xen and outside EC2.

    Nitro has it as the board's asset tag (EC2 user guide, "Identify EC2 Linux instances", 2026). Any user may read it.
    """
    tag = kernel_text(root / _DMI / "board_asset_tag").strip()
    return tag if INSTANCE_ID.fullmatch(tag) else None


def host_of_url(endpoint: str) -> str:
    """Return the host in the URL *endpoint*; empty if there is none."""
    try:
        return urlsplit(endpoint).hostname or ""
    except ValueError:
        return ""


def instance_id_for(host: str) -> str | None:
    """Return the instance id that the IMDS at *host* must name: the firmware's, unless it is on loopback.

    None if that is not known.
    """
    return None if _is_loopback(host) else dmi_instance_id()


def signs_of(host: str, *, has_identity: bool) -> Signs:
    """Return what shows whether this instance's IMDS answers at *host*."""
    route = None if _is_loopback(host) else route_to(host, os.getuid())
    return Signs(
        firmware_id=instance_id_for(host),
        is_local_address=route is not None and route.kind is RouteKind.LOCAL,
        has_identity=has_identity,
    )


def interface_to(host: str, uid: int) -> str:
    """Return the interface by which the kernel sends to *host* for user *uid*; empty for loopback, or if unknown."""
    route = None if _is_loopback(host) else route_to(host, uid)
    return route.interface if route is not None else ""


def _is_loopback(host: str) -> bool:
    return host == "localhost" or is_loopback(host)


def vendor(root: Path = Path("/")) -> str:
    """Return the vendor of this machine, as the firmware has it: ``Amazon EC2``, ``Xen``, …; empty if it has none."""
    return kernel_text(root / _DMI / "sys_vendor").strip()[:64]


def kernel_text(path: Path) -> str:
    """Return the text of *path*, a file of the kernel; empty if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
