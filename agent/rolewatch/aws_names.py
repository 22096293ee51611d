"""AWS's names: what can be the name of a role or an instance profile, and the partition of a Region."""

from __future__ import annotations

import re

NAME = re.compile(r"(?!\.{1,2}\Z)[\w+=,.@-]{1,128}", re.ASCII)
"""Names of roles (64 characters at most) and instance profiles (128). IAM API reference, 2026. Not ``.`` and ``..``:
they are names to IAM, and folders in the path that is asked next."""
NAME_PATTERN = re.compile(r"[\w+=,.@*?\[\]!-]{1,128}", re.ASCII)
KEY_ID = re.compile(r"A(?:BI|CC|KI|SI)A[A-Z0-9]{12,}")
"""The shape of an access key id (IAM user guide, unique identifiers, 2026). What looks like it is not shown."""
ERROR_CODE = re.compile(r"[A-Za-z]{3,39}")
"""A word. The longest on record has 27 letters; a secret access key has 40, and one may be of letters only."""
PROFILE_ARN = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:instance-profile/(?:[!-~]{0,511}/)?([\w+=,.@-]+)", re.ASCII)
"""A path may hold any printable character (IAM API reference, CreateInstanceProfile, 2026)."""
PROFILE_ID = re.compile(r"\bAIPA[A-Z0-9]{8,124}\b")
INSTANCE_ID = re.compile(r"i-[0-9a-f]{8,17}")
REGION = re.compile(r"[a-z]{2,5}(-[a-z]{2,10}){1,3}-\d{1,2}", re.ASCII)
ACCOUNT_ID = re.compile(r"\d{12}", re.ASCII)


def matching(pattern: re.Pattern[str], text: str | None) -> str | None:
    """Return *text* if all of it matches *pattern* and it does not look like an access key id, else None."""
    return text if text and pattern.fullmatch(text) and not KEY_ID.fullmatch(text) else None


def name(text: str) -> str | None:
    """Return *text* where it can be the name of a role or instance profile, else None."""
    return matching(NAME, text)


_PARTITIONS = (
    ("cn-", "aws-cn"),
    ("us-gov-", "aws-us-gov"),
    ("us-iso-", "aws-iso"),
    ("us-isob-", "aws-iso-b"),
    ("eu-isoe-", "aws-iso-e"),
    ("us-isof-", "aws-iso-f"),
    ("eusc-", "aws-eusc"),
)
"""The partition of a Region, by how its name begins (botocore's `partitions.json`, 2026)."""


def partition_of(region: str) -> str:
    """Return the AWS partition that *region* is in: ``aws`` for all that are not known to be elsewhere."""
    return next((partition for prefix, partition in _PARTITIONS if region.startswith(prefix)), "aws")
