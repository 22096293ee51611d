"""The sockets that the HTTP endpoint listens on: bound by ourselves, or handed in by systemd."""

from __future__ import annotations

import errno
import os
import re
import socket
from typing import List, Sequence, Tuple

from rolewatch.errors import ConfigError, UnavailableError, UsageError

_ADDRESS = re.compile(r"(?:\[(?P<ipv6>[^\[\]]+)\]|(?P<host>[^:\[\]]+)):(?P<port>[0-9]{1,5})")
_HIGHEST_PORT = 65535
_EVERY = "*"

_WHY = {
    errno.EADDRINUSE: "another program listens there (`ss -ltnp` names it; a second rolewatch, perhaps)",
    errno.EADDRNOTAVAIL: "this host has no such address (`ip address` lists the ones it has)",
    errno.EACCES: "ports below 1024 need CAP_NET_BIND_SERVICE",
    errno.EAFNOSUPPORT: "this host, or the unit's RestrictAddressFamilies=, does not allow that kind of address",
}


def bind(addresses: Sequence[str], *, backlog: int) -> List[socket.socket]:
    """Return a listening socket for each of *addresses*: ``HOST:PORT``, ``[IPV6]:PORT``, ``*:PORT``.

    ``localhost`` is 127.0.0.1, ``*`` is every address, IPv6 and IPv4; port 0 lets the kernel choose. No name is ever
    looked up: a resolver that does not answer must not keep the agent from starting. Raise `ConfigError` for what is no
    address, `UnavailableError` for what cannot be bound; nothing stays bound then.
    """
    bound: List[socket.socket] = []
    try:
        bound.extend(_bind(address, backlog) for address in addresses)
    except Exception:
        close(bound)
        raise
    return bound


def adopt(sockets: Sequence[socket.socket]) -> List[socket.socket]:
    """Return *sockets*, which systemd handed in, where each of them listens. Raise `UsageError` otherwise."""
    for each in sockets:
        if each.type != socket.SOCK_STREAM or not each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise UsageError(
                f"Socket {each.fileno()}, which systemd handed in, does not listen for connections. "
                "rolewatch.socket must have ListenStream= and Accept=no."
            )
    return list(sockets)


def close(sockets: Sequence[socket.socket]) -> None:
    """Close *sockets*."""
    for each in sockets:
        each.close()


def name_of(listener: socket.socket) -> str:
    """Return where *listener* listens, as a URL has it: ``127.0.0.1:10169``, ``[::1]:10169``."""
    name = listener.getsockname()
    if listener.family == socket.AF_INET6:
        return f"[{name[0]}]:{name[1]}"
    if listener.family == socket.AF_INET:
        return f"{name[0]}:{name[1]}"
    return f"unix:{os.fsdecode(name)}"


def _bind(address: str, backlog: int) -> socket.socket:
    host, port = _parse(address)
    if host == _EVERY:
        try:
            return _listen(socket.AF_INET6, ("::", port), backlog, only_ipv6=False)
        except OSError as error:
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                raise _refused(address, error) from None
            host = "0.0.0.0"  # noqa: S104 - IPv6 is switched off, and every address was asked for
    try:
        family, _, _, _, resolved = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST | socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError):  # UnicodeError: a part of it is too long for any name
        raise ConfigError(
            f"Cannot listen on {address!r}: {host!r} is no IP address. Names are not looked up; write the address, "
            "localhost, or * for every address."
        ) from None
    try:
        return _listen(family, resolved, backlog, only_ipv6=True)
    except OSError as error:
        raise _refused(address, error) from None


def _parse(address: str) -> Tuple[str, int]:
    match = _ADDRESS.fullmatch(address)
    if match is None or int(match["port"]) > _HIGHEST_PORT:
        raise ConfigError(
            f"Cannot listen on {address!r}: that is not HOST:PORT with a port up to {_HIGHEST_PORT}. "
            "Write 127.0.0.1:10169, or [::1]:10169 with brackets for IPv6."
        )
    host = match["ipv6"] or match["host"]
    if match["host"] and host == "localhost":
        host = "127.0.0.1"
    return host, int(match["port"])


def _listen(family: int, address: Tuple[object, ...], backlog: int, *, only_ipv6: bool) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:  # else it would hang on the sysctl bindv6only
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(only_ipv6))
        listener.bind(address)
        listener.listen(backlog)
    except BaseException:
        listener.close()
        raise
    return listener


def _refused(address: str, error: OSError) -> UnavailableError:
    why = _WHY.get(error.errno or 0, error.strerror or "the system refuses it")
    return UnavailableError(
        f"Cannot listen on {address}: {why}. Mend that, or choose another one with --listen or `listen` in [metrics]."
    )
