"""The findings that a diagnosis judges: those on the instance, and those in AWS, which are collected here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Callable

from rolewatch.aws import client, queries
from rolewatch.aws.client import Api, Missing, Refused, Trouble
from rolewatch.aws.credentials import IAM_ROLE
from rolewatch.aws.diagnose.host import Host
from rolewatch.aws.diagnose.overrides import Overrides
from rolewatch.aws.diagnose.programs import Program
from rolewatch.aws.queries import Association, Caller, Instance, Profile, Role
from rolewatch.aws_names import parse_arn, partition_of
from rolewatch.faults import Fault
from rolewatch.monitor.classify import Finding, Verdict
from rolewatch.observation import Answered, Credentials, Failure, Observation, ProfileInfo, RoleListing, Unanswered
from rolewatch.publish import Snapshot
from rolewatch.vocabulary import Evidence


@dataclass(frozen=True)
class LocalFindings:
    """What was found on the instance itself: by IMDS, and on this host."""

    observation: Observation
    verdict: Verdict
    snapshot: Snapshot
    host: Host
    overrides: Overrides
    user: str = "this user"
    """The user who runs the command: firewall rules differ between users."""
    program: Program | None = None
    """The program whose overrides these are; None: those of `user`."""
    request: Evidence | None = None
    """What a request as `program` failed with, empty if it was answered; None if there was none."""
    accepted: tuple[str, ...] = ()
    """The responders, besides this instance's IMDS, whose credentials the settings accept."""

    @property
    def whose(self) -> str:
        """The program or the user whose overrides these are."""
        return self.program.name if self.program else self.user

    @property
    def failure(self) -> Failure | None:
        """The request that failed, if IMDS gave no session token."""
        return self.observation.failure if isinstance(self.observation, Unanswered) else None

    @property
    def answered(self) -> Answered | None:
        """What IMDS answered, if it gave a session token."""
        return self.observation if isinstance(self.observation, Answered) else None

    @property
    def info(self) -> ProfileInfo | None:
        """``iam/info``, if it could be read."""
        return self.answered.info if self.answered and isinstance(self.answered.info, ProfileInfo) else None

    @property
    def role(self) -> str | None:
        """The role that IMDS lists."""
        listing = self.answered.listing if self.answered else None
        return listing.role if isinstance(listing, RoleListing) else None

    def finding(self, *faults: Fault) -> Finding | None:
        """Return the first of *faults* that IMDS alone shows, in the order of `Fault`."""
        return next((finding for finding in self.verdict.findings if finding.fault in faults), None)


@dataclass(frozen=True)
class AwsFindings:
    """What AWS answered."""

    caller: Caller | Refused
    instance: Instance | Missing | Refused | None
    """None if the instance's id is not known."""
    association: Association | Missing | Refused | None
    profile_name: str | None = None
    """The name of the instance profile in the call to IAM; None if none is known."""
    profile: Profile | Missing | Refused | None = None
    profile_twice: bool = False
    """Whether IAM was called twice: it is eventually consistent, and its first answer was bad news."""
    role: Role | Missing | Refused | None = None
    """The role that IMDS serves, if the instance profile does not have it."""
    policies_of: str | None = None
    """The role that IMDS serves, or else the one in the instance profile."""
    policies: Mapping[str, Any] | Missing | Refused | None = None
    """The inline policies of that role."""
    method: str = ""
    """Where the credentials for the calls came from, in botocore's words."""
    proof: Caller | Refused | None = None
    """What STS says of the credentials that IMDS serves; None if there are none."""

    @property
    def known_profile(self) -> Profile | None:
        """IAM's instance profile, if IAM returned it."""
        return self.profile if isinstance(self.profile, Profile) else None

    @property
    def role_in_profile(self) -> Role | None:
        """The role in IAM's instance profile."""
        return self.known_profile.role if self.known_profile else None

    @property
    def attached(self) -> Association | None:
        """What EC2 has attached, by whichever call returned it."""
        association, instance = self.association, self.instance
        if isinstance(association, Association):
            return association
        if isinstance(instance, Instance) and instance.profile_arn and not isinstance(association, Missing):
            return Association(None, None, instance.profile_arn, instance.profile_id)
        return None

    @property
    def attached_id(self) -> str | None:
        """The id of the attached instance profile in EC2."""
        if self.attached is None or self.attached.profile_id:
            return self.attached.profile_id if self.attached else None
        return self.instance.profile_id if isinstance(self.instance, Instance) else None


