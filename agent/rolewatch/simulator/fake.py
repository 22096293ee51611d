"""Made-up secrets and ids: AWS's shapes, and plainly not AWS's. The same seed makes the same ones."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from typing import Tuple

ACCOUNT_ID = "111122223333"
"""One of the account ids that AWS's own documentation uses."""
_KEY_ID_LENGTH = 20
_SECRET_LENGTH = 40
_TOKEN_BYTES = 798
"""Makes documents of the size that was recorded: 1322 to 1610 bytes."""


@dataclass(frozen=True)
class Secrets:
    """The three secret fields of one set of credentials. Never valid anywhere; shown by nobody all the same."""

    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    token: str = field(repr=False)

    @property
    def strings(self) -> Tuple[str, str, str]:
        """All three."""
        return self.access_key_id, self.secret_access_key, self.token


def secrets(*seed: str) -> Secrets:
    """Make the set of credentials that belongs to *seed*: ``ASIA…``, 40 characters, and some 900."""
    noise = _noise("/".join(seed), _TOKEN_BYTES)
    letters = base64.b32encode(noise[:30]).decode("ascii").replace("=", "")
    text = base64.b64encode(noise).decode("ascii")
    return Secrets(
        access_key_id=("ASIAFAKE" + letters)[:_KEY_ID_LENGTH],
        secret_access_key=("fake/" + text[100:])[:_SECRET_LENGTH],
        token="IQoJb3JpZ2luX2VjFAKE" + text,
    )


def profile_id(name: str) -> str:
    """Make the id of the instance profile called *name*: ``AIPA`` and 17 characters."""
    return "AIPAFAKE" + base64.b32encode(_noise(name, 10)).decode("ascii")[:13]


def key(*seed: str) -> bytes:
    """Make 32 bytes to sign session tokens with."""
    return _noise("session tokens/" + "/".join(seed), 32)


def _noise(seed: str, length: int) -> bytes:
    return hashlib.shake_256(f"rolewatch simulator/{seed}".encode()).digest(length)
