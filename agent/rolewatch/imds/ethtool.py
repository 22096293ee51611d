"""Read a counter of a network interface's driver, as `ethtool -S` does: by ioctl, which any user may call.

Netlink has no counters of drivers (linux/ethtool_netlink.h). Nothing is sent, and everything is total.
"""

from __future__ import annotations

import fcntl
import socket
import struct
from array import array

# linux/sockios.h, linux/ethtool.h
_IOCTL = 0x8946
_GET_SIZE, _GET_NAMES, _GET_VALUES = 0x37, 0x1B, 0x1D
_STATS = 1
"""ETH_SS_STATS: the counters, of all sets of names that a driver has."""
_NAME, _VALUE = 32, 8
"""Bytes of a name and of a value."""
_MOST = 4096
"""Counters of a driver; ENA with 32 queues has some 1000."""
_SPARE = 4096
"""How many counters may be added between two calls: the kernel writes all that there are, whatever was asked for."""


class DriverCounter:
    """One counter of a driver. Its place among the others is looked up once."""

    def __init__(self, name: str) -> None:
        """Prepare to read the counter *name*."""
        self._name = name.encode("ascii")
        self._known: tuple[str, int] | None = None
        self._place: int | None = None

    def read(self, interface: str) -> int | None:
        """Return the counter of *interface* since its driver was loaded; None if there is none."""
        try:
            count = _count(interface)
            if self._known != (interface, count):
                self._place = place_of(self._name, _answer(interface, _GET_NAMES, count, _NAME))
                self._known = (interface, count)
            if self._place is None:
                return None
            values = _answer(interface, _GET_VALUES, count, _VALUE)
        except OSError:
            return None
        return int(struct.unpack_from("=Q", values, self._place * _VALUE)[0])


def place_of(name: bytes, names: bytes) -> int | None:
    """Return the place of *name* among *names*, which are padded with zeros; None if it is not there."""
    for place in range(len(names) // _NAME):
        if names[place * _NAME : (place + 1) * _NAME].rstrip(b"\0") == name:
            return place
    return None


def _count(interface: str) -> int:
    """Return how many counters the driver of *interface* has. Raise `OSError` if it has none, or too many."""
    # struct ethtool_sset_info: command, reserved, mask of sets, sizes
    answer = _call(interface, struct.pack("=IIQI", _GET_SIZE, 0, 1 << _STATS, 0))
    count = int(struct.unpack_from("=I", answer, 16)[0])
    if not 0 < count <= _MOST:
        raise OSError(f"{interface} has {count} counters")
    return count


def _answer(interface: str, command: int, count: int, size: int) -> bytes:
    """Return the names or the values of *count* counters, of *size* bytes each. Raise `OSError` if there are more."""
    # struct ethtool_gstrings has the set before the number, struct ethtool_stats does not.
    head = struct.pack("=III", command, _STATS, count) if command == _GET_NAMES else struct.pack("=II", command, count)
    answer = _call(interface, head + bytes((count + _SPARE) * size))
    if struct.unpack_from("=I", answer, len(head) - 4)[0] != count:
        raise OSError(f"{interface} has other counters now")
    return answer[len(head) : len(head) + count * size]


def _call(interface: str, request: bytes) -> bytes:
    """Return *request* as the kernel has filled it in. Raise `OSError` if the driver has no answer."""
    buffer = array("B", request)
    address, _ = buffer.buffer_info()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as any_socket:
        fcntl.ioctl(any_socket, _IOCTL, struct.pack("16sP16x", interface.encode()[:15], address))
    return buffer.tobytes()
