"""IMDS's rules: which request gets which response, and session tokens. No I/O."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import math
import re
import struct
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from http import HTTPStatus

from rolewatch.simulator.conditions import Target
from rolewatch.simulator.instance import VERSIONS, Instance, Item, token_key
from rolewatch.simulator.network_faults import error_page
from rolewatch.simulator.server import Headers, Recorder, Request, Response

MIN_TTL = 1
MAX_TTL = 21600
"""Seconds. EC2 user guide, "How Instance Metadata Service Version 2 works", 2026."""
_HEAD = b"\x01\x00\x04\x00"
_BODY = struct.Struct(">QI")  # end in microseconds since 1970, count
_SIGNATURE_BYTES = 24
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_TTL = re.compile(r"[0-9]{1,5}", re.ASCII)


def ttl(text: str | None) -> int | None:
    """Parse the TTL of a token request: seconds from 1 to 21600; None if it is missing or invalid."""
    if text is None or not _TTL.fullmatch(text.strip()):
        return None
    seconds = int(text)
    return seconds if MIN_TTL <= seconds <= MAX_TTL else None


class Tokens:
    """Issues session tokens and checks how long they are valid."""

    def __init__(self, key: bytes) -> None:
        """Sign with *key*."""
        self._key = key
        self._count = 0

    def issue(self, seconds: int, now: datetime) -> str:
        """Return a new token that is valid for *seconds* from *now*."""
        self._count += 1
        end = (now + timedelta(seconds=seconds) - _EPOCH) // timedelta(microseconds=1)
        body = _HEAD + _BODY.pack(end, self._count)
        return base64.urlsafe_b64encode(body + self._signature(body)).decode("ascii")

    def left(self, token: str, now: datetime) -> int:
        """Return the seconds until *token* expires, rounded up; 0 if it has expired or was not issued here."""
        try:
            raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return 0
        body, signature = raw[:-_SIGNATURE_BYTES], raw[-_SIGNATURE_BYTES:]
        if len(body) != len(_HEAD) + _BODY.size or not hmac.compare_digest(signature, self._signature(body)):
            return 0
        end, _ = _BODY.unpack(body[len(_HEAD) :])
        return max(0, math.ceil((_EPOCH + timedelta(microseconds=end) - now).total_seconds()))

    def _signature(self, body: bytes) -> bytes:
        return hmac.new(self._key, body, hashlib.sha256).digest()[:_SIGNATURE_BYTES]


TOKEN_PATH = "/latest/api/token"  # noqa: S105 - a path
TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"
_TTL_KEY = TTL_HEADER.lower()
_TOKEN_KEY = "x-aws-ec2-metadata-token"  # noqa: S105 - a header's name
_ROLES = "meta-data/iam/security-credentials"


class Imds:
    """Responds to requests as IMDS would."""

    def __init__(self, instance: Instance, recorder: Recorder, *, seed: str) -> None:
        """Serve *instance*, and record requests and served secrets in *recorder*."""
        self._instance = instance
        self._recorder = recorder
        self._tokens = Tokens(token_key(seed))

    def respond(self, request: Request) -> Response:
        """Return the response to *request*."""
        self._recorder.add_request(request)
        if not self._instance.conditions.enabled:
            return self._response(HTTPStatus.FORBIDDEN, (("Content-Type", "text/xml"),))
        if "expect" in request.headers:
            return self.error(HTTPStatus.EXPECTATION_FAILED)
        if request.plain_path == TOKEN_PATH:
            return self._token(request)
        if request.method == "PUT" and request.plain_path.endswith("/api/token"):
            return self.error(HTTPStatus.FORBIDDEN)
        if request.method not in ("GET", "HEAD"):
            status = HTTPStatus.OK if request.method == "OPTIONS" else HTTPStatus.METHOD_NOT_ALLOWED
            return self._response(status, (("Allow", "OPTIONS, GET, HEAD"),))
        return self._document(request)

    def error(self, status: int, headers: Headers = ()) -> Response:
        """Return the response of IMDS with an error *status*."""
        return self._response(status, (("Content-Type", "text/html"), *headers), error_page(status))

    def _token(self, request: Request) -> Response:
        if request.method != "PUT":
            status = HTTPStatus.OK if request.method == "OPTIONS" else HTTPStatus.METHOD_NOT_ALLOWED
            return self._response(status, (("Allow", "OPTIONS, PUT"),))
        if "x-forwarded-for" in request.headers:
            return self.error(HTTPStatus.FORBIDDEN)
        seconds = ttl(request.headers.get(_TTL_KEY))
        if seconds is None:
            return self.error(HTTPStatus.BAD_REQUEST)
        token = self._tokens.issue(seconds, self._instance.local_time())
        self._recorder.add_secrets((token,))
        headers = ((TTL_HEADER, str(seconds)), ("Content-Type", "text/plain"))
        return self._response(HTTPStatus.OK, headers, token.encode("ascii"))

    def _document(self, request: Request) -> Response:
        token = request.headers.get(_TOKEN_KEY)
        if token is None:
            if self._instance.conditions.tokens_required:
                return self.error(HTTPStatus.UNAUTHORIZED)
            return self._found(request, ())
        left = self._tokens.left(token, self._instance.local_time())
        if not left:
            return self.error(HTTPStatus.UNAUTHORIZED)
        if "x-forwarded-for" in request.headers:
            return self.error(HTTPStatus.FORBIDDEN)
        return self._found(request, ((TTL_HEADER, str(left)),))

    def _found(self, request: Request, headers: Headers) -> Response:
        path = request.plain_path
        if path == "/":
            item: Item | None = Item("\n".join(VERSIONS).encode(), self._instance.imds_time)
        else:
            version, _, below = path[1:].partition("/")
            item = self._instance.find(version, below)
            self._recorder.add_secrets(self._instance.secrets)
        if item is None:
            return self.error(HTTPStatus.NOT_FOUND, headers)
        about = (
            ("Content-Type", "text/plain"),
            ("Accept-Ranges", "none"),
            ("Last-Modified", format_datetime(item.modified, usegmt=True)),
        )
        return self._response(HTTPStatus.OK, (*headers, *about), item.body)

    def _response(self, status: int, headers: Headers, body: bytes = b"") -> Response:
        common = (
            ("Content-Length", str(len(body))),
            ("Date", format_datetime(self._instance.imds_time, usegmt=True)),
            ("Server", "EC2ws"),
            ("Connection", "close"),
        )
        return Response(int(status), (*headers, *common), body)


def targets(request: Request) -> set[Target]:
    """Return the targets of network faults that *request* matches."""
    if request.plain_path == TOKEN_PATH:
        return {Target.ANY, Target.TOKEN}
    below = request.plain_path[1:].partition("/")[2].strip("/")
    matched = {Target.ANY, Target.DOCUMENTS}
    if below == "meta-data/iam/info":
        matched.add(Target.INFO)
    elif below == _ROLES:
        matched.add(Target.LISTING)
    elif below.startswith(_ROLES + "/"):
        matched.add(Target.CREDENTIALS)
    elif below.startswith("dynamic/instance-identity"):
        matched.add(Target.IDENTITY)
    return matched
