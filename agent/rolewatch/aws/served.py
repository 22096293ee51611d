"""The credentials that IMDS serves, with their secrets: for one call to AWS, and for nothing else.

The only place besides `documents` that sees a secret. Nothing here shows one: no representation, no error.
"""

from __future__ import annotations

import json
from typing import Dict, Optional

from rolewatch import documents
from rolewatch.errors import ImdsError
from rolewatch.imds import Client
from rolewatch.observe import ROLES_PATH
from rolewatch.text import is_printable


class Keys:
    """One set of credentials. Not a dataclass: it shows nothing, cannot be compared, copied or written as JSON."""

    __slots__ = ("role", "secret", "token", "user")

    def __init__(self, *, role: str, user: str, secret: str, token: str) -> None:
        """Hold the three secret fields of the credentials of *role*; *user* is the access key id."""
        self.role = role
        self.user = user
        self.secret = secret
        self.token = token

    def __repr__(self) -> str:
        """Show whose they are."""
        return f"Keys({self.role!r})"

    def __reduce__(self) -> str:
        """Refuse to be pickled or copied."""
        message = "credentials are not to be copied"
        raise TypeError(message)

    def for_boto3(self) -> Dict[str, str]:
        """Return them as boto3's `client` takes them."""
        return {
            "aws_access_key_id": self.user,
            "aws_secret_access_key": self.secret,
            "aws_session_token": self.token,
        }


def fetch(client: Client) -> Optional[Keys]:
    """Ask IMDS for the credentials that it serves now; None where there are none that could be used."""
    try:
        session = client.session()
        listing = session.get(ROLES_PATH)
        if listing is None:
            return None
        role = documents.role_listing(listing.body).role
        document = session.get(ROLES_PATH, role=role)
    except ImdsError:
        return None
    return None if document is None else _keys(role, document.body)


def _keys(role: str, body: bytearray) -> Optional[Keys]:
    try:
        loaded = json.loads(body.decode("utf-8"), parse_int=str)
    except (ValueError, RecursionError):  # it holds the whole document, and ends here
        return None
    if not isinstance(loaded, dict):
        return None
    fields = {str(key).lower(): value for key, value in loaded.items() if isinstance(value, str)}
    user, secret, token = (fields.get(name, "") for name in ("accesskeyid", "secretaccesskey", "token"))
    if fields.get("code", "Success").lower() != "success" or not (user and secret and token):
        return None
    # They go into headers: what has a line end in it, or is no ASCII, must not.
    if not all(each.isascii() and is_printable(each) for each in (user, secret, token)):
        return None
    return Keys(role=role, user=user, secret=secret, token=token)
