"""Which host names the page and the status answer for. Others may be a web page's own, rebound to this host's address.

A browser on this host, or anywhere within the VPC, lets a page of another site read what answers at the page's own host
name, and the site's DNS decides where that is. Host names that the site cannot choose are not rebound: IP addresses,
``localhost``, this host's own names, and those that the settings allow. X-Forwarded-Host is not looked at: a request
can have any.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from pathlib import Path

from rolewatch.authority import host_name, host_of, is_ip
from rolewatch.http.request import Request, Response

HOSTS = Path("/etc/hosts")
MAX_HOSTS = 1 << 16
"""Characters of /etc/hosts that are read. Lists of sites to block make it megabytes long, below the own names."""

_MALFORMED = Response(
    HTTPStatus.BAD_REQUEST, b"The request must name one host: send one Host header, HOST or HOST:PORT.\n"
)


class HostCheck:
    """Whether a request names a host that is answered for. Names are compared, never resolved."""

    def __init__(self, allowed: Sequence[str], own: frozenset[str]) -> None:
        """Allow the names in *own* and those that match *allowed*: a name, or ``*.`` and the domain that it is in."""
        self._names = {"localhost", *own, *(each for each in allowed if not each.startswith("*."))}
        self._domains = tuple(each[1:] for each in allowed if each.startswith("*."))

    def refusal(self, request: Request) -> Response | None:
        """Return the answer to a *request* for a host that is not answered for, or None if it is."""
        authority = request.headers.get("host") if request.authority is None else request.authority
        host = host_of(authority or "")
        if host is None:
            return _MALFORMED
        if is_ip(host) or host in self._names or host.endswith(self._domains):
            return None
        text = (
            f"{host} is not known as a name of this host: use an IP address or localhost, or add the name to "
            "allowed_hosts in [metrics] of rolewatch.toml.\n"
        )
        return Response(HTTPStatus.MISDIRECTED_REQUEST, text.encode())


def own_names(hosts: Path = HOSTS) -> frozenset[str]:
    """Return the names that this host knows of itself, in lower case. Asks no DNS.

    They are the kernel's host name, its first label, and the names on the lines of *hosts* that have the host name: the
    fully qualified one may be there. Other lines name other hosts, and sites that are blocked. *hosts* may be missing.
    """
    name = host_name(socket.gethostname())
    if name is None or is_ip(name):
        return frozenset()
    own = {name, name.partition(".")[0]}
    return frozenset(own.union(*(names for names in _lines(hosts) if name in names)))


def _lines(hosts: Path) -> Iterator[frozenset[str]]:
    """Yield the names in each line of *hosts* (hosts(5))."""
    try:
        with hosts.open(encoding="utf-8", errors="replace") as file:
            text = file.read(MAX_HOSTS)
    except OSError:
        return
    for line in text.splitlines():
        yield frozenset(filter(None, map(host_name, line.partition("#")[0].split()[1:])))
