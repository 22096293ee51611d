"""What was named on the command line of ``preflight``: instance profiles, roles and principals. Values only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from rolewatch.errors import UsageError

# The patterns of IAM's API reference (2026): instanceProfileNameType and roleNameType.
_NAME = re.compile(r"[A-Za-z0-9_+=,.@-]+")
_ARN = re.compile(r"arn:(?P<partition>aws[a-z-]*):(?P<service>[a-z0-9-]+)::(?P<account>\d{12}):(?P<resource>\S+)")
_LONGEST_PROFILE = 128
_LONGEST_ROLE = 64


class Kind(str, Enum):
    """What a principal is."""

    USER = "user"
    ROLE = "role"
    GROUP = "group"
    SESSION = "session of the role"
    """A session of an assumed role."""
    FEDERATED = "federated user"
    ROOT = "root user"


_KINDS = {
    ("iam", "user"): Kind.USER,
    ("iam", "role"): Kind.ROLE,
    ("iam", "group"): Kind.GROUP,
    ("iam", "root"): Kind.ROOT,
    ("sts", "assumed-role"): Kind.SESSION,
    ("sts", "federated-user"): Kind.FEDERATED,
}


@dataclass(frozen=True)
class Principal:
    """Who is to do it: the caller, or the one given with ``--principal``."""

    arn: str
    partition: str
    account: str
    kind: Kind
    name: str
    """The name without its path; of a session the name of its role; empty for the root user."""

    @property
    def shown(self) -> str:
        """What to call it in a sentence."""
        return f"the {self.kind.value} {self.name}" if self.name else f"the {self.kind.value}"

    @property
    def role_arn(self) -> str:
        """The ARN of a session's role, as far as the session tells: a role's path is not part of it."""
        return f"arn:{self.partition}:iam::{self.account}:role/{self.name}"


@dataclass(frozen=True)
class Given:
    """An instance profile or a role as it was given: by its name, or by its ARN."""

    name: str
    """The last segment of the ARN: that is what IAM's API takes."""
    arn: str | None = None
    """None where only the name was given."""
    kind: str = "instance-profile"
    """``role`` where the ARN of a role was given for an instance profile."""
    partition: str | None = None
    account: str | None = None


def parse_profile(text: str) -> Given:
    """Return what *text*, the name or ARN of an instance profile, names. Raise `UsageError` where it can be neither.

    The ARN of a role is let through, as `Given.kind` tells: to mistake the one for the other is what preflight is for.
    """
    return _given(text, "instance profile", ("instance-profile", "role"), _LONGEST_PROFILE)


def parse_role(text: str) -> Given:
    """Return what *text*, the name or ARN of a role, names. Raise `UsageError` where it can be neither."""
    return _given(text, "role", ("role",), _LONGEST_ROLE)


def _given(text: str, noun: str, kinds: tuple[str, ...], longest: int) -> Given:
    if not text.startswith("arn:"):
        return Given(_checked(text, noun, longest), kind=kinds[0])
    match = _ARN.fullmatch(text)
    kind, _, path = match["resource"].partition("/") if match else ("", "", "")
    if not match or match["service"] != "iam" or kind not in kinds or not path:
        example = f"arn:aws:iam::123456789012:{kinds[0]}/NAME"
        raise UsageError(f"{text!r} is not the ARN of an IAM {noun}. It looks like {example}; its name will do, too.")
    name = _checked(path.rpartition("/")[2], noun, longest)
    return Given(name, text, kind, match["partition"], match["account"])


def _checked(name: str, noun: str, longest: int) -> str:
    if not _NAME.fullmatch(name) or len(name) > longest:
        raise UsageError(
            f"{name!r} cannot be the name of an IAM {noun}: 1 to {longest} letters, digits or _+=,.@- and no path."
        )
    return name


def parse_principal(arn: str) -> Principal:
    """Return the principal that *arn* names. Raise `UsageError` where it is none whose permissions can be asked for."""
    match = _ARN.fullmatch(arn)
    kind, _, path = match["resource"].partition("/") if match else ("", "", "")
    known = _KINDS.get((match["service"], kind)) if match else None
    if not match or known is None or (not path and known is not Kind.ROOT):
        raise UsageError(
            f"{arn!r} is not the ARN of a principal. Give that of a user or a role, such as "
            "arn:aws:iam::123456789012:user/NAME; `aws sts get-caller-identity` shows your own."
        )
    parts = path.split("/")
    name = parts[0] if known is Kind.SESSION else parts[-1]
    return Principal(arn, match["partition"], match["account"], known, name)


def service_of_launch(partition: str) -> str:
    """Return what ``iam:PassedToService`` is where a role is passed to EC2 with an instance, by RunInstances.

    China has its own name there (karpenter-provider-aws#6843, 2024; terraform-aws-eks#3057, #3155); all others have the
    plain one.
    """
    return "ec2.amazonaws.com.cn" if partition == "aws-cn" else SERVICE_OF_PROFILE


SERVICE_OF_PROFILE = "ec2.amazonaws.com"
"""What ``iam:PassedToService`` is where a role is put into an instance profile: the plain name, in China, too
(karpenter-provider-aws#6843, 2024; terraform-aws-eks#3422, 2025)."""
