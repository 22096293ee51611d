"""Checks of an instance profile, its role and the trust policy, and the steps that fix them. Pure."""

from __future__ import annotations

import json
from typing import Union

from rolewatch.aws import trust_policy
from rolewatch.aws.checks import Outcome, passed, refused, skipped
from rolewatch.aws.client import Missing, Refused
from rolewatch.aws.preflight.names import Given
from rolewatch.aws.preflight.outcome import Advised, fails, may_fail
from rolewatch.aws.queries import Profile, Role
from rolewatch.aws.trust_policy import Trust
from rolewatch.faults import Fault
from rolewatch.faults.explain import explain
from rolewatch.faults.remedy import Step
from rolewatch.shell import option, placeholder

ADMIN = "Whoever may change no permissions asks an administrator of IAM."

NOT_YET = (
    "Where it was created within the last minutes, ask again: IAM is eventually consistent, and EC2 has been seen to "
    "need up to two minutes to know a new instance profile."
)
"""Terraform's AWS provider retries for two minutes (hashicorp/terraform#15341)."""

OTHER_PROFILE = Step(
    f"Name another. These are the names that exist (needs iam:ListInstanceProfiles). {NOT_YET}",
    "aws iam list-instance-profiles \\\n"
    "  --query 'InstanceProfiles[].[InstanceProfileName,Roles[].RoleName]' --output json",
)

HERE = Step("Give the name, or the ARN that exists here.")


def allow(action: str, resource: str, whose: str = "") -> Step:
    """Return the step that allows *action* on *resource* in a policy of *whose*."""
    statement = json.dumps({"Effect": "Allow", "Action": action, "Resource": resource})
    where = f" in a policy of {whose}" if whose else ""
    return Step(f"Allow {action} on {resource}{where}, with a statement such as this. {ADMIN}", statement)


def find_holders(role: str) -> Step:
    """Return the step that looks up which instance profiles hold *role*."""
    return Step(
        "Find the instance profiles of the role (needs iam:ListInstanceProfilesForRole).",
        f"aws iam list-instance-profiles-for-role {option('role-name', role)} \\\n"
        "  --query 'InstanceProfiles[].InstanceProfileName' --output json",
    )


def create(name: str, role: str = "") -> Step:
    """Return the step that creates the instance profile *name* with *role* in it."""
    return Step(
        "Create an instance profile, and put the role in (needs iam:CreateInstanceProfile, "
        "iam:AddRoleToInstanceProfile, and iam:PassRole on the role). The IAM console does both by itself when it "
        "creates a role for EC2; CLI, API and most tools do not.",
        f"aws iam create-instance-profile {option('instance-profile-name', name)}\n{_add(name, role)}",
    )


def fill(profile: str) -> Step:
    """Return the step that puts a role into the empty instance profile *profile*."""
    return Step(
        "Put the role in (needs iam:AddRoleToInstanceProfile on the instance profile, and iam:PassRole on the role). "
        f"`rolewatch preflight attach-role` checks that. {NOT_YET}",
        _add(profile),
    )


def make_room(profile: str, *, old: str, new: str) -> tuple[Step, ...]:
    """Return the ways to have the role *new* where *profile* holds *old*.

    AWS: "To update permissions for an instance, replace its instance profile. We do not recommend removing a role from
    an instance profile" (IAM user guide, Use instance profiles, 2026).
    """
    return (
        Step(
            "Best, leave it as it is and make a second instance profile for the new role: AWS advises to replace an "
            "instance's profile, and not the role in it, which takes up to an hour to be noticed.",
            f"aws iam create-instance-profile {option('instance-profile-name', new)}\n{_add(new, new)}",
        ),
        Step(
            "Or take the old one out first (needs iam:RemoveRoleFromInstanceProfile). Every instance with this "
            "instance profile changes its role at EC2's next refresh.",
            f"aws iam remove-role-from-instance-profile {option('instance-profile-name', profile)} \\\n"
            f"  {option('role-name', old)}\n{_add(profile, new)}",
        ),
    )


