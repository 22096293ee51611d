"""Collect what a diagnosis rests on: IMDS's answers, this host's, AWS's. Asks, never judges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Optional, Tuple, Union

from rolewatch.aws import client, queries
from rolewatch.aws.client import Api
from rolewatch.aws.credentials import IAM_ROLE
from rolewatch.aws.diagnose.credential_overrides import Shadows
from rolewatch.aws.diagnose.host import Host
from rolewatch.aws.model import Association, Caller, Instance, Missing, Profile, Refused, Role, Trouble
from rolewatch.aws_names import partition_of
from rolewatch.monitor.classify import Finding, Verdict
from rolewatch.observation import Answered, Credentials, Identity, Observation, ProfileInfo, RoleListing
from rolewatch.publish import Snapshot
from rolewatch.vocabulary import Fault


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
        return queries.account_of(self.attached.profile_arn) if self.attached else None

    @property
    def partition(self) -> str:
        """The AWS partition of the instance, ``aws`` or another."""
        arn = self.profile.arn if self.profile else None
        return arn.split(":")[1] if arn else partition_of(self.region or "")

    def finding(self, *faults: Fault) -> Optional[Finding]:
        """Return the first of *faults* that holds by IMDS alone."""
        findings = self.look.verdict.findings if self.look else ()
        return next((finding for finding in findings if finding.fault in faults), None)


SECOND_LOOK = 3.0
"""Seconds until IAM is asked again where it had bad news: it is eventually consistent, within seconds as a rule."""

Pause = Callable[[float], None]


@dataclass(frozen=True)
class Subject:
    """What is known of the instance before AWS is asked."""

    instance_id: Optional[str] = None
    account_id: Optional[str] = None
    instance_profile: Optional[str] = None
    """By IMDS, or as remembered."""
    instance_profile_id: Optional[str] = None
    served_role: Optional[str] = None


def ask(
    door: Api, subject: Subject, *, pause: Pause, method: str = "", proof: Union[Caller, Refused, None] = None
) -> Asked:
    """Ask EC2 and IAM about *subject*, with credentials that *method* gave. Reads only; nothing is changed.

    *proof* is what STS said of the served credentials: it is not asked again for what it has just told.
    """
    caller = _caller(door, method, proof)
    instance = queries.instance(door, subject.instance_id) if subject.instance_id else None
    association = queries.association(door, subject.instance_id) if subject.instance_id else None
    arn, attached_id = _attached(instance, association)
    name = queries.last_segment(arn) or subject.instance_profile
    account = subject.account_id or queries.account_of(arn)
    profile, twice = _profile(door, name, (attached_id, subject.instance_profile_id), pause, _stranger(caller, account))
    return Asked(
        caller=caller,
        instance=instance,
        association=association,
        profile_name=name,
        profile=profile,
        profile_twice=twice,
        role=_role(door, subject.served_role, profile),
        method=method,
    )


def _caller(door: Api, method: str, proof: Union[Caller, Refused, None]) -> Union[Caller, Refused]:
    """Ask who the credentials belong to, where that is not known, and where STS has not just been out of reach."""
    if isinstance(proof, Caller) and method == IAM_ROLE:
        return proof
    if isinstance(proof, Refused) and proof.trouble is Trouble.UNREACHABLE and method:
        return proof
    return queries.caller(door)


def _attached(
    instance: Union[Instance, Missing, Refused, None], association: Union[Association, Missing, Refused, None]
) -> Tuple[Optional[str], Optional[str]]:
    """Return ARN and id of what EC2 has attached, the association's before the instance's."""
    told = [association.profile_arn] if isinstance(association, Association) else []
    ids = [association.profile_id] if isinstance(association, Association) else []
    if isinstance(instance, Instance):
        told.append(instance.profile_arn)
        ids.append(instance.profile_id)
    return next(filter(None, told), None), next(filter(None, ids), None)


def _stranger(caller: Union[Caller, Refused], account: Optional[str]) -> Optional[Refused]:
    """Return why IAM is not asked: it would tell of the caller's account, whatever the instance's is."""
    if account is None or not isinstance(caller, Caller) or caller.account_id == account:
        return None
    detail = f"{caller.account_id}, and the instance is in {account}"
    return Refused(Trouble.OTHER_ACCOUNT, client.PROFILE.action, detail=detail)


def _profile(
    door: Api, name: Optional[str], ids: Tuple[Optional[str], ...], pause: Pause, stranger: Optional[Refused]
) -> Tuple[Union[Profile, Missing, Refused, None], bool]:
    """Ask for the instance profile; twice where the first answer is that it is gone, another, or empty."""
    if name is None:
        return None, False
    if stranger is not None:
        return stranger, False
    first = queries.profile(door, name)
    if isinstance(first, Refused):
        return first, False
    if isinstance(first, Profile) and first.role and all(each in (None, first.id) for each in ids):
        return first, False
    pause(SECOND_LOOK)
    second = queries.profile(door, name)
    return (first, False) if isinstance(second, Refused) else (second, True)


def _role(
    door: Api, served: Optional[str], profile: Union[Profile, Missing, Refused, None]
) -> Union[Role, Missing, Refused, None]:
    """Ask for the role that IMDS serves, where the instance profile does not hold it: it may be deleted."""
    if served is None or profile is None or isinstance(profile, Refused):
        return None
    held = profile.role.name if isinstance(profile, Profile) and profile.role else ""
    return None if held.lower() == served.lower() else queries.role(door, served)
