"""Parse IMDS's bytes into values. The only module that sees a secret, and no secret leaves it.

Every function is total over arbitrary bytes: it returns a value of `observation` or raises `ImdsError`. The failure has
the document's path and the reason, and nothing of the document.

Names, ids and codes pass only if they look like AWS's. Anything else is dropped, so that a secret in the wrong field
does not get out either. JSON keys are compared without regard to case (the Rust SDK does; seen from
emulators). Content-Type is ignored: IMDS serves JSON as ``text/plain`` (recordings of 2021, AWS Rust SDK).
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Union

from rolewatch import aws_names
from rolewatch.aws_names import (
    ACCOUNT_ID,
    ERROR_CODE,
    INSTANCE_ID,
    PROFILE_ID,
    REGION,
    matching,
    name,
    parse_arn,
)
from rolewatch.errors import ImdsError
from rolewatch.observation import Credentials, Failure, Identity, ProfileInfo, RoleListing
from rolewatch.text import timestamp
from rolewatch.vocabulary import Document, Phase, Reason

IDENTITY_PATH = "dynamic/instance-identity/document"

Body = Union[bytes, bytearray]
"""What IMDS sent. Of a `bytearray` the secrets are overwritten as they are read."""
_WITHOUT_ROLE = re.compile(r"does not contain a role", re.IGNORECASE)
"""AWS's wording on "Troubleshoot IAM and Amazon EC2"; no verbatim recording of the whole message is public."""

_SECRET = re.compile(
    rb"""(?i)"(?:(?P<key_id>AccessKeyId)|SecretAccessKey|Token)"[ \t\r\n]*:[ \t\r\n]*"""
    rb""""(?P<value>[^"\\]{8,})(?:"|\Z)"""
)
"""A secret as IMDS writes it: no quote and no escape in it. It may be cut off, or hold any other byte."""
_VISIBLE = re.compile(rb"[!-~]+")
_LONGEST_PATTERN = 128
FINGERPRINT = 8
"""Hex digits by which a set of credentials is known."""

_NEEDED = ("AccessKeyId", "SecretAccessKey", "Token", "Expiration")
"""The fields without which botocore refuses the document (`botocore/utils.py`, 2026-08)."""


def profile_info(body: Body) -> ProfileInfo:
    """Read ``iam/info``. Raise `ImdsError` if it is empty, not JSON, or names no profile."""
    fields = _json_object(body, Document.INFO.value)
    message = fields.get("message") or ""
    arn = parse_arn(fields.get("instanceprofilearn"))
    profile = name(arn.name) if arn and arn.kind == "instance-profile" else None
    found = PROFILE_ID.search(fields.get("instanceprofileid") or message)
    code = matching(ERROR_CODE, fields.get("code"))
    if not (code or profile or found):
        raise _unreadable(Document.INFO.value)
    return ProfileInfo(
        code=code,
        without_role=bool(_WITHOUT_ROLE.search(message)),
        name=profile,
        arn=arn.text if arn and profile else None,
        id=found.group() if found else None,
        last_updated=timestamp(fields.get("lastupdated")),
    )


def role_listing(body: Body) -> RoleListing:
    """Read ``iam/security-credentials/``. Raise `ImdsError` if it is empty or its first line is not a role name."""
    document = Document.LISTING.value
    lines = [line.rstrip("\r") for line in _text(body, document).split("\n")]
    first = name(lines[0])
    if first is None:
        raise _unreadable(document)
    return RoleListing(role=first, roles=sum(bool(line) for line in lines))


