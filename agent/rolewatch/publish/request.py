"""What a request and an answer are, and their bytes in HTTP/1.0 and 1.1 (RFC 9112). Values only, no I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Dict, Mapping, Optional, Tuple

_END = re.compile(rb"\r?\n\r?\n")
_LONGEST_END = 4
_REQUEST_LINE = re.compile(r"(?P<method>[!#$%&'*+.^_`|~0-9A-Za-z-]+) (?P<target>[!-~]+) HTTP/(?P<version>[0-9]\.[0-9])")
_HEADER = re.compile(r"(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(?P<value>[^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*")
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
    authority: Optional[str] = None
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


def parse(data: bytes, *, seen: int, most: int) -> Optional[Request]:
    """Return the request whose head *data* begins with; None while more must come.

    The first *seen* bytes were looked at before, in vain. Raise `BadRequestError` as soon as it is clear that nothing
    good can come: more than *most* bytes, no HTTP, another version of it.
    """
    if data and not _LETTERS.match(data):
        raise BadRequestError(HTTPStatus.BAD_REQUEST, "That is not HTTP. Is the other side speaking TLS?")
    end = _END.search(data, max(0, seen - 3), most + _LONGEST_END)  # not all of a megabyte: nobody else gets a turn
    if len(data) > most and end is None:
        raise BadRequestError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"The request's head exceeds {most} bytes.")
    if b"\n" not in data[seen:]:
        return None
    line = data[: data.index(b"\n")]
    method, target = _request_line(line.rstrip(b"\r").decode("latin-1"))
    if end is None:
        return None
    url = _ABSOLUTE.match(target)
    path, _, query = target[url.end() if url else 0 :].partition("?")
    headers = _headers(data[len(line) : end.start()].decode("latin-1"))
    return Request(method, path or "/", query, headers, url["authority"] if url else None)


def _request_line(line: str) -> Tuple[str, str]:
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise BadRequestError(HTTPStatus.BAD_REQUEST, "The first line is not METHOD PATH HTTP/1.1.")
    if not match["version"].startswith("1."):
        raise BadRequestError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "Only HTTP/1.0 and HTTP/1.1 are spoken here.")
    return match["method"], match["target"]


def _headers(block: str) -> Dict[str, str]:
    headers: Dict[str, str] = {}
    for line in block.split("\n"):
        text = line.removesuffix("\r")
        if not text:
            continue
        match = _HEADER.fullmatch(text)
        if match is None:
            raise BadRequestError(HTTPStatus.BAD_REQUEST, "A header line is not NAME: VALUE.")
        name, value = match["name"].lower(), match["value"]
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
