"""Parses the names and ARNs on the command line of ``preflight``: instance profiles, roles and principals."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from rolewatch.aws_names import NAME, parse_arn
from rolewatch.errors import UsageError

_LONGEST_PROFILE = 128
_LONGEST_ROLE = 64


class Kind(str, Enum):
    """The kind of a principal, as a sentence names it."""

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
    """The principal whose permissions are checked: the caller, or ``--principal``."""

    arn: str
    partition: str
    account: str
    kind: Kind
    name: str
    """The name without its path; of a session the name of its role; empty for the root user."""

    @property
    def shown(self) -> str:
        """The principal in a sentence: ``the user ops``."""
        return f"the {self.kind.value} {self.name}" if self.name else f"the {self.kind.value}"

    @property
    def role_arn(self) -> str:
        """The ARN of a session's role, without its path, which the ARN of a session lacks."""
        return f"arn:{self.partition}:iam::{self.account}:role/{self.name}"


@dataclass(frozen=True)
class ResourceName:
    """The name or ARN of an instance profile or a role, from the command line."""

    name: str
    """The last segment of the ARN, which IAM's API uses."""
    arn: str | None = None
    """None for a plain name."""
    kind: str = "instance-profile"
    """``role`` where the ARN of a role was given for an instance profile."""


def parse_profile(text: str) -> ResourceName:
    """Return the instance profile that *text* names. Raise `UsageError` where it is neither a name nor an ARN.

    The ARN of a role is accepted, and `ResourceName.kind` is then ``role``: preflight reports that confusion.
    """
    return _parse(text, "instance profile", ("instance-profile", "role"), _LONGEST_PROFILE)


def parse_role(text: str) -> ResourceName:
    """Return the role that *text* names. Raise `UsageError` where it is neither a name nor an ARN."""
    return _parse(text, "role", ("role",), _LONGEST_ROLE)


def _parse(text: str, kind: str, kinds: tuple[str, ...], longest: int) -> ResourceName:
    if not text.startswith("arn:"):
        return ResourceName(_checked(text, kind, longest), kind=kinds[0])
    arn = parse_arn(text)
    if arn is None or arn.service != "iam" or arn.kind not in kinds or not arn.path:
        example = f"arn:aws:iam::123456789012:{kinds[0]}/NAME"
        raise UsageError(f"{text!r} is not the ARN of an IAM {kind}. It looks like {example}; the name is enough, too.")
    return ResourceName(_checked(arn.name, kind, longest), text, arn.kind)


def _checked(name: str, kind: str, longest: int) -> str:
    if not NAME.fullmatch(name) or len(name) > longest:
        raise UsageError(
            f"{name!r} cannot be the name of an IAM {kind}: 1 to {longest} letters, digits or _+=,.@- and no path."
        )
    return name


def parse_principal(text: str) -> Principal:
    """Return the principal that *text* names. Raise `UsageError` if it is no user, role, group or session."""
    arn = parse_arn(text)
    kind = _KINDS.get((arn.service, arn.kind)) if arn else None
    if arn is None or kind is None or not (arn.path or kind is Kind.ROOT):
        raise UsageError(
            f"{text!r} is not the ARN of a principal. Give that of a user or a role, such as "
            "arn:aws:iam::123456789012:user/NAME; `aws sts get-caller-identity` shows your own."
        )
    name = arn.path.partition("/")[0] if kind is Kind.SESSION else arn.name
    return Principal(text, arn.partition, arn.account, kind, name)


def service_of_launch(partition: str) -> str:
    """Return ``iam:PassedToService`` of RunInstances in *partition*.

    China has its own name (karpenter-provider-aws#6843, 2024; terraform-aws-eks#3057, #3155).
    """
    return "ec2.amazonaws.com.cn" if partition == "aws-cn" else SERVICE_OF_PROFILE


SERVICE_OF_PROFILE = "ec2.amazonaws.com"
"""``iam:PassedToService`` of AddRoleToInstanceProfile, in China, too (karpenter-provider-aws#6843, 2024;
terraform-aws-eks#3422, 2025)."""
