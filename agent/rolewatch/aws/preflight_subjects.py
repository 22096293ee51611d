"""The checks of an instance profile and of a role themselves, which several commands of ``preflight`` share. Pure."""

from __future__ import annotations

from typing import Optional, Tuple, Union

from rolewatch.aws import preflight_remedies as remedies
from rolewatch.aws.answers import Missing, Profile, Refused, Role
from rolewatch.aws.checks import Outcome, passed, refused, skipped
from rolewatch.aws.preflight_names import Given
from rolewatch.aws.preflight_values import fails
from rolewatch.faults import Step

ProfileAnswer = Union[Profile, Missing, Refused]
RoleAnswer = Union[Role, Missing, Refused]
NamesAnswer = Union[Tuple[str, ...], Missing, Refused]
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
            remedies.HERE,
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
        remedies.OTHER_PROFILE,
        remedies.create(given.name),
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
    return remedies.find_holders(role) if isinstance(holders, Refused) else remedies.create(role, role)


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
            remedies.fill(profile.name),
            code="InvalidParameterValue",
        )
    other = "" if profile.role.name == profile.name else " The names differ, and that alone is no fault."
    return passed(f"It holds the role {profile.role.name}.{other}", role=profile.role.name, arn=profile.role.arn)


def role_exists(given: Given, role: RoleAnswer, namesake: Optional[ProfileAnswer] = None) -> Outcome:
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
            remedies.HERE,
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
        *remedies.make_room(profile.name, old=profile.role.name, new=role),
        role=profile.role.name,
        code="LimitExceeded",
    )
