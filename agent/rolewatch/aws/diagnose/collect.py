"""Collect what a diagnosis rests on: IMDS's answers, this host's, AWS's. Asks, never judges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

from rolewatch.aws import client, queries
from rolewatch.aws.client import Api, Missing, Refused, Trouble
from rolewatch.aws.credentials import IAM_ROLE
from rolewatch.aws.diagnose.credential_overrides import Shadows
from rolewatch.aws.diagnose.host import Host
from rolewatch.aws.queries import Association, Caller, Instance, Profile, Role
from rolewatch.aws_names import partition_of
from rolewatch.faults import Fault
from rolewatch.monitor.classify import Finding, Verdict
from rolewatch.observation import Answered, Credentials, Identity, Observation, ProfileInfo, RoleListing
from rolewatch.publish import Snapshot


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

    caller: Caller | Refused
    instance: Instance | Missing | Refused | None
    """None where the instance's id is not known."""
    association: Association | Missing | Refused | None
    profile_name: str | None = None
    """The name that IAM was asked for; None where none is known."""
    profile: Profile | Missing | Refused | None = None
    profile_twice: bool = False
    """Whether IAM was asked twice: it is eventually consistent, and what it said first was bad news."""
    role: Role | Missing | Refused | None = None
    """The role that IMDS serves, asked for where the instance profile does not hold it."""
    method: str = ""
    """Where the credentials came from that AWS was asked with, in botocore's words."""


@dataclass(frozen=True)
class Context:
    """Everything that the checks may know."""

    asked: Asked
    look: Look | None = None
    """None from a workstation."""
    proof: Caller | Refused | None = None
    """What STS says of the served credentials; None where none are served, or none were looked for."""
    instance_id: str | None = None
    region: str | None = None
    expected_role: tuple[str, ...] = ()

    @property
    def answered(self) -> Answered | None:
        """What IMDS said; None where it gave no token, or was not asked."""
        seen = self.look.seen if self.look else None
        return seen if isinstance(seen, Answered) else None

    @property
    def identity(self) -> Identity | None:
        """What the instance identity document says."""
        return self.answered.identity if self.answered else None

    @property
    def info(self) -> ProfileInfo | None:
        """``iam/info``, where it could be read."""
        info = self.answered.info if self.answered else None
        return info if isinstance(info, ProfileInfo) else None

    @property
    def served_role(self) -> str | None:
        """The role that IMDS lists."""
        listing = self.answered.listing if self.answered else None
        return listing.role if isinstance(listing, RoleListing) else None

    @property
    def credentials(self) -> Credentials | None:
        """The credentials document without its secrets, where it could be read."""
        document = self.answered.credentials if self.answered else None
        return document if isinstance(document, Credentials) else None

    @property
    def profile(self) -> Profile | None:
        """IAM's instance profile, where IAM told of it."""
        return self.asked.profile if isinstance(self.asked.profile, Profile) else None

    @property
    def attached(self) -> Association | None:
        """What EC2 has attached, by whichever call told."""
        association, instance = self.asked.association, self.asked.instance
        if isinstance(association, Association):
            return association
        if isinstance(instance, Instance) and instance.profile_arn and not isinstance(association, Missing):
            return Association(None, None, instance.profile_arn, instance.profile_id)
        return None

    @property
    def attached_id(self) -> str | None:
        """The id of the attached instance profile, as EC2 tells it."""
        instance = self.asked.instance
        told = self.attached.profile_id if self.attached else None
        return told or (instance.profile_id if isinstance(instance, Instance) and self.attached else None)

    @property
    def account_id(self) -> str | None:
        """The account of the instance."""
        if self.identity and self.identity.account_id:
            return self.identity.account_id
        return queries.account_of(self.attached.profile_arn) if self.attached else None

    @property
    def partition(self) -> str:
        """The AWS partition of the instance, ``aws`` or another."""
        arn = self.profile.arn if self.profile else None
        return arn.split(":")[1] if arn else partition_of(self.region or "")

    def finding(self, *faults: Fault) -> Finding | None:
        """Return the first of *faults* that holds by IMDS alone."""
        findings = self.look.verdict.findings if self.look else ()
        return next((finding for finding in findings if finding.fault in faults), None)


SECOND_LOOK = 3.0
"""Seconds until IAM is asked again where it had bad news: it is eventually consistent, within seconds as a rule."""

Pause = Callable[[float], None]


@dataclass(frozen=True)
class Subject:
    """What is known of the instance before AWS is asked."""

    instance_id: str | None = None
    account_id: str | None = None
    instance_profile: str | None = None
    """By IMDS, or as remembered."""
    instance_profile_id: str | None = None
    served_role: str | None = None


def ask(door: Api, subject: Subject, *, pause: Pause, method: str = "", proof: Caller | Refused | None = None) -> Asked:
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


def _caller(door: Api, method: str, proof: Caller | Refused | None) -> Caller | Refused:
    """Ask who the credentials belong to, where that is not known, and where STS has not just been out of reach."""
    if isinstance(proof, Caller) and method == IAM_ROLE:
        return proof
    if isinstance(proof, Refused) and proof.trouble is Trouble.UNREACHABLE and method:
        return proof
    return queries.caller(door)


def _attached(
    instance: Instance | Missing | Refused | None, association: Association | Missing | Refused | None
) -> tuple[str | None, str | None]:
    """Return ARN and id of what EC2 has attached, the association's before the instance's."""
    told = [association.profile_arn] if isinstance(association, Association) else []
    ids = [association.profile_id] if isinstance(association, Association) else []
    if isinstance(instance, Instance):
        told.append(instance.profile_arn)
        ids.append(instance.profile_id)
    return next(filter(None, told), None), next(filter(None, ids), None)


def _stranger(caller: Caller | Refused, account: str | None) -> Refused | None:
    """Return why IAM is not asked: it would tell of the caller's account, whatever the instance's is."""
    if account is None or not isinstance(caller, Caller) or caller.account_id == account:
        return None
    detail = f"{caller.account_id}, and the instance is in {account}"
    return Refused(Trouble.OTHER_ACCOUNT, client.PROFILE.action, detail=detail)


def _profile(
    door: Api, name: str | None, ids: tuple[str | None, ...], pause: Pause, stranger: Refused | None
) -> tuple[Profile | Missing | Refused | None, bool]:
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
    door: Api, served: str | None, profile: Profile | Missing | Refused | None
) -> Role | Missing | Refused | None:
    """Ask for the role that IMDS serves, where the instance profile does not hold it: it may be deleted."""
    if served is None or profile is None or isinstance(profile, Refused):
        return None
    held = profile.role.name if isinstance(profile, Profile) and profile.role else ""
    return None if held.lower() == served.lower() else queries.role(door, served)
