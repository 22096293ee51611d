"""What AWS said, as values. Names and ids only: what is not shaped like AWS's own is dropped in `queries`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any


class Trouble(str, Enum):
    """Why AWS gave no answer. The contract of the JSON form."""

    ACCESS_DENIED = "access_denied"
    THROTTLED = "throttled"
    """AWS throttles; botocore has tried again, and given up. No fault of the instance's."""
    UNREACHABLE = "unreachable"
    """No connection: no route, no name, no endpoint in this network."""
    REGION_NOT_ENABLED = "region_not_enabled"
    """The account has not opted in to the Region."""
    NO_CREDENTIALS = "no_credentials"
    """There is nothing to ask AWS with."""
    REJECTED = "rejected"
    """AWS does not take the credentials: not valid, expired, or not in this partition."""
    CLOCK = "clock"
    """AWS does not take the signature, because of the time in it."""
    NO_REGION = "no_region"
    NO_SDK = "no_sdk"
    """boto3 is not installed."""
    OTHER_ACCOUNT = "other_account"
    """The credentials belong to another account than the instance."""
    ERROR = "error"
    """Anything else."""


_SENTENCES = {
    Trouble.ACCESS_DENIED: "{action} is not allowed{detail}: that permission is missing.",
    Trouble.THROTTLED: "AWS throttles {action} in this account{code}; try again later. It is no fault.",
    Trouble.UNREACHABLE: "The endpoint for {action} cannot be reached from here{detail}.",
    Trouble.REGION_NOT_ENABLED: "The account has not enabled this Region{code}, so {action} is refused.",
    Trouble.NO_CREDENTIALS: "There are no AWS credentials to ask with{detail}.",
    Trouble.REJECTED: (
        "AWS does not accept the credentials for {action}{code}: not valid, expired, of another partition, or "
        "the Region is not enabled for their account."
    ),
    Trouble.CLOCK: "AWS does not accept the time in the request {action}{code}: the local clock is wrong.",
    Trouble.NO_REGION: "No Region is known to ask {action} in: name one with --region.",
    Trouble.NO_SDK: "boto3 is not installed, so AWS cannot be asked.",
    Trouble.OTHER_ACCOUNT: "The credentials are of another account{detail}, so {action} would tell of the wrong one.",
    Trouble.ERROR: "{action} failed{code}{detail}.",
}


@dataclass(frozen=True)
class Refused:
    """A question to AWS that got no answer. Nothing of AWS's message is kept: it may quote the request's headers."""

    trouble: Trouble
    action: str
    """The IAM action, ``iam:GetInstanceProfile``."""
    code: str = ""
    """AWS's error code, where it is shaped like one."""
    detail: str = ""
    """What else is known, in some words of our own."""

    @property
    def sentence(self) -> str:
        """The refusal in one sentence."""
        code = f" ({self.code})" if self.code else ""
        detail = f" ({self.detail})" if self.detail else ""
        return _SENTENCES[self.trouble].format(action=self.action, code=code, detail=detail)


@dataclass(frozen=True)
class Missing:
    """AWS says that there is none, and that is an answer."""

    action: str
    code: str = ""


@dataclass(frozen=True)
class Caller:
    """``sts:GetCallerIdentity``: whose the credentials are."""

    arn: str
    account_id: str
    role: str | None = None
    """Of an assumed role."""
    role_id: str | None = None
    """``AROA…``: the first half of UserId."""
    session: str | None = None
    """The session's name: of an instance's role it is the instance's id."""


@dataclass(frozen=True)
class MetadataOptions:
    """How EC2 has IMDS set for the instance."""

    endpoint: str | None = None
    tokens: str | None = None
    hop_limit: int | None = None
    ipv6: str | None = None
    tags: str | None = None
    state: str | None = None


@dataclass(frozen=True)
class Instance:
    """``ec2:DescribeInstances``."""

    id: str
    state: str | None = None
    """``running``, ``stopped``…"""
    profile_arn: str | None = None
    profile_id: str | None = None
    """``IamInstanceProfile.Id`` (AWS's page calls it IamInstanceProfileId)."""
    options: MetadataOptions = MetadataOptions()


@dataclass(frozen=True)
class Association:
    """``ec2:DescribeIamInstanceProfileAssociations``: what is attached to the instance."""

    id: str | None
    """``iip-assoc-…``; None where only `Instance` told of it."""
    state: str | None
    """``associating``, ``associated``, ``disassociating``, ``disassociated``."""
    profile_arn: str | None
    profile_id: str | None
    """``AIPA…``: EC2 goes by this, not by the name."""


@dataclass(frozen=True)
class Role:
    """A role as IAM has it."""

    name: str
    id: str | None
    """``AROA…``"""
    arn: str | None
    trust: Any
    """The trust policy, as decoded JSON; `trust` judges it."""


@dataclass(frozen=True)
class Profile:
    """``iam:GetInstanceProfile``."""

    name: str
    id: str | None
    """``AIPA…``"""
    arn: str | None
    role: Role | None
    """None where it holds none. It can hold one at most."""
