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
"""Control characters that no header value may contain: all but the tab."""
_LETTERS = re.compile(rb"[A-Za-z]")
_ABSOLUTE = re.compile(r"https?://(?P<authority>[^/?]*)", re.IGNORECASE)


@dataclass(frozen=True)
class Request:
    """The head of one request."""

    method: str
    path: str
    """As the client sent it, without the query, not decoded."""
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Values by name in lower case. The values of a repeated header are joined by commas."""
    authority: str | None = None
    """Authority of a target that is a whole URL. It overrides the Host header (RFC 9112, 3.2.2). None for a path."""


@dataclass(frozen=True)
class Response:
    """One response."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)

    def encode(self, *, head_only: bool = False) -> bytes:
        """Return the bytes to send. With *head_only*, for HEAD, leave the body out and keep its length.

        There is no `Date`: the clock of an instance may be wrong, and the response is not cached.
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
    """The bytes are not a request that is supported. `response` is the response with the reason."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        """Respond with *status* and the sentence *why*."""
        super().__init__(why)
        self.response = Response(status, f"{why}\n".encode())


class RequestParser:
    """Parses the head of one request, which may arrive in any portions.

    The work is linear in the bytes of the head, even if they arrive one by one.
    """

    def __init__(self, limit: int) -> None:
        """Accept a head of at most *limit* bytes."""
        self._limit = limit
        self._head = bytearray()
        self._first: tuple[str, str, int] | None = None
        """Method, target and length of the request line, once it is complete."""

    @property
    def is_empty(self) -> bool:
        """Whether no byte has arrived yet."""
        return not self._head

    def feed(self, data: bytes) -> Request | None:
        """Return the request if *data* completes its head, or else None.

        Raise `BadRequestError` as soon as the bytes cannot become a request: too many, no HTTP, another version of it.
        """
        head, parsed = self._head, len(self._head)
        head += data
        if head and not _LETTERS.match(head):
            raise BadRequestError(HTTPStatus.BAD_REQUEST, "That is not HTTP. Does the client use https://?")
        # Search no further than the limit: a megabyte in one portion would delay all other connections.
        end = _END.search(head, max(0, parsed - _LONGEST_END + 1), self._limit + _LONGEST_END)
        if end is None and len(head) > self._limit:
            raise BadRequestError(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"The request's head exceeds {self._limit} bytes."
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
        """Discard the head."""
        self._head.clear()


def _request_line(line: str) -> tuple[str, str]:
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise BadRequestError(HTTPStatus.BAD_REQUEST, "The first line is not METHOD PATH HTTP/1.1.")
    if not match["version"].startswith("1."):
        raise BadRequestError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "Only HTTP/1.0 and HTTP/1.1 are supported.")
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
    """Return the name of a header in lower case, and its value. Raise `BadRequestError` if *line* is malformed.

    One regular expression would need the cube of the length: it would try every way to divide white space between the
    value and what surrounds it.
    """
    name, colon, rest = line.partition(":")
    value = rest.strip(" \t")
    if not colon or not _FIELD_NAME.fullmatch(name) or _CONTROL.search(value):
        raise BadRequestError(HTTPStatus.BAD_REQUEST, "A header line is not NAME: VALUE.")
    return name.lower(), value
