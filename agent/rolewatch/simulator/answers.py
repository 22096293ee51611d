"""The rules of IMDS: which request gets which answer. No I/O.

Headers, bodies and statuses are those of recordings of 2021 (AWS Rust SDK) and of the EC2 user guide of 2026. Not on
record, and made up after the 404: the bodies of 400, 401, 403 and 417, and what methods other than GET meet.
"""

from __future__ import annotations

from datetime import datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import Optional, Tuple

from rolewatch.simulator import fake, tokens
from rolewatch.simulator.conditions import Where
from rolewatch.simulator.messages import Reply, Request
from rolewatch.simulator.seen import Seen
from rolewatch.simulator.tree import VERSIONS, Item
from rolewatch.simulator.world import World

TOKEN_PATH = "/latest/api/token"  # noqa: S105 - a path
TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"
_TTL_KEY = TTL_HEADER.lower()
_TOKEN_KEY = "x-aws-ec2-metadata-token"  # noqa: S105 - a header's name
_ROLES = "meta-data/iam/security-credentials"
Headers = Tuple[Tuple[str, str], ...]


class Imds:
    """Answers requests as IMDS would, for the instance that `world` describes."""

    def __init__(self, world: World, seen: Seen, *, seed: str) -> None:
        """Answer from *world* and note in *seen* what was asked and which secrets were served."""
        self.world = world
        self._seen = seen
        self._tokens = tokens.Tokens(fake.key(seed))

    def answer(self, request: Request) -> Reply:
        """Return the answer to *request*."""
        self._seen.request(request)
        if not self.world.conditions.enabled:
            return self._reply(HTTPStatus.FORBIDDEN, (("Content-Type", "text/xml"),))
        if "expect" in request.headers:
            return self.error(HTTPStatus.EXPECTATION_FAILED)
        if request.plain_path == TOKEN_PATH:
            return self._token(request)
        if request.method == "PUT" and request.plain_path.endswith("/api/token"):
            return self.error(HTTPStatus.FORBIDDEN)
        if request.method not in ("GET", "HEAD"):
            status = HTTPStatus.OK if request.method == "OPTIONS" else HTTPStatus.METHOD_NOT_ALLOWED
            return self._reply(status, (("Allow", "OPTIONS, GET, HEAD"),))
        return self._document(request)

    def error(self, status: int, headers: Headers = ()) -> Reply:
        """Return the page that IMDS gives with an error *status*."""
        return self._reply(status, (("Content-Type", "text/html"), *headers), page(status))

    def _token(self, request: Request) -> Reply:
        if request.method != "PUT":
            status = HTTPStatus.OK if request.method == "OPTIONS" else HTTPStatus.METHOD_NOT_ALLOWED
            return self._reply(status, (("Allow", "OPTIONS, PUT"),))
        if "x-forwarded-for" in request.headers:
            return self.error(HTTPStatus.FORBIDDEN)
        seconds = tokens.ttl(request.headers.get(_TTL_KEY))
        if seconds is None:
            return self.error(HTTPStatus.BAD_REQUEST)
        token = self._tokens.issue(seconds, self.world.local_time)
        self._seen.secrets((token,))
        headers = ((TTL_HEADER, str(seconds)), ("Content-Type", "text/plain"))
        return self._reply(HTTPStatus.OK, headers, token.encode("ascii"))

    def _document(self, request: Request) -> Reply:
        token = request.headers.get(_TOKEN_KEY)
        if token is None:
            if self.world.conditions.tokens_required:
                return self.error(HTTPStatus.UNAUTHORIZED)
            return self._found(request, ())
        left = self._tokens.left(token, self.world.local_time)
        if not left:
            return self.error(HTTPStatus.UNAUTHORIZED)
        if "x-forwarded-for" in request.headers:
            return self.error(HTTPStatus.FORBIDDEN)
        return self._found(request, ((TTL_HEADER, str(left)),))

    def _found(self, request: Request, headers: Headers) -> Reply:
        path = request.plain_path
        if path == "/":
            item: Optional[Item] = Item("\n".join(VERSIONS).encode(), self.world.imds_time)
        else:
            version, _, below = path[1:].partition("/")
            item = self.world.find(version, below)
            self._seen.secrets(self.world.secrets())
        if item is None:
            return self.error(HTTPStatus.NOT_FOUND, headers)
        about = (
            ("Content-Type", "text/plain"),
            ("Accept-Ranges", "none"),
            ("Last-Modified", http_date(item.modified)),
        )
        return self._reply(HTTPStatus.OK, (*headers, *about), item.body)

    def _reply(self, status: int, headers: Headers, body: bytes = b"") -> Reply:
        common = (
            ("Content-Length", str(len(body))),
            ("Date", http_date(self.world.imds_time)),
            ("Server", "EC2ws"),
            ("Connection", "close"),
        )
        return Reply(int(status), (*headers, *common), body)


def where(request: Request) -> Tuple[Where, ...]:
    """Return the harms' targets among which *request* counts."""
    if request.plain_path == TOKEN_PATH:
        return Where.ANY, Where.TOKEN
    below = request.plain_path[1:].partition("/")[2].strip("/")
    kinds = [Where.ANY, Where.DOCUMENTS]
    if below == "meta-data/iam/info":
        kinds.append(Where.INFO)
    elif below == _ROLES:
        kinds.append(Where.LISTING)
    elif below.startswith(_ROLES + "/"):
        kinds.append(Where.CREDENTIALS)
    elif below.startswith("dynamic/instance-identity"):
        kinds.append(Where.IDENTITY)
    return tuple(kinds)


def page(status: int) -> bytes:
    """Return the XHTML page of an error; 339 bytes for 404 (recorded 2021). The others' bodies are not on record."""
    title = f"{int(status)} - {HTTPStatus(status).phrase}"
    return (
        '<?xml version="1.0" encoding="iso-8859-1"?>\n'
        '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"\n'
        '\t\t "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">\n'
        '<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">\n'
        f" <head>\n  <title>{title}</title>\n </head>\n"
        f" <body>\n  <h1>{title}</h1>\n </body>\n"
        "</html>\n"
    ).encode("ascii")


def http_date(moment: datetime) -> str:
    """Write *moment*, which is UTC, as HTTP does."""
    return format_datetime(moment, usegmt=True)
