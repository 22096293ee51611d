"""What a diagnosis rests on: what IMDS said, what this host says, what AWS answered. Frozen; the checks judge it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple, Union

from rolewatch.aws import reads
from rolewatch.aws.answers import Association, Caller, Instance, Missing, Profile, Refused, Role
from rolewatch.aws.host import Host
from rolewatch.aws.shadow import Shadows
from rolewatch.explain import partition_of
from rolewatch.faults import Fault
from rolewatch.model import (
    Answered,
    Credentials,
    Finding,
    Identity,
    Observation,
    ProfileInfo,
    RoleListing,
    Snapshot,
    Verdict,
)


@dataclass(frozen=True)
class Look:
    """What was seen on the instance itself."""

    seen: Observation
    verdict: Verdict
    snapshot: Snapshot
    host: Host
    shadows: Shadows
    user: str = ""
    """Who looked: the verdict on reachability, and on what shadows the role, is this user's."""


@dataclass(frozen=True)
class Asked:
    """What AWS answered."""

    caller: Union[Caller, Refused]
    instance: Union[Instance, Missing, Refused, None]
    """None where the instance's id is not known."""
    association: Union[Association, Missing, Refused, None]
    profile_name: Optional[str] = None
    """The name that IAM was asked for; None where none is known."""
    profile: Union[Profile, Missing, Refused, None] = None
    profile_twice: bool = False
    """Whether IAM was asked twice: it is eventually consistent, and what it said first was bad news."""
    role: Union[Role, Missing, Refused, None] = None
    """The role that IMDS serves, asked for where the instance profile does not hold it."""
    method: str = ""
    """Where the credentials came from that AWS was asked with, in botocore's words."""


@dataclass(frozen=True)
class Context:
    """Everything that the checks may know."""

    asked: Asked
    look: Optional[Look] = None
    """None from a workstation."""
    proof: Union[Caller, Refused, None] = None
    """What STS says of the served credentials; None where none are served, or none were looked for."""
    instance_id: Optional[str] = None
    region: Optional[str] = None
    expected_role: Tuple[str, ...] = ()

    @property
    def answered(self) -> Optional[Answered]:
        """What IMDS said; None where it gave no token, or was not asked."""
        seen = self.look.seen if self.look else None
        return seen if isinstance(seen, Answered) else None

    @property
    def identity(self) -> Optional[Identity]:
        """What the instance identity document says."""
        return self.answered.identity if self.answered else None

    @property
    def info(self) -> Optional[ProfileInfo]:
        """``iam/info``, where it could be read."""
        info = self.answered.info if self.answered else None
        return info if isinstance(info, ProfileInfo) else None

    @property
    def served_role(self) -> Optional[str]:
        """The role that IMDS lists."""
        listing = self.answered.listing if self.answered else None
        return listing.role if isinstance(listing, RoleListing) else None

    @property
    def credentials(self) -> Optional[Credentials]:
        """The credentials document without its secrets, where it could be read."""
        document = self.answered.credentials if self.answered else None
        return document if isinstance(document, Credentials) else None

    @property
    def profile(self) -> Optional[Profile]:
        """IAM's instance profile, where IAM told of it."""
        return self.asked.profile if isinstance(self.asked.profile, Profile) else None

    @property
    def attached(self) -> Optional[Association]:
        """What EC2 has attached, by whichever call told."""
        association, instance = self.asked.association, self.asked.instance
        if isinstance(association, Association):
            return association
        if isinstance(instance, Instance) and instance.profile_arn and not isinstance(association, Missing):
            return Association(None, None, instance.profile_arn, instance.profile_id)
        return None

    @property
    def attached_id(self) -> Optional[str]:
        """The id of the attached instance profile, as EC2 tells it."""
        instance = self.asked.instance
        told = self.attached.profile_id if self.attached else None
        return told or (instance.profile_id if isinstance(instance, Instance) and self.attached else None)

    @property
    def account_id(self) -> Optional[str]:
        """The account of the instance."""
        if self.identity and self.identity.account_id:
            return self.identity.account_id
        return reads.account_of(self.attached.profile_arn) if self.attached else None

    @property
    def partition(self) -> str:
        """The AWS partition of the instance, ``aws`` or another."""
        arn = self.profile.arn if self.profile else None
        return arn.split(":")[1] if arn else partition_of(self.region or "")

    def finding(self, *faults: Fault) -> Optional[Finding]:
        """Return the first of *faults* that holds by IMDS alone."""
        findings = self.look.verdict.findings if self.look else ()
        return next((finding for finding in findings if finding.fault in faults), None)
