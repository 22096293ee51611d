"""What one poll of IMDS observed, as values. No I/O, no clock, no judgement.

No secret is an attribute of anything here: `SecretAccessKey`, `Token` and `AccessKeyId` end in `imds.documents`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Union

from rolewatch.vocabulary import Evidence, Phase, Reason


@dataclass(frozen=True)
class Moment:
    """What the clocks said at one look. The only form in which time travels."""

    utc: datetime
    """Local wall clock, aware, UTC. May be wrong."""
    uptime: float
    """Seconds since boot, suspended time included (CLOCK_BOOTTIME). Never goes backwards."""


@dataclass(frozen=True)
class Failure:
    """A request to IMDS that gave no usable answer, with the evidence."""

    phase: Phase
    reason: Reason
    document: str = ""
    """The path below ``/latest/`` that was asked for, without the role's name."""
    errno: int | None = None
    status: int | None = None

    @property
    def evidence(self) -> Evidence:
        """The failure as evidence."""
        facts = {
            "phase": self.phase.value,
            "reason": self.reason.value,
            "errno": self.errno,
            "http_status": self.status,
            "document": self.document or None,
        }
        return {key: value for key, value in facts.items() if value is not None}


@dataclass(frozen=True)
class Absent:
    """IMDS said 404: there is none, and that is an answer."""


@dataclass(frozen=True)
class ProfileInfo:
    """``iam/info``: what EC2 says of the instance profile."""

    code: str | None
    """``Success``, ``InstanceProfileNotFound``, another word of AWS's; None where the document has none."""
    without_role: bool
    """The Message says that the profile does not contain a role. The Code is ``Success`` then!"""
    name: str | None
    """The profile's name: the last segment of its ARN."""
    arn: str | None
    id: str | None
    """``AIPA…``; from the Message where the profile was not found."""
    last_updated: datetime | None


@dataclass(frozen=True)
class RoleListing:
    """``iam/security-credentials/``: the role that IMDS serves. Its name, never the profile's."""

    role: str
    """The first line, as the Go and Ruby SDKs read it."""
    roles: int = 1
    """How many lines there were. More than one is not normal."""


@dataclass(frozen=True)
class Credentials:
    """``iam/security-credentials/<role>`` without its secrets."""

    role: str
    code: str | None
    """As served; None where the document has none, which botocore accepts."""
    last_updated: datetime | None
    expiration: datetime | None
    fingerprint: str | None
    """8 hex digits of SHA-256 of the access key id: tells two sets apart and identifies none."""
    missing: tuple[str, ...]
    """The names of the fields that SDKs need and that are absent, empty or unreadable."""


@dataclass(frozen=True)
class RoleBinding:
    """Which role and instance profile an instance has; None for what is not known."""

    role: str | None = None
    instance_profile: str | None = None
    instance_profile_id: str | None = None


@dataclass(frozen=True)
class Identity:
    """What the instance identity document says of the instance."""

    instance_id: str
    region: str | None = None
    account_id: str | None = None
    pending_time: datetime | None = None
    """When the instance was last launched or started."""


@dataclass(frozen=True)
class Tags:
    """What the instance's tags expect. None where there is no such tag, or IMDS serves no tags."""

    role: str | None = None
    instance_profile: str | None = None


@dataclass(frozen=True)
class Unanswered:
    """One poll that got no session token: nothing about the role could be asked."""

    failure: Failure
    date: datetime | None = None
    """IMDS's clock (`Date`), where an answer carried one."""


@dataclass(frozen=True)
class Answered:
    """One poll that got a session token. The two documents are two independent verdicts."""

    info: ProfileInfo | Absent | Failure
    listing: RoleListing | Absent | Failure
    credentials: Credentials | Absent | Failure | None
    """None where the listing named no role to ask for."""
    identity: Identity | None = None
    """Only in polls that asked for it."""
    tags: Tags | None = None
    """Only in polls that asked for them and were answered."""
    date: datetime | None = None
    """IMDS's clock (`Date` of the last answer), one-second resolution."""


Observation = Union[Answered, Unanswered]
"""What one poll saw."""