def credentials(role: str, body: Body) -> Credentials:
    """Read *role*'s credentials document without its secrets, which are overwritten in a `bytearray`.

    A document with an error Code, or without some of its fields, is a value. Raise `ImdsError` if it is no credentials
    document at all.
    """
    fingerprints = _blank(body) if isinstance(body, bytearray) else {}
    fields = _json_object(body, Document.CREDENTIALS.value)
    code = fields.get("code")
    if not code and not any(key.lower() in fields for key in _NEEDED):
        raise _unreadable(Document.CREDENTIALS.value)
    expiration = timestamp(fields.get("expiration"))
    key_id = fields.get("accesskeyid")
    fingerprint = None
    if key_id:
        fingerprint = fingerprints.get(key_id) or _digest(key_id.encode("utf-8", "replace"))
    missing = [key for key in _NEEDED if not (fields.get(key.lower()) or "").strip()]
    if expiration is None and "Expiration" not in missing:
        missing.append("Expiration")
    return Credentials(
        role=role,
        code=(matching(ERROR_CODE, code) or "unreadable") if code else None,
        last_updated=timestamp(fields.get("lastupdated")),
        expiration=expiration,
        fingerprint=fingerprint,
        missing=tuple(missing),
    )


def _blank(body: bytearray) -> dict[str, str]:
    """Overwrite the secrets in *body*; return the fingerprint of each access key id, by the text that replaces it.

    `json` would create a `str` of each secret, which cannot be overwritten and stays in memory after it is freed; the
    error of a decoder would hold a copy of the whole document. The document stays valid, because printable ASCII in a
    string is replaced with printable ASCII. A secret with an escape in it, which was never seen, is read like any other
    field.
    """
    fingerprints = {}
    with memoryview(body) as view:
        for match in _SECRET.finditer(body):
            start, end = match.span("value")
            is_key_id = match.start("key_id") >= 0
            stand_in = _digest(view[start:end]) if is_key_id else "x"
            for run in _VISIBLE.finditer(body, start, end):
                length = run.end() - run.start()
                view[run.start() : run.end()] = (stand_in * length)[:length].encode()
            if is_key_id:
                fingerprints[body[start:end].decode("utf-8", "replace")] = stand_in
    return fingerprints


def _digest(key_id: bytes | memoryview) -> str:
    return hashlib.sha256(key_id).hexdigest()[:FINGERPRINT]


def identity(body: Body) -> Identity:
    """Read the instance identity document. Raise `ImdsError` if it names no instance."""
    document = IDENTITY_PATH
    fields = _json_object(body, document)
    instance_id = matching(INSTANCE_ID, fields.get("instanceid"))
    if instance_id is None:
        raise _unreadable(document)
    return Identity(
        instance_id=instance_id,
        region=matching(REGION, fields.get("region")),
        account_id=matching(ACCOUNT_ID, fields.get("accountid")),
        pending_time=timestamp(fields.get("pendingtime")),
    )


def name_pattern(body: Body) -> str | None:
    """Read the value of an instance tag that names a role or an instance profile; None if it cannot be one.

    Wildcards are allowed. An ARN is cut to its name.
    """
    try:
        text = body.decode("utf-8").strip()
    except UnicodeDecodeError:
        return None
    arn = parse_arn(text, any_account=True)
    pattern = arn.name if arn else text
    return aws_names.name_pattern(pattern) if len(pattern) <= _LONGEST_PATTERN else None


def _json_object(body: Body, document: str) -> dict[str, str]:
    """Return the JSON object's fields that are strings, keys in lower case. Numbers stay text: they may be long.

    Here and in `_text` the error is raised outside of the handlers: `JSONDecodeError.doc` and
    `UnicodeDecodeError.object` hold the whole document, and ``from None`` would leave them in ``__context__``.
    """
    text = _text(body, document)
    try:
        loaded = json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        loaded = None
    if not isinstance(loaded, dict):
        raise _unreadable(document)
    return {key.lower(): value for key, value in loaded.items() if isinstance(value, str)}


def _text(body: Body, document: str) -> str:
    try:
        text = body.decode("utf-8").strip()
    except UnicodeDecodeError:
        text = None
    if text is None:
        raise _unreadable(document)
    if not text:
        raise ImdsError(Failure(Phase.DOCUMENT, Reason.EMPTY, document, status=200))
    return text


def _unreadable(document: str) -> ImdsError:
    return ImdsError(Failure(Phase.DOCUMENT, Reason.MALFORMED, document, status=200))
