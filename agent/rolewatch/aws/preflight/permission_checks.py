"""Whether a principal may do something: from the policy simulator, or from a dry run. Pure."""

from __future__ import annotations

from typing import Union

from rolewatch.aws.checks import Outcome, passed, refused, skipped, unknown
from rolewatch.aws.client import Missing, Refused, Trouble
from rolewatch.aws.preflight import profile_checks, simulation
from rolewatch.aws.preflight.names import Kind, Principal
from rolewatch.aws.preflight.outcome import Decision, Listed, Rehearsed, Simulated, fails, may_fail
from rolewatch.faults.remedy import Step

RehearsedAnswer = Union[Rehearsed, Refused]

_JUDGED = (Trouble.ACCESS_DENIED, Trouble.ERROR)
"""What EC2 says of the launch; anything else says only that it could not be asked."""


def read_dry_run(refusal: Refused) -> RehearsedAnswer:
    """Return what *refusal* says of the launch. A dry run is always refused; ``DryRunOperation`` is the good one."""
    if refusal.trouble in _JUDGED and refusal.code:
        return Rehearsed(refusal.code)
    return refusal


def judge_dry_run(seen: RehearsedAnswer, without: RehearsedAnswer | None, who: str) -> Outcome:
    """Say what the dry run by *who* shows; *without* is one without the instance profile, made where *seen* failed."""
    if isinstance(seen, Refused):
        return refused(seen)
    if seen.allowed:
        return passed(f"EC2 would launch an instance with this instance profile for {who}.", code=seen.code)
    alone = without.code if isinstance(without, Rehearsed) else None
    if seen.unauthorized:
        note, missing = _unauthorized(without, who)
        step = Step(f"Have {missing} allowed. {profile_checks.ADMIN}")
        return fails(note, step, code=seen.code, code_without=alone)
    if isinstance(without, Rehearsed) and without.allowed:
        return fails(
            f"EC2 answers {seen.code} with the instance profile, and would launch without it: the trouble is confined "
            "to the instance profile.",
            code=seen.code,
            code_without=alone,
        )
    return unknown(
        f"EC2 answers {seen.code}, and not because of the instance profile: the dry run itself was not in order. "
        "Look at --image-id, --instance-type, --subnet-id and --region.",
        code=seen.code,
        code_without=alone,
    )


def _unauthorized(without: RehearsedAnswer | None, who: str) -> tuple[str, str]:
    """Say which permission is missing, as far as the dry run without the instance profile tells."""
    if isinstance(without, Rehearsed) and without.allowed:
        note = (
            f"EC2 does not let {who} launch with the instance profile, and does without it: the trouble is confined to "
            "the role, and iam:PassRole is missing."
        )
        return note, "iam:PassRole on the role"
    if isinstance(without, Rehearsed) and without.unauthorized:
        note = (
            f"EC2 does not let {who} launch, neither with the instance profile nor without it: ec2:RunInstances is "
            "missing. Whether iam:PassRole is, too, the dry run does not tell."
        )
        return note, "ec2:RunInstances"
    note = f"EC2 does not let {who} launch with the instance profile. Whether it would without one, it did not tell."
    return note, "ec2:RunInstances, and iam:PassRole on the role"


SimulatedAnswer = Union[Simulated, Missing, Refused]
PrincipalAnswer = Union[Principal, Refused]

WHO = "someone with iam:SimulatePrincipalPolicy, or the principal itself, by a dry run"


def permission(action: str, seen: SimulatedAnswer | None, principal: PrincipalAnswer) -> Outcome:
    """Say whether *principal* may *action*; *seen* is None where the simulator was not asked."""
    if isinstance(principal, Refused):
        return refused(principal, WHO)
    if isinstance(seen, Simulated):
        return simulation.judge(seen, principal)
    if isinstance(seen, Refused):
        return refused(seen, WHO)
    if isinstance(seen, Missing):
        hint = " Its role may have a path, which a session does not tell: give the role's ARN with --principal."
        return unknown(
            f"IAM knows no such principal: {principal.arn}.{hint if principal.kind is Kind.SESSION else ''}",
            code=seen.code or None,
        )
    return _not_simulated(action, principal)


def _not_simulated(action: str, principal: Principal) -> Outcome:
    if principal.kind is Kind.ROOT:
        return passed("The root user is limited by no policy of its account.", action=action)
    if principal.kind is Kind.FEDERATED:
        return skipped(f"IAM's policy simulator does not take {principal.shown}.", WHO)
    return skipped(f"What to ask {action} for is not known: see the checks above.")


def run_instances(
    seen: SimulatedAnswer | None,
    principal: PrincipalAnswer,
    tried: RehearsedAnswer | None,
    without: RehearsedAnswer | None,
) -> Outcome:
    """Say whether *principal* may ``ec2:RunInstances``; a dry run, with the profile or *without*, decides first."""
    action = "ec2:RunInstances"
    for dry_run in (tried, without):
        if isinstance(dry_run, Rehearsed) and dry_run.allowed:
            return passed(f"EC2 allowed {action} in a dry run.", action=action)
    if not (isinstance(seen, Simulated) and _narrow(seen)):
        return permission(action, seen, principal)
    return may_fail(
        f"{action} is not allowed on every resource (*), which AWS's page asks for. A policy may still allow it for "
        "certain images, types, subnets and so on, and a launch of just these works.",
        Step("To decide it, name what is to be launched: a dry run with --image-id asks EC2 itself."),
        profile_checks.allow(action, "*"),
        action=action,
        decision=seen.decision.value,
    )


def _narrow(seen: Simulated) -> bool:
    """Return whether policies that allow the action for some resources only would look like *seen*."""
    barred = seen.organization is False or seen.boundary is False
    return seen.decision is Decision.IMPLICIT_DENY and not seen.missing and not barred


def pass_role(seen: SimulatedAnswer | None, principal: PrincipalAnswer, tried: RehearsedAnswer | None) -> Outcome:
    """Say whether *principal* may ``iam:PassRole`` the role to EC2; a dry run that was allowed decides before all."""
    if isinstance(tried, Rehearsed) and tried.allowed:
        return passed("EC2 allowed iam:PassRole in a dry run.", action="iam:PassRole")
    return permission("iam:PassRole", seen, principal)


def list_profiles(seen: SimulatedAnswer | None, principal: PrincipalAnswer, tried: Listed | Refused | None) -> Outcome:
    """Say whether *principal* may ``iam:ListInstanceProfiles``.

    *tried* is what the caller's own call showed, made where the simulator did not tell.
    """
    action = "iam:ListInstanceProfiles"
    if isinstance(tried, Listed):
        return passed(f"The call itself was allowed: {action}.", action=action)
    if isinstance(tried, Refused) and tried.trouble is Trouble.ACCESS_DENIED:
        return fails(
            f"{tried.sentence} The console's list of roles stays empty without it.",
            profile_checks.allow(action, "*"),
            action=action,
        )
    return permission(action, seen, principal)