def _add(profile: str, role: str = "") -> str:
    return (
        f"aws iam add-role-to-instance-profile {option('instance-profile-name', profile)} \\\n"
        f"  {option('role-name', role or placeholder('role'))}"
    )


ProfileAnswer = Union[Profile, Missing, Refused]
RoleAnswer = Union[Role, Missing, Refused]
NamesAnswer = Union[tuple[str, ...], Missing, Refused]
"""The names of instance profiles."""

ASK_ADMIN = "someone who may read IAM in this account"

_QUOTA = "LimitExceeded: Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1"
"""What IAM answers to a second role (getmoto/moto#6404, checked against AWS, 2023)."""


def profile_exists(given: Given, profile: ProfileAnswer, namesake: RoleAnswer, holders: NamesAnswer) -> Outcome:
    """Say whether the instance profile *given* exists, and was not confused with a role.

    *namesake* is the role of that name, and *holders* are the instance profiles that hold it: both are only looked at
    where there is no such profile, or where the ARN of a role was given for it.
    """
    if given.kind == "role":
        return fails(f"{given.arn} is a role. {_wants_profile(given.name, holders)}", _choose(given.name, holders))
    if isinstance(profile, Refused):
        return refused(profile, ASK_ADMIN)
    if isinstance(profile, Missing):
        return _no_profile(given, namesake, holders)
    if given.arn and profile.arn and given.arn != profile.arn:
        # Of another account, another partition, or with another path.
        return fails(
            f"The instance profile {profile.name} of this account is {profile.arn}, not {given.arn}. EC2 takes "
            "instance profiles of its own account only, and would answer InvalidParameterValue: Invalid IAM Instance "
            "Profile ARN.",
            HERE,
            arn=profile.arn,
            code="InvalidParameterValue",
        )
    return passed(
        f"The instance profile {profile.name} exists.", arn=profile.arn, instance_profile=profile.name, id=profile.id
    )


def _no_profile(given: Given, namesake: RoleAnswer, holders: NamesAnswer) -> Outcome:
    nothing = f"There is no instance profile {given.name}."
    if isinstance(namesake, Role):
        return fails(
            f"{nothing} There is a role of that name. {_wants_profile(given.name, holders)}",
            _choose(given.name, holders),
            code="InvalidParameterValue",
        )
    kind = "arn" if given.arn else "name"
    answer = f"Value ({given.arn or given.name}) for parameter iamInstanceProfile.{kind} is invalid"
    unsure = ""
    if isinstance(namesake, Refused):
        unsure = f" Whether there is a role of that name is not known: {namesake.sentence}"
    return fails(
        f"{nothing} EC2 would answer InvalidParameterValue: {answer}.{unsure}",
        OTHER_PROFILE,
        create(given.name),
        code="InvalidParameterValue",
    )


def _wants_profile(role: str, holders: NamesAnswer) -> str:
    """Say under which names of instance profiles the role can be had."""
    wants = "EC2 wants the name of an instance profile, which may be another than that of its role"
    if isinstance(holders, tuple) and holders:
        return f"{wants}: {role} is in {', '.join(holders)}."
    if isinstance(holders, Refused):
        return f"{wants}; in which ones the role is could not be read: {holders.sentence}"
    return f"{wants}: the role is in none."


def _choose(role: str, holders: NamesAnswer) -> Step:
    if isinstance(holders, tuple) and holders:
        return Step(f"Use the instance profile {' or '.join(holders)}.")
    return find_holders(role) if isinstance(holders, Refused) else create(role, role)


def holds_role(profile: ProfileAnswer) -> Outcome:
    """Say whether *profile* holds a role. An empty one is refused by EC2."""
    if isinstance(profile, Refused):
        return refused(profile, ASK_ADMIN)
    if isinstance(profile, Missing):
        return skipped("There is no such instance profile.")
    if profile.role is None:
        # AWS's page says AccessDenied; Terraform's provider waits for this one (hashicorp/terraform#15341).
        return fails(
            f"The instance profile {profile.name} is empty. EC2 would answer InvalidParameterValue: IAM Instance "
            f'Profile "{profile.arn}" has no associated IAM Roles. (AWS\'s page calls that AccessDenied.)',
            fill(profile.name),
            code="InvalidParameterValue",
        )
    other = "" if profile.role.name == profile.name else " The names differ, and that alone is no fault."
    return passed(f"It holds the role {profile.role.name}.{other}", role=profile.role.name, arn=profile.role.arn)