@dataclass(frozen=True)
class Context:
    """Everything that the checks judge."""

    aws: AwsFindings
    local: LocalFindings | None = None
    """None on a workstation."""
    instance_id: str | None = None
    region: str | None = None
    expected_role: tuple[str, ...] = ()
    now: datetime | None = None
    """The local time, for a workstation: there the age of the credentials is not known."""
    units: tuple[LocalFindings, ...] = ()
    """The findings for each service that runs, if all are to be judged."""

    @property
    def issued(self) -> datetime | None:
        """When the credentials that IMDS serves were issued."""
        document = self.local.answered.credentials if self.local and self.local.answered else None
        return document.last_updated if isinstance(document, Credentials) else None

    @property
    def info(self) -> ProfileInfo | None:
        """``iam/info``, if it could be read."""
        return self.local.info if self.local else None

    @property
    def served_role(self) -> str | None:
        """The role that IMDS lists."""
        return self.local.role if self.local else None

    @property
    def account_id(self) -> str | None:
        """The account of the instance."""
        identity = self.local.answered.identity if self.local and self.local.answered else None
        if identity and identity.account_id:
            return identity.account_id
        return queries.account_of(self.aws.attached.profile_arn) if self.aws.attached else None

    @property
    def partition(self) -> str:
        """The AWS partition of the instance, ``aws`` or another."""
        arn = parse_arn(self.aws.known_profile.arn) if self.aws.known_profile else None
        return arn.partition if arn else partition_of(self.region or "")


SECOND_CALL_AFTER = 3.0
"""Seconds until the second call after bad news from IAM: it is eventually consistent, mostly within seconds."""

Pause = Callable[[float], None]


@dataclass(frozen=True)
class Subject:
    """What is known of the instance before the first call to AWS."""

    instance_id: str | None = None
    region: str | None = None
    account_id: str | None = None
    instance_profile: str | None = None
    """From IMDS, or from the daemon's state."""
    instance_profile_id: str | None = None
    served_role: str | None = None


def collect(
    api: Api, subject: Subject, *, pause: Pause, method: str = "", proof: Caller | Refused | None = None
) -> AwsFindings:
    """Return what EC2 and IAM say about *subject*, by credentials from *method*. Reads only.

    *proof* is what STS said of the served credentials: a call that it answers already is not made.
    """
    caller = _caller(api, method, proof)
    instance = queries.instance(api, subject.instance_id) if subject.instance_id else None
    association = queries.association(api, subject.instance_id) if subject.instance_id else None
    if isinstance(association, Missing) and isinstance(instance, Instance) and instance.manager:
        association = None  # EC2 may hide it, as it hides the instance
    found = AwsFindings(caller, instance, association, method=method, proof=proof)
    arn = found.attached.profile_arn if found.attached else None
    name = queries.last_segment(arn) or subject.instance_profile
    refused = _other_account(found.caller, subject.account_id or queries.account_of(arn))
    ids = (found.attached_id, subject.instance_profile_id)
    profile, twice = _profile(api, name, ids, pause, refused)
    found = replace(found, profile_name=name, profile=profile, profile_twice=twice)
    policies_of = subject.served_role or (found.role_in_profile.name if found.role_in_profile else None)
    return replace(
        found,
        role=_role(api, subject.served_role, profile),
        policies_of=policies_of,
        policies=refused or queries.inline_policies(api, policies_of) if policies_of else None,
    )


def _caller(api: Api, method: str, proof: Caller | Refused | None) -> Caller | Refused:
    """Return whose credentials are used. No call if *proof* says it, or that STS cannot be reached."""
    if isinstance(proof, Caller) and method == IAM_ROLE:
        return proof
    if isinstance(proof, Refused) and proof.trouble is Trouble.UNREACHABLE and method:
        return proof
    return queries.caller(api)


def _other_account(caller: Caller | Refused, account: str | None) -> Refused | None:
    """Return why IAM is not called, if the caller is of another account: IAM answers for the caller's own."""
    if account is None or not isinstance(caller, Caller) or caller.account_id == account:
        return None
    detail = f"{caller.account_id}, and the instance is in {account}"
    return Refused(Trouble.OTHER_ACCOUNT, client.PROFILE.action, detail=detail)


def _profile(
    api: Api, name: str | None, ids: tuple[str | None, ...], pause: Pause, refused: Refused | None
) -> tuple[Profile | Missing | Refused | None, bool]:
    """Return the instance profile, after a second call if the first one says that it is gone, another, or empty."""
    if name is None:
        return None, False
    if refused is not None:
        return refused, False
    first = queries.profile(api, name)
    if isinstance(first, Refused):
        return first, False
    if isinstance(first, Profile) and first.role and all(each in (None, first.id) for each in ids):
        return first, False
    pause(SECOND_CALL_AFTER)
    second = queries.profile(api, name)
    return (first, False) if isinstance(second, Refused) else (second, True)


def _role(api: Api, served: str | None, profile: Profile | Missing | Refused | None) -> Role | Missing | Refused | None:
    """Return the role that IMDS serves, if the instance profile does not have it: it may be deleted."""
    if served is None or profile is None or isinstance(profile, Refused):
        return None
    current = profile.role.name if isinstance(profile, Profile) and profile.role else ""
    return None if current.lower() == served.lower() else queries.role(api, served)
