"""Ask AWS what a diagnosis needs, in the order in which one answer leads to the next. Asks and never judges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Optional, Tuple, Union

from rolewatch.aws import api, reads
from rolewatch.aws.answers import Association, Caller, Instance, Missing, Profile, Refused, Role, Trouble
from rolewatch.aws.api import Api
from rolewatch.aws.context import Asked
from rolewatch.aws.session import IAM_ROLE

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
    instance = reads.instance(door, subject.instance_id) if subject.instance_id else None
    association = reads.association(door, subject.instance_id) if subject.instance_id else None
    arn, attached_id = _attached(instance, association)
    name = reads.last_segment(arn) or subject.instance_profile
    account = subject.account_id or reads.account_of(arn)
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
    return reads.caller(door)


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
    return Refused(Trouble.OTHER_ACCOUNT, api.PROFILE.action, detail=detail)


def _profile(
    door: Api, name: Optional[str], ids: Tuple[Optional[str], ...], pause: Pause, stranger: Optional[Refused]
) -> Tuple[Union[Profile, Missing, Refused, None], bool]:
    """Ask for the instance profile; twice where the first answer is that it is gone, another, or empty."""
    if name is None:
        return None, False
    if stranger is not None:
        return stranger, False
    first = reads.profile(door, name)
    if isinstance(first, Refused):
        return first, False
    if isinstance(first, Profile) and first.role and all(each in (None, first.id) for each in ids):
        return first, False
    pause(SECOND_LOOK)
    second = reads.profile(door, name)
    return (first, False) if isinstance(second, Refused) else (second, True)


def _role(
    door: Api, served: Optional[str], profile: Union[Profile, Missing, Refused, None]
) -> Union[Role, Missing, Refused, None]:
    """Ask for the role that IMDS serves, where the instance profile does not hold it: it may be deleted."""
    if served is None or profile is None or isinstance(profile, Refused):
        return None
    held = profile.role.name if isinstance(profile, Profile) and profile.role else ""
    return None if held.lower() == served.lower() else reads.role(door, served)
