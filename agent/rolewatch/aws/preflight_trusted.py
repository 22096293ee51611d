"""Whether a role's trust policy lets EC2 in, before any instance depends on it. Pure."""

from __future__ import annotations

from typing import Tuple, Union

from rolewatch.aws import trust
from rolewatch.aws.answers import Missing, Refused, Role
from rolewatch.aws.checks import Outcome, passed, refused, skipped
from rolewatch.aws.preflight_values import Advised, fails, may_fail
from rolewatch.aws.trust import Trust
from rolewatch.explain import explain
from rolewatch.faults import Fault, Step

_LATER = "An instance would start, and get no credentials: AssumeRoleUnauthorizedAccess."


def trusts_ec2(role: Union[Role, Missing, Refused, None], partition: str) -> Outcome:
    """Say whether EC2 may assume *role*; None where there is no role to ask for."""
    if isinstance(role, Refused):
        return refused(role, "someone with iam:GetInstanceProfile or iam:GetRole")
    if role is None or isinstance(role, Missing):
        return skipped("There is no role to judge.")
    reading = trust.judge(role.trust, partition)
    if reading.trust is Trust.ALLOWS:
        return passed(reading.why, role=role.name)
    if reading.trust is Trust.UNDECIDED:
        return may_fail(f"{reading.why} Only IMDS on an instance tells. {_LATER}", *_fix(role), role=role.name)
    return fails(f"{reading.why} {_LATER}", *_fix(role), role=role.name)


def trusts_ec2_later(role: Union[Role, Missing, Refused, None], partition: str) -> Outcome:
    """Say the same where the role is only to be put into an instance profile, which that does not hinder."""
    outcome = trusts_ec2(role, partition)
    if isinstance(outcome, Advised) and not outcome.may_fail:
        return may_fail(f"The role can be put in all the same. {outcome.note}", *outcome.fix, **outcome.facts)
    return outcome


def _fix(role: Role) -> Tuple[Step, ...]:
    """Return the steps of the table of faults that set a trust policy right."""
    explained = explain(Fault.TRUST_POLICY_DENIES_EC2, {"role": role.name}, {"role": role.name})
    return tuple(step for step in explained.fix if "cloudtrail" not in step.command)