def role_exists(given: Given, role: RoleAnswer, namesake: ProfileAnswer | None = None) -> Outcome:
    """Say whether the role *given* exists; *namesake*, the instance profile of that name, helps where it does not."""
    if isinstance(role, Refused):
        return refused(role, ASK_ADMIN)
    if isinstance(role, Missing):
        note = f"There is no role {given.name} in this account."
        if isinstance(namesake, Profile):
            held = f"it holds the role {namesake.role.name}" if namesake.role else "it is empty"
            note += f" There is an instance profile of that name: {held}."
        return fails(note, Step("Name another role, or create this one, with a trust policy that lets EC2 in."))
    if given.arn and role.arn and given.arn != role.arn:
        return fails(
            f"The role {role.name} of this account is {role.arn}, not {given.arn}. A role can only be passed within "
            "its own account.",
            HERE,
            arn=role.arn,
        )
    return passed(f"The role {role.name} exists.", arn=role.arn, role=role.name)


def vacancy(profile: ProfileAnswer, role: str) -> Outcome:
    """Say whether *profile* has room for *role*: it takes one role, and that limit cannot be raised."""
    if isinstance(profile, Refused):
        return refused(profile, ASK_ADMIN)
    if isinstance(profile, Missing):
        return skipped("There is no such instance profile.")
    if profile.role is None:
        return passed(f"The instance profile {profile.name} is empty: it has room for its one role.")
    if profile.role.name == role:
        return fails(
            f"The instance profile {profile.name} holds the role {role} already, so there is nothing to add: the call "
            f"would answer {_QUOTA}.",
            Step("Nothing is to be done."),
            role=role,
            code="LimitExceeded",
        )
    return fails(
        f"The instance profile {profile.name} holds the role {profile.role.name}. It can hold one, and AWS does not "
        f"raise that limit: the call would answer {_QUOTA}.",
        *make_room(profile.name, old=profile.role.name, new=role),
        role=profile.role.name,
        code="LimitExceeded",
    )


_LATER = "An instance would start, and get no credentials: AssumeRoleUnauthorizedAccess."


def trusts_ec2(role: Role | Missing | Refused | None, partition: str) -> Outcome:
    """Say whether EC2 may assume *role*; None where there is no role to ask for."""
    if isinstance(role, Refused):
        return refused(role, "someone with iam:GetInstanceProfile or iam:GetRole")
    if role is None or isinstance(role, Missing):
        return skipped("There is no role to judge.")
    reading = trust_policy.judge(role.trust, partition)
    if reading.trust is Trust.ALLOWS:
        return passed(reading.why, role=role.name)
    if reading.trust is Trust.UNDECIDED:
        return may_fail(f"{reading.why} Only IMDS on an instance tells. {_LATER}", *_fix(role), role=role.name)
    return fails(f"{reading.why} {_LATER}", *_fix(role), role=role.name)


def trusts_ec2_later(role: Role | Missing | Refused | None, partition: str) -> Outcome:
    """Say the same where the role is only to be put into an instance profile, which that does not hinder."""
    outcome = trusts_ec2(role, partition)
    if isinstance(outcome, Advised) and not outcome.may_fail:
        return may_fail(f"The role can be put in all the same. {outcome.note}", *outcome.fix, **outcome.facts)
    return outcome


def _fix(role: Role) -> tuple[Step, ...]:
    """Return the steps of the table of faults that set a trust policy right."""
    explained = explain(Fault.TRUST_POLICY_DENIES_EC2, {"role": role.name}, {"role": role.name})
    return tuple(step for step in explained.fix if "cloudtrail:LookupEvents" not in step.permissions)
