"""Keep the tests away from every real IMDS, and the caller's environment away from the tests."""

from __future__ import annotations

import ipaddress
import os
import socket
from typing import Any

FORBIDDEN = (ipaddress.ip_network("169.254.0.0/16"), ipaddress.ip_network("fd00:ec2::/32"))
"""Where a real IMDS, and everything else that a cloud keeps link-local, may answer."""

SENDING = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
"""The audit events with which a packet begins, from our code, requests or botocore."""

SCRUBBED_PREFIXES = ("AWS_", "ROLEWATCH_", "LISTEN_", "WATCHDOG_")
SCRUBBED = frozenset(
    {
        # What systemd passes to a service.
        "NOTIFY_SOCKET",
        "JOURNAL_STREAM",
        "INVOCATION_ID",
        "STATE_DIRECTORY",
        "RUNTIME_DIRECTORY",
        "CONFIGURATION_DIRECTORY",
        "CREDENTIALS_DIRECTORY",
        # What sends a request elsewhere.
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        # What changes the style of text.
        "NO_COLOR",
        "FORCE_COLOR",
        "COLUMNS",
        "LINES",
    }
)


class RealImdsError(RuntimeError):
    """A test was about to talk to a real IMDS."""


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return what *host* means to the kernel, or None where it is a name."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))  # "0xa9fea9fe" and "2852039166" are addresses, too
        except OSError:
            return None
    return getattr(address, "ipv4_mapped", None) or address


def refuse_real_imds(event: str, arguments: tuple[Any, ...]) -> None:
    """Raise `RealImdsError` where a packet is for a link-local address: on an instance, real secrets would answer.

    For `sys.addaudithook`.
    """
    if event not in SENDING or not isinstance(arguments[1], tuple):
        return
    address = _address(str(arguments[1][0]))
    if address is not None and any(address in network for network in FORBIDDEN):
        raise RealImdsError(f"A test was about to talk to {address}. Hand the simulator's loopback endpoint in.")


def scrub() -> None:
    """Remove from the environment what our code, the SDKs or systemd's protocols would read there.

    Child processes inherit the result, and the audit hook does not reach them: they find IMDS switched off, and no
    profile in the home directory. A test that wants otherwise hands its own environment to its child.
    """
    for name in list(os.environ):
        if name.upper() in SCRUBBED or name.startswith(SCRUBBED_PREFIXES):
            del os.environ[name]
    os.environ.update(
        AWS_EC2_METADATA_DISABLED="true", AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull
    )
