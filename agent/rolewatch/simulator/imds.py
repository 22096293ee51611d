"""IMDS's rules: which request gets which response. Tokens, and the instance as conditions make it. No I/O."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import math
import re
import struct
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from http import HTTPStatus
from typing import Callable

from rolewatch.simulator import instance
from rolewatch.simulator.conditions import HEALTHY, Conditions, Where
from rolewatch.simulator.credentials import Chain, Rotation
from rolewatch.simulator.instance import VERSIONS, Item, Tree
from rolewatch.simulator.network_faults import http_date, page
from rolewatch.simulator.server import Reply, Request, Seen

MIN_TTL = 1
MAX_TTL = 21600
"""Seconds. EC2 user guide, "How Instance Metadata Service Version 2 works", 2026."""
_HEAD = b"\x01\x00\x04\x00"
_BODY = struct.Struct(">QI")  # end in microseconds since 1970, count
_SIGNATURE_BYTES = 24
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_TTL = re.compile(r"[0-9]{1,5}", re.ASCII)


def ttl(text: str | None) -> int | None:
    """Read the life that a client asks for; None where it is missing or not 1 to 21600."""
    if text is None or not _TTL.fullmatch(text.strip()):
        return None
    seconds = int(text)
    return seconds if MIN_TTL <= seconds <= MAX_TTL else None


class Tokens:
    """Issue session tokens and tell how long they have left."""

    def __init__(self, key: bytes) -> None:
        """Sign with *key*."""
        self._key = key
        self._count = 0

    def issue(self, seconds: int, now: datetime) -> str:
        """Return a new token that lives for *seconds* from *now*."""
        self._count += 1
        end = (now + timedelta(seconds=seconds) - _EPOCH) // timedelta(microseconds=1)
        body = _HEAD + _BODY.pack(end, self._count)
        return base64.urlsafe_b64encode(body + self._signature(body)).decode("ascii")

    def left(self, token: str, now: datetime) -> int:
        """Return the seconds that *token* has left, rounded up; 0 where it has expired or is none of ours."""
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


Now = Callable[[], datetime]
"""The local clock: aware, UTC."""


class World:
    """What IMDS would say, now."""

    def __init__(  # noqa: PLR0913 - keyword-only; all are independent
        self,
        conditions: Conditions = HEALTHY,
        *,
        now: Now,
        seed: str = "rolewatch",
        speed: float = 1.0,
        role: str = "",
        instance_profile: str = "",
        user_data: bytes = b"",
    ) -> None:
        """Begin under *conditions*. *role* and *instance_profile* take the place of the healthy instance's names.

        *user_data* is served as it is; where it is empty, the instance was launched without.
        """
        self._now = now
        self._seed = seed
        self._role = role or HEALTHY.role
        self._instance_profile = instance_profile or role or HEALTHY.instance_profile
        self._user_data = user_data
        self.conditions = self._renamed(conditions)
        self._born = self._entered = now()
        self._rotation = Rotation(self.conditions, now=self._entered, speed=speed)
        self._chain: Chain | None = None

    def enter(self, conditions: Conditions) -> None:
        """Go on under *conditions*, from now."""
        self._entered = self._now()
        self.conditions = self._renamed(conditions)
        self._rotation.enter(self.conditions, self._entered)

    def rotate(self) -> None:
        """Renew the credentials now."""
        self._rotation.rotate(self._now())

    @property
    def local_time(self) -> datetime:
        """The clock that was handed in."""
        return self._now()

    @property
    def imds_time(self) -> datetime:
        """IMDS's clock: what `Date` says."""
        return self._now() + self.conditions.imds_ahead

    def find(self, version: str, path: str) -> Item | None:
        """Return the document or listing at *path* below *version*; None where there is none."""
        if version not in VERSIONS:
            return None
        return self._tree().find(path, "9999" if version == "latest" else version)

    def secrets(self) -> Iterable[str]:
        """Return every secret that stood in the documents when `find` was asked last."""
        return () if self._chain is None else self._chain.secrets

    def _tree(self) -> Tree:
        started = self._started()
        self._chain = Chain(self.conditions, self._rotation.term(self._now()), seed=self._seed)
        tree = Tree(started)
        instance.plant(tree, self.conditions, started=started)
        if self._user_data:
            tree.add("user-data", Item(self._user_data, started))
        self._chain.plant(tree)
        return tree

    def _started(self) -> datetime:
        """Return when the instance was started, by IMDS's clock; only scenarios that speak of it change it."""
        since = self._born if self.conditions.up_for == HEALTHY.up_for else self._entered
        return (since - self.conditions.up_for + self.conditions.imds_ahead).replace(microsecond=0)

    def _renamed(self, conditions: Conditions) -> Conditions:
        """Return *conditions* with our names where they have the healthy instance's."""
        role = self._role if conditions.role == HEALTHY.role else conditions.role
        same = conditions.instance_profile == HEALTHY.instance_profile
        profile = self._instance_profile if same else conditions.instance_profile
        return replace(conditions, role=role, instance_profile=profile)


TOKEN_PATH = "/latest/api/token"  # noqa: S105 - a path
TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"
_TTL_KEY = TTL_HEADER.lower()
_TOKEN_KEY = "x-aws-ec2-metadata-token"  # noqa: S105 - a header's name
_ROLES = "meta-data/iam/security-credentials"
Headers = tuple[tuple[str, str], ...]


class Imds:
    """Answers requests as IMDS would, for the instance that `World` describes."""

    def __init__(self, world: World, seen: Seen, *, seed: str) -> None:
        """Answer from *world* and note in *seen* what was asked and which secrets were served."""
        self.world = world
        self._seen = seen
        self._tokens = Tokens(instance.key(seed))

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
        seconds = ttl(request.headers.get(_TTL_KEY))
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
            item: Item | None = Item("\n".join(VERSIONS).encode(), self.world.imds_time)
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


def where(request: Request) -> tuple[Where, ...]:
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
