"""Host names and addresses in requests and settings: ``HOST``, ``HOST:PORT``, ``[IPV6]:PORT``. Resolves no name.

The authority of an HTTP request is the host that the client means. It comes from the Host header, or from a target that
is a whole URL (RFC 9112, sections 3.2 and 3.2.2). Browsers fill it in from the URL, and no page can change it: that is
what stops DNS rebinding.
"""

from __future__ import annotations

import re

MAX_NAME = 253
"""Characters of a host name (RFC 1035, section 3.1: 255 octets in the form that DNS sends)."""

_HIGHEST_PORT = 65535
_ADDRESS = re.compile(r"(?:\[(?P<ipv6>[^\[\]]+)\]|(?P<host>[^:\[\]]+)):(?P<port>[0-9]{1,5})")
_AUTHORITY = re.compile(r"(?:\[(?P<ipv6>[^\[\]]+)\]|(?P<name>[\w.-]+))(?::[0-9]{0,5})?", re.ASCII)
_NAME = re.compile(r"[\w-]{1,63}(?:\.[\w-]{1,63})*", re.ASCII)
_LOOPBACK_IPV6 = b"\0" * 15 + b"\1"
_LOOPBACK_IPV4 = 127


def split_address(text: str) -> tuple[str, int] | None:
    """Return host and port of *text*, ``HOST:PORT`` or ``[IPV6]:PORT``, or None if it is neither.

    The host is returned as written, without brackets. It need not be an IP address.
    The port is 0 to 65535.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match["port"]) > _HIGHEST_PORT or ":" not in (match["ipv6"] or ":"):
        return None
    return match["ipv6"] or match["host"], int(match["port"])


def join_address(host: str, port: int) -> str:
    """Return ``HOST:PORT``, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def host_of(authority: str) -> str | None:
    """Return the host that *authority* names (``HOST``, ``HOST:PORT`` or ``[IPV6]:PORT``), or None if it is malformed.

    In lower case, without port, brackets, IPv6 zone and trailing dot. A user name makes it malformed, and so do several
    hosts with commas, percent-encoding and characters outside ASCII: no client sends these.
    """
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        return None
    if match["ipv6"]:
        address = match["ipv6"].partition("%")[0].lower()
        return address if _packed(address, ipv6=True) else None
    return host_name(match["name"])


def host_name(text: str) -> str | None:
    """Return *text* in lower case and without its trailing dot, or None if it cannot be a host name.

    An IPv4 address has the form of a host name. Underscores are accepted: names of containers have them.
    """
    name = text.removesuffix(".").lower()
    return name if len(name) <= MAX_NAME and _NAME.fullmatch(name) else None


def is_ip(host: str) -> bool:
    """Return whether *host* (as `host_of` returns it) is an IP address."""
    return bool(_packed(host) or _packed(host, ipv6=True))


def is_loopback(host: str) -> bool:
    """Return whether *host* (as `host_of` returns it) is an address in 127.0.0.0/8 or ::1. ``localhost`` is a name."""
    return _packed(host)[:1] == bytes([_LOOPBACK_IPV4]) or _packed(host, ipv6=True) == _LOOPBACK_IPV6


def is_same_ip(one: str, other: str) -> bool:
    """Return whether *one* and *other* are the same IP address in any notation. IPv6 zones are ignored."""
    return bool(_any_packed(one)) and _any_packed(one) == _any_packed(other)


def _any_packed(address: str) -> bytes:
    """Return the bytes of *address* without its zone; empty if it is not an IP address."""
    plain = address.partition("%")[0]
    return _packed(plain) or _packed(plain, ipv6=True)


def _packed(address: str, *, ipv6: bool = False) -> bytes:
    """Return the bytes of *address*; empty if it is not an address of that version of IP."""
    import socket  # noqa: PLC0415 - settings need it only where `allowed_hosts` is set

    try:
        return socket.inet_pton(socket.AF_INET6 if ipv6 else socket.AF_INET, address)
    except (OSError, ValueError):  # ValueError: a NUL, or a character that is not ASCII
        return b""
