"""Measure the hop limit of the answer to the token request, from the host, without AWS and without privileges.

EC2 sends this answer with HttpPutResponseHopLimit as its IP TTL: with 1 it does not return to a container (EC2 user
guide, "Considerations for the instance metadata service", 2026). A socket option lets the kernel drop what arrives with
a lower TTL, as further hops would. That the TTL arrives unchanged is inferred from that text. It was tried between
network namespaces, on no real instance.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Callable
from urllib.parse import SplitResult, urlsplit

IP_MINTTL = 21
"""linux/in.h; ip(7). `socket` has no name for it."""
IPV6_MINHOPCOUNT = 73
"""linux/in6.h; the same for IPv6."""
_CONNECT_TIMEOUT = 0.2
"""Seconds. IMDS has just answered a poll, and takes milliseconds."""
_TOKEN = (b"HTTP/1.0 200", b"HTTP/1.1 200")


class Measurement:
    """Token requests that wait for their answers beside the polls, one for each of some hop limits."""

    def __init__(self, endpoint: str, limits: Sequence[int], *, timeout: float, monotonic: Callable[[], float]) -> None:
        """Send a request to *endpoint* for each of *limits*, lowest first. They have *timeout* seconds by *monotonic*.

        IMDS must have let a poll connect just before. Then this takes milliseconds, and `_CONNECT_TIMEOUT` at most.
        """
        self._limits = limits
        self._monotonic = monotonic
        self._connections: list[socket.socket] = []
        self._failed = False
        url = urlsplit(endpoint)
        try:
            for limit in limits:
                self._connections.append(_connect(url))
                _request(self._connections[-1], url.netloc, limit)
        except (OSError, ValueError):
            self._failed = True
        self._deadline = monotonic() + timeout

    def __del__(self) -> None:
        """Close the connections."""
        for connection in self._connections:
            connection.close()

    def has_ended(self) -> bool:
        """Return whether `result` needs no more time."""
        return self._failed or self._monotonic() >= self._deadline or _first_line(self._connections[-1], 0.0) != b""

    def has_answer(self) -> bool:
        """Return whether the last request has an answer, of whatever kind."""
        return not self._failed and bool(_first_line(self._connections[-1], 0.0))

    def result(self) -> int | None:
        """Wait for what is missing, and return the highest hop limit at which a token arrives; 1 if at none.

        None if it cannot be measured: a connection failed, or an answer is no token.
        """
        if self._failed:
            return None
        for limit, connection in zip(reversed(self._limits), reversed(self._connections)):
            line = _first_line(connection, max(0.0, self._deadline - self._monotonic()))
            if line != b"":
                return limit if line in _TOKEN else None
        return 1


def _connect(url: SplitResult) -> socket.socket:
    """Return a connection to *url*. Raise `OSError` if there is none, and for a name: resolving it might block."""
    found = socket.getaddrinfo(url.hostname, url.port or 80, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    family, kind, protocol, _, address = found[0]
    connection = socket.socket(family, kind, protocol)
    try:
        connection.settimeout(_CONNECT_TIMEOUT)
        connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection


def _request(connection: socket.socket, host: str, limit: int) -> None:
    """Request a token that arrives with a TTL of *limit* or more only.

    The option is set once connected: EC2 limits the answer, and not what opens the connection.
    """
    if connection.family == socket.AF_INET6:
        connection.setsockopt(socket.IPPROTO_IPV6, IPV6_MINHOPCOUNT, limit)
    else:
        connection.setsockopt(socket.IPPROTO_IP, IP_MINTTL, limit)
    connection.sendall(
        f"PUT /latest/api/token HTTP/1.1\r\nHost: {host}\r\nUser-Agent: rolewatch\r\n"
        "Content-Length: 0\r\nX-aws-ec2-metadata-token-ttl-seconds: 1\r\nConnection: close\r\n\r\n".encode("ascii")
    )


def _first_line(connection: socket.socket, wait: float) -> bytes | None:
    """Return the beginning of the status line, and leave it there; empty if nothing arrives in *wait* seconds.

    None if the connection was closed. Nothing more is read: the rest has the token, which is valid for a second.
    """
    connection.settimeout(wait)
    try:
        return connection.recv(len(_TOKEN[0]), socket.MSG_PEEK) or None
    except (BlockingIOError, socket.timeout):
        return b""
    except OSError:
        return None
