"""HTTP messages as values, and how they are read from and written to a stream. Bounded in bytes and in time."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Dict, List, Mapping, Optional, Tuple
from urllib.parse import unquote, urlsplit

MAX_HEAD = 16 * 1024
"""Bytes of request line and headers."""
MAX_BODY = 64 * 1024
PATIENCE = 10.0
"""Seconds that a client has for its request."""
_SLASHES = re.compile("//+")
_LINE = re.compile(r"([A-Z]{1,16}) (\S{1,8000}) HTTP/1\.[01]", re.ASCII)


class BadRequestError(Exception):
    """What came is no request that can be answered in kind."""


@dataclass(frozen=True)
class Request:
    """One request."""

    method: str
    path: str
    """Without the query, and not unquoted: as it came."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Names in lower case; the values of a repeated one are joined by commas. Session tokens are among the values:
    never log them."""
    body: bytes = field(default=b"", repr=False)
    target_authority: Optional[str] = None
    """The authority of a target that is a whole URL; None where the target is a path."""

    @property
    def authority(self) -> Optional[str]:
        """The authority that the client asked, or None: that of the target, else the Host header (RFC 9112, 3.2.2)."""
        return self.headers.get("host") if self.target_authority is None else self.target_authority

    @property
    def plain_path(self) -> str:
        """The path unquoted, runs of slashes made one: scripts that write ``meta-data//ami-id`` are about."""
        return _SLASHES.sub("/", unquote(self.path))


@dataclass(frozen=True)
class Reply:
    """One answer."""

    status: int
    headers: Tuple[Tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)

    def head(self) -> bytes:
        """Return status line and headers, the empty line included."""
        try:
            phrase = HTTPStatus(self.status).phrase
        except ValueError:
            phrase = "Unknown"
        lines = [f"HTTP/1.1 {self.status} {phrase}", *(f"{name}: {value}" for name, value in self.headers), "", ""]
        return "\r\n".join(lines).encode("latin-1", "replace")


async def read_request(reader: asyncio.StreamReader) -> Optional[Request]:
    """Read one request; None where the client left without one.

    Raise `BadRequestError` where it is not HTTP, too large, or too slow.
    """
    try:
        return await asyncio.wait_for(_read(reader), PATIENCE)
    except (asyncio.LimitOverrunError, asyncio.TimeoutError):
        raise BadRequestError from None
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise BadRequestError from None
        return None


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *rest = head.split("\r\n")
    line = _LINE.fullmatch(first)
    if line is None:
        raise BadRequestError
    headers = _headers(rest)
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()) or len(length) > len(str(MAX_BODY)) or int(length) > MAX_BODY:
        raise BadRequestError
    body = b"" if "expect" in headers else await reader.readexactly(int(length))
    try:
        target = urlsplit(line[2])
    except ValueError:
        raise BadRequestError from None
    authority = target.netloc if target.scheme else None
    return Request(line[1], target.path or "/", headers, body, authority)


def _headers(lines: List[str]) -> Dict[str, str]:
    headers: Dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            name, value = name.strip().lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
