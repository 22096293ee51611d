"""HTTP/1.0 and 1.1 requests and responses as values, and their bytes (RFC 9112). No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

_END = re.compile(rb"\r?\n\r?\n")
_LONGEST_END = 4
_REQUEST_LINE = re.compile(r"(?P<method>[!#$%&'*+.^_`|~0-9A-Za-z-]+) (?P<target>[!-~]+) HTTP/(?P<version>[0-9]\.[0-9])")
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""What no header value has in it: a control character other than a tab."""
_LETTERS = re.compile(rb"[A-Za-z]")
_ABSOLUTE = re.compile(r"https?://(?P<authority>[^/?]*)", re.IGNORECASE)


@dataclass(frozen=True)
class Request:
    """One request's head."""

    method: str
    path: str
    """As sent, without the query; not decoded."""
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    """By name in lower case; the values of a repeated one are joined by commas."""
    authority: str | None = None
    """Of a target that is a whole URL, where it comes before the Host header (RFC 9112, 3.2.2); None for a path."""


@dataclass(frozen=True)
class Response:
    """One answer."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)

    def encode(self, *, head_only: bool = False) -> bytes:
        """Return the bytes to send: without the body, but with its length, where *head_only* (HEAD) is asked for.

        There is no `Date`: the clock of an instance may be wrong, and nobody caches this.
        """
        fields = {
            "Content-Type": self.content_type,
            "Content-Length": str(len(self.body)),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Connection": "close",
            **self.headers,
        }
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}", *(f"{k}: {v}" for k, v in fields.items())]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        return head if head_only else head + self.body


class BadRequestError(Exception):
    """What came is not a request that is served; `response` says why."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        """Answer *status*, with one sentence."""
        super().__init__(why)
        self.response = Response(status, f"{why}\n".encode())


class RequestParser:
    """Parses the head of one request, which may come in any portions.

    The work is linear in the bytes of the head, however they are portioned: a peer that sends them one by one costs no
    more than the calls.
    """

    def __init__(self, most: int) -> None:
        """Accept a head of at most *most* bytes."""
        self._most = most
        self._head = bytearray()
        self._first: tuple[str, str, int] | None = None
        """Method, target and length of the request line, once it is complete."""

    @property
    def is_empty(self) -> bool:
        """Whether no byte has come yet."""
        return not self._head

    def feed(self, data: bytes) -> Request | None:
        """Return the request when *data* completes its head; None while more must come.

        Raise `BadRequestError` as soon as it is clear that no request can follow: too many bytes, no HTTP, another
        version of it.
        """
        head, parsed = self._head, len(self._head)
        head += data
        if head and not _LETTERS.match(head):
            raise BadRequestError(HTTPStatus.BAD_REQUEST, "That is not HTTP. Is the other side speaking TLS?")
        # Search no further than the bound: a megabyte in one portion would hold up all other connections.
        end = _END.search(head, max(0, parsed - _LONGEST_END + 1), self._most + _LONGEST_END)
        if end is None and len(head) > self._most:
            raise BadRequestError(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"The request's head exceeds {self._most} bytes."
            )
        if self._first is None:
            length = head.find(b"\n", parsed)
            if length < 0:
                return None
            self._first = (*_request_line(head[:length].rstrip(b"\r").decode("latin-1")), length)
        if end is None:
            return None
        method, target, length = self._first
        url = _ABSOLUTE.match(target)
        path, _, query = target[url.end() if url else 0 :].partition("?")
        headers = _headers(head[length : end.start()].decode("latin-1"))
        return Request(method, path or "/", query, headers, url["authority"] if url else None)

    def clear(self) -> None:
        """Forget the head."""
        self._head.clear()


def _request_line(line: str) -> tuple[str, str]:
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise BadRequestError(HTTPStatus.BAD_REQUEST, "The first line is not METHOD PATH HTTP/1.1.")
    if not match["version"].startswith("1."):
        raise BadRequestError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "Only HTTP/1.0 and HTTP/1.1 are spoken here.")
    return match["method"], match["target"]


def _headers(block: str) -> dict[str, str]:
    headers: dict[str, list[str]] = {}
    for line in block.split("\n"):
        text = line.removesuffix("\r")
        if text:
            name, value = _header(text)
            headers.setdefault(name, []).append(value)
    return {name: ", ".join(values) for name, values in headers.items()}


def _header(line: str) -> tuple[str, str]:
    """Return the name of a header in lower case, and its value. Raise `BadRequestError` where *line* is none.

    Split and strip instead of one regular expression: white space around a value that may contain white space makes a
    backtracking matcher try every way to share it out, and so take the cube of the length.
    """
    name, colon, rest = line.partition(":")
    value = rest.strip(" \t")
    if not colon or not _FIELD_NAME.fullmatch(name) or _CONTROL.search(value):
        raise BadRequestError(HTTPStatus.BAD_REQUEST, "A header line is not NAME: VALUE.")
    return name.lower(), value
