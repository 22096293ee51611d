"""Addresses: where IMDS is asked, and where the HTTP endpoint listens."""

from __future__ import annotations

import re

from rolewatch.config.types import UnusableError, shown

IPV4 = "http://169.254.169.254"
IPV6 = "http://[fd00:ec2::254]"
"""The well-known addresses of IMDS (EC2 user guide, 2026)."""

_TRUSTED = ("169.254.0.0/16", "127.0.0.0/8", "fe80::/10", "fd00:ec2::/32", "::1/128")
"""Link-local, loopback, and the range that EC2 uses for its link-local services over IPv6."""
_HOST = r"\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\]|[\w.-]+"
_URL = re.compile(rf"(?i:http)://(?P<host>{_HOST})(?::(?P<port>[0-9]{{1,5}}))?/?", re.ASCII)
_LISTEN = re.compile(r"(?P<host>\[[^\]]*\]|[^\[\]:]*):(?P<port>[0-9]{1,5})", re.ASCII)
_HARMLESS = re.compile(r"[\w.:/\[\]%-]*", re.ASCII)
_HIGHEST_PORT = 65535
_LONGEST_HOST = 253
"""Characters of a host: of a name in the DNS (RFC 1035), and more than an IP address with its zone has."""
_AS_IN = "as in http://127.0.0.1:1338"


def endpoint(text: str) -> str:
    """Return *text*, the URL of an IMDS, as ``http://HOST[:PORT]``. `is_trusted` says whether it may be asked."""
    match = _URL.fullmatch(text)
    if match is None:
        raise UnusableError(_why_no_endpoint(text))
    host, port = match["host"], match["port"]
    if port is not None and not 0 < int(port) <= _HIGHEST_PORT:
        raise UnusableError(f"has the port {port}; it must be 1 to {_HIGHEST_PORT}")
    if not _is_host(host):
        raise UnusableError(f"has the host {shown(host)}, which is neither an IP address nor a name")
    return f"http://{host.lower()}" + (f":{int(port)}" if port else "")


def _why_no_endpoint(text: str) -> str:
    """Say why *text* is no endpoint, and show only what cannot hold a secret."""
    if "@" in text:
        return f"has a user or a password before an @, and is not shown here; write a plain URL, {_AS_IN}"
    if text.lower().startswith("https:"):
        return f"is an https URL; IMDS speaks plain http, {_AS_IN}"
    if not text.lower().startswith("http://"):
        found = f"is {shown(text)}" if _HARMLESS.fullmatch(text) else "is no http URL"
        return f"{found}; write a URL, {_AS_IN}"
    if not _HARMLESS.fullmatch(text) or "/" in text[len("http://") :].rstrip("/"):
        return f"has more than scheme, host and port; write these alone, {_AS_IN}"
    return f"is {shown(text)}; write http://HOST or http://HOST:PORT, an IPv6 address in brackets"


def is_trusted(url: str) -> bool:
    """Return whether *url* (as `endpoint` returns it) is link-local or loopback."""
    host = split(url[len("http://") :])[0]
    if host == "localhost":
        return True
    import ipaddress  # noqa: PLC0415 - only where an endpoint is set

    try:
        address = ipaddress.ip_address(host.split("%", 1)[0])
    except ValueError:
        return False
    return any(address in ipaddress.ip_network(network) for network in _TRUSTED)


def listen(text: str) -> str:
    """Return *text* as ``HOST:PORT``, ``[IPV6]:PORT`` or ``*:PORT``. Port 0 lets the kernel choose one."""
    match = _LISTEN.fullmatch(text)
    if match is None or int(match["port"]) > _HIGHEST_PORT:
        raise UnusableError(_why_no_address(text))
    host = match["host"] or "*"
    if host not in ("*", "localhost") and not _is_address(host):
        raise UnusableError(f"has {shown(text)}, whose host is no IP address, localhost, or * for every address")
    return f"{host}:{int(match['port'])}"


def _why_no_address(text: str) -> str:
    if text.isascii() and text.isdigit():
        return f"has {shown(text)}; write the host, too: 127.0.0.1:{text[:5]}, or *:{text[:5]} for every address"
    if "://" in text:
        return f"has {shown(text)}; write HOST:PORT, not a URL"
    if text.count(":") > 1 and "[" not in text:
        return f"has {shown(text)}; write an IPv6 address in brackets, as in [::1]:10169"
    return f"has {shown(text)}; write HOST:PORT with a port up to {_HIGHEST_PORT}, as in 127.0.0.1:10169 or [::1]:10169"


def split(address: str) -> tuple[str, int | None]:
    """Return host (without brackets) and port of ``HOST[:PORT]`` or ``[IPV6][:PORT]``."""
    if address.startswith("["):
        host, _, rest = address[1:].partition("]")
        return host, int(rest[1:]) if rest else None
    host, _, port = address.partition(":")
    return host, int(port) if port else None


def _is_host(host: str) -> bool:
    if len(host) > _LONGEST_HOST:
        return False
    looks_like_ip = host.startswith("[") or host.replace(".", "").isdigit()
    return _is_address(host) if looks_like_ip else all(host.split("."))


def _is_address(host: str) -> bool:
    """Return whether *host* is an IPv4 literal, or an IPv6 literal in brackets."""
    import ipaddress  # noqa: PLC0415 - only where an address is set

    if len(host) > _LONGEST_HOST:
        return False
    try:
        # Zones (``%eth0``) are cut off: Python 3.9's ipaddress is the first to know them, and knows no ``%25``.
        if host.startswith("["):
            ipaddress.IPv6Address(host[1:-1].split("%", 1)[0])
        else:
            ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True
