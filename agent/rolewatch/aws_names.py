"""AWS's names: of roles and instance profiles, patterns of them, ids, Regions and ARNs. One grammar for all rooms."""

from __future__ import annotations

import re
from typing import NamedTuple

NAME = re.compile(r"(?!\.{1,2}\Z)[\w+=,.@-]{1,128}", re.ASCII)
"""Names of roles (64 characters at most) and instance profiles (128). IAM API reference, 2026. Not ``.`` and ``..``:
they are names to IAM, and folders in the path of the next request."""
KEY_ID = re.compile(r"A(?:BI|CC|KI|SI)A[A-Z0-9]{12,}")
"""The shape of an access key id (IAM user guide, unique identifiers, 2026). Text of this shape is not shown."""
ERROR_CODE = re.compile(r"[A-Za-z]{3,39}")
"""A word. The longest on record has 27 letters; a secret access key has 40, and one may be of letters only."""
PROFILE_ID = re.compile(r"\bAIPA[A-Z0-9]{8,124}\b")
UNIQUE_ID = re.compile(r"A[A-Z]{3}[A-Z0-9]{8,124}")
"""The id of a role, an instance profile or another entity of IAM (IAM user guide, unique identifiers, 2026)."""
INSTANCE_ID = re.compile(r"i-[0-9a-f]{8,17}")
REGION = re.compile(r"[a-z]{2,5}(-[a-z]{2,10}){1,3}-\d{1,2}", re.ASCII)
ACCOUNT_ID = re.compile(r"\d{12}", re.ASCII)

_ARN = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):(?P<service>iam|sts)::(?P<account>[^:]{0,64}):(?P<kind>[a-z-]+)"
    r"(?:/(?P<path>[!-~]{1,700}))?"
)
"""A path may hold any printable character (IAM API reference, CreateInstanceProfile, 2026)."""

_IN_SET = r"[\w+=,.@]"
_SET = rf"\[!?-?(?:{_IN_SET}-{_IN_SET}|{_IN_SET})+-?\]"
_PATTERN = re.compile(rf"(?:[\w+=,.@*?-]|{_SET})+", re.ASCII)
_SETS = re.compile(_SET, re.ASCII)
_RANGE = re.compile(rf"({_IN_SET})-({_IN_SET})", re.ASCII)


class Arn(NamedTuple):
    """An ARN of IAM or STS: ``arn:PARTITION:SERVICE::ACCOUNT:KIND/PATH``."""

    text: str
    partition: str
    service: str
    """``iam`` or ``sts``."""
    account: str
    kind: str
    """``role``, ``instance-profile``, ``assumed-role``…"""
    path: str
    """What follows the kind; empty for the root user."""

    @property
    def name(self) -> str:
        """The last segment of the path, which is the name to IAM's API. Empty if the path ends in a slash."""
        return self.path.rpartition("/")[2]


def parse_arn(text: str | None, *, any_account: bool = False) -> Arn | None:
    """Return the parts of *text*, or None if it is no ARN of IAM or STS.

    The account has 12 digits; with *any_account* it may be anything, as people write ``*`` in a pattern.
    """
    match = _ARN.fullmatch(text) if text else None
    if match is None or not (any_account or ACCOUNT_ID.fullmatch(match["account"])):
        return None
    return Arn(match[0], match["partition"], match["service"], match["account"], match["kind"], match["path"] or "")


def matching(pattern: re.Pattern[str], text: str | None) -> str | None:
    """Return *text* if all of it matches *pattern* and it does not look like an access key id, else None."""
    return text if text and pattern.fullmatch(text) and not KEY_ID.fullmatch(text) else None


def name(text: str) -> str | None:
    """Return *text* if it can be the name of a role or instance profile, else None."""
    return matching(NAME, text)


def name_pattern(text: str, *, longest: int = 128) -> str | None:
    """Return *text* if it is a pattern that can match a name of at most *longest* characters, else None.

    The wildcards are ``*``, ``?`` and sets of characters: ``[abc]``, ``[a-c]``, ``[!a-c]``. A range from high to low
    matches nothing, and `fnmatch` before Python 3.9.13 raises `re.error` for it: see `empty_range`.
    """
    found = matching(_PATTERN, text)
    return found if found and _length(found) <= longest and not empty_range(found) else None


def _length(pattern: str) -> int:
    """Return the number of characters of the shortest name that *pattern* matches. A set stands for one character."""
    return len(_SETS.sub("?", pattern).replace("*", ""))


def empty_range(pattern: str) -> str:
    """Return the first range in *pattern* that goes from high to low, such as ``c-a``, or the empty string.

    Case does not count: names are compared in lower case.
    """
    ranges = (each for chosen in _SETS.findall(pattern) for each in _RANGE.findall(chosen))
    return next((f"{low}-{high}" for low, high in ranges if low.lower() > high.lower()), "")


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
    """Return the AWS partition that *region* is in: ``aws`` if it is not known."""
    return next((partition for prefix, partition in _PARTITIONS if region.startswith(prefix)), "aws")


def iam_region(partition: str) -> str:
    """Return the Region that serves IAM, and keeps its events in CloudTrail, in *partition*."""
    return {"aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}.get(partition, "us-east-1")
