"""``preflight launch``: may this principal launch instances with this instance profile? Pure."""

from __future__ import annotations

from dataclasses import dataclass

from rolewatch.aws.checks import Check, Outcome, passed, refused, skipped
from rolewatch.aws.client import Missing, Refused
from rolewatch.aws.preflight import permission_checks
from rolewatch.aws.preflight.names import Given, Principal
from rolewatch.aws.preflight.outcome import fails
from rolewatch.aws.preflight.permission_checks import (
    PrincipalAnswer,
    RehearsedAnswer,
    SimulatedAnswer,
    pass_role,
    run_instances,
)
from rolewatch.aws.preflight.profile_checks import (
    NamesAnswer,
    ProfileAnswer,
    RoleAnswer,
    holds_role,
    profile_exists,
    trusts_ec2,
)
from rolewatch.aws.queries import Caller, Profile


@dataclass(frozen=True)
class Launch:
    """All that was asked before a launch."""

    given: Given
    caller: Caller | Refused
    principal: PrincipalAnswer
    """Who is to launch."""
    partition: str
    profile: ProfileAnswer
    namesake: RoleAnswer
    """The role with the name of the instance profile; only asked for where there is no such profile."""
    holders: NamesAnswer
    """The instance profiles that hold the namesake."""
    run_instances: SimulatedAnswer | None
    pass_role: SimulatedAnswer | None
    tried: RehearsedAnswer | None
    """The dry run; None where none was made."""
    tried_without: RehearsedAnswer | None
    """The dry run without the instance profile; None where none was made."""
    not_tried: str = ""
    """Why no dry run was made."""


def caller(answer: Caller | Refused, principal: PrincipalAnswer) -> Outcome:
    """Say who asks, and whether that account is the principal's."""
    if isinstance(answer, Refused):
        return refused(answer)
    if isinstance(principal, Principal) and principal.account != answer.account_id:
        return fails(
            f"The credentials are of account {answer.account_id}, and the principal is of account {principal.account}: "
            "IAM tells of its own account only, and roles can only be passed within one. Ask with credentials of "
            f"account {principal.account}.",
            account_id=answer.account_id,
        )
    return passed(f"Asked as {answer.arn}.", arn=answer.arn, account_id=answer.account_id)


def _caller(seen: Launch) -> Outcome:
    return caller(seen.caller, seen.principal)


def _profile(seen: Launch) -> Outcome:
    return profile_exists(seen.given, seen.profile, seen.namesake, seen.holders)


def _role(seen: Launch) -> Outcome:
    return holds_role(seen.profile)


def _trust(seen: Launch) -> Outcome:
    role = seen.profile.role if isinstance(seen.profile, Profile) else seen.profile
    return trusts_ec2(None if isinstance(role, Missing) else role, seen.partition)


def _run_instances(seen: Launch) -> Outcome:
    return run_instances(seen.run_instances, seen.principal, seen.tried, seen.tried_without)


def _pass_role(seen: Launch) -> Outcome:
    return pass_role(seen.pass_role, seen.principal, seen.tried)


def _dry_run(seen: Launch) -> Outcome:
    if seen.tried is None:
        return skipped(seen.not_tried)
    who = seen.principal.shown if isinstance(seen.principal, Principal) else "the caller"
    return permission_checks.judge_dry_run(seen.tried, seen.tried_without, who)


LAUNCH_CHECKS: tuple[Check[Launch], ...] = (
    Check("launch.caller", "AWS knows who asks", _caller),
    Check("launch.profile", "The instance profile exists, and is no role", _profile),
    Check("launch.role", "The instance profile holds a role", _role),
    Check("launch.trust", "The role's trust policy lets EC2 in", _trust),
    Check("launch.run_instances", "The principal may ec2:RunInstances", _run_instances),
    Check("launch.pass_role", "The principal may iam:PassRole the role to EC2", _pass_role),
    Check("launch.dry_run", "EC2 agrees in a dry run", _dry_run),
)
"""In the order of AWS's page, what stands first hinders first."""
