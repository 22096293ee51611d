"""``preflight attach-role``: may this principal put this role into this instance profile? Pure."""

from __future__ import annotations

from dataclasses import dataclass

from rolewatch.aws.checks import Check, Outcome
from rolewatch.aws.client import Refused
from rolewatch.aws.preflight.launch_checks import caller
from rolewatch.aws.preflight.names import Given
from rolewatch.aws.preflight.permission_checks import PrincipalAnswer, SimulatedAnswer, permission
from rolewatch.aws.preflight.profile_checks import (
    NamesAnswer,
    ProfileAnswer,
    RoleAnswer,
    profile_exists,
    role_exists,
    trusts_ec2_later,
    vacancy,
)
from rolewatch.aws.queries import Caller


@dataclass(frozen=True)
class Attach:
    """All that was asked before a role is put into an instance profile."""

    given: Given
    given_role: Given
    caller: Caller | Refused
    principal: PrincipalAnswer
    """Who is to do it."""
    partition: str
    profile: ProfileAnswer
    namesake: RoleAnswer
    """The role with the name of the instance profile; only asked for where there is no such profile."""
    holders: NamesAnswer
    """The instance profiles that hold the namesake."""
    role: RoleAnswer
    add_role: SimulatedAnswer | None
    pass_role: SimulatedAnswer | None


def _caller(seen: Attach) -> Outcome:
    return caller(seen.caller, seen.principal)


def _profile(seen: Attach) -> Outcome:
    return profile_exists(seen.given, seen.profile, seen.namesake, seen.holders)


def _role(seen: Attach) -> Outcome:
    return role_exists(seen.given_role, seen.role)


def _vacancy(seen: Attach) -> Outcome:
    return vacancy(seen.profile, seen.given_role.name)


def _add_role(seen: Attach) -> Outcome:
    return permission("iam:AddRoleToInstanceProfile", seen.add_role, seen.principal)


def _pass_role(seen: Attach) -> Outcome:
    return permission("iam:PassRole", seen.pass_role, seen.principal)


def _trust(seen: Attach) -> Outcome:
    return trusts_ec2_later(seen.role, seen.partition)


ATTACH_CHECKS: tuple[Check[Attach], ...] = (
    Check("attach.caller", "AWS knows who asks", _caller),
    Check("attach.profile", "The instance profile exists, and is no role", _profile),
    Check("attach.role", "The role exists", _role),
    Check("attach.vacancy", "The instance profile holds no role yet", _vacancy),
    Check("attach.add_role", "The principal may iam:AddRoleToInstanceProfile", _add_role),
    Check("attach.pass_role", "The principal may iam:PassRole the role to EC2", _pass_role),
    Check("attach.trust", "The role's trust policy lets EC2 in", _trust),
)
