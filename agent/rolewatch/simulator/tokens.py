"""Session tokens that need no memory: each carries its own end, signed.

56 characters of base64url that begin with ``AQAEA`` and end with ``==``, as recorded in 2021.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import math
import re
import struct
from datetime import datetime, timedelta, timezone
from typing import Optional

MIN_TTL = 1
MAX_TTL = 21600
"""Seconds. EC2 user guide, "How Instance Metadata Service Version 2 works", 2026."""
_HEAD = b"\x01\x00\x04\x00"
_BODY = struct.Struct(">QI")  # end in microseconds since 1970, count
_SIGNATURE_BYTES = 24
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_TTL = re.compile(r"[0-9]{1,5}", re.ASCII)


def ttl(text: Optional[str]) -> Optional[int]:
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
