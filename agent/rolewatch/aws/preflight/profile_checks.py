"""Checks of ``preflight``: the instance profile, its role and the trust policy, with the steps that fix them. Pure."""

from __future__ import annotations

import json

from rolewatch.aws import trust_policy
from rolewatch.aws.checks import Outcome, Status, may_fail, passed, refused, skipped, will_fail
from rolewatch.aws.client import Missing, Refused
from rolewatch.aws.preflight.answers import Answers, NamesAnswer
from rolewatch.aws.queries import Profile, Role
from rolewatch.aws.trust_policy import Trust
from rolewatch.faults import Fault
from rolewatch.faults.explain import explain, needs
from rolewatch.faults.remedy import Step
from rolewatch.shell import option, placeholder

ASK_ADMIN = "If you may not change permissions, ask an administrator of IAM."

NOT_YET = (
    "If it was created within the last minutes, try again: IAM is eventually consistent, and EC2 can need two minutes "
    "to accept a new instance profile."
)
"""Terraform's AWS provider retries for two minutes (hashicorp/terraform#15341)."""


def _step(text: str, command: str, *permissions: str) -> Step:
    """Return a step whose *text* names the *permissions*, IAM actions, in the place of ``{needs}``."""
    return Step(text.replace("{needs}", needs(permissions)), command, permissions=permissions)


OTHER_PROFILE = _step(
    f"Use another name. The command lists the names that exist {{needs}}. {NOT_YET}",
    "aws iam list-instance-profiles \\\n"
    "  --query 'InstanceProfiles[].[InstanceProfileName,Roles[].RoleName]' --output json",
    "iam:ListInstanceProfiles",
)

OWN_ARN = Step("Use the name, or the ARN in this account.")


def allow(action: str, resource: str, whose: str = "") -> Step:
    """Return the step that allows *action* on *resource* in a policy of *whose*."""
    statement = json.dumps({"Effect": "Allow", "Action": action, "Resource": resource})
    where = f" in a policy of {whose}" if whose else ""
    return Step(f"Allow {action} on {resource}{where}, with a statement like this. {ASK_ADMIN}", statement)


def find_holders(role: str) -> Step:
    """Return the step that lists the instance profiles that hold *role*."""
    return _step(
        "Find the instance profiles of the role {needs}.",
        f"aws iam list-instance-profiles-for-role {option('role-name', role)} \\\n"
        "  --query 'InstanceProfiles[].InstanceProfileName' --output json",
        "iam:ListInstanceProfilesForRole",
    )


def create(name: str, role: str = "") -> Step:
    """Return the step that creates the instance profile *name* with *role* in it."""
    return _step(
        "Create an instance profile and add the role {needs}. The IAM console does both when it creates a role for "
        "EC2; CLI, API and most tools do not.",
        f"aws iam create-instance-profile {option('instance-profile-name', name)}\n{_add(name, role)}",
        "iam:CreateInstanceProfile",
        "iam:AddRoleToInstanceProfile",
        "iam:PassRole",
    )


def fill(profile: str) -> Step:
    """Return the step that adds a role to the empty instance profile *profile*."""
    return _step(
        f"Add the role {{needs}}. `rolewatch preflight attach-role` checks it. {NOT_YET}",
        _add(profile),
        "iam:AddRoleToInstanceProfile",
        "iam:PassRole",
    )


def make_room(profile: str, *, old: str, new: str) -> tuple[Step, ...]:
    """Return two alternative steps to use the role *new* where *profile* holds *old*.

    AWS: "To update permissions for an instance, replace its instance profile. We do not recommend removing a role from
    an instance profile" (IAM user guide, Use instance profiles, 2026).
    """
    return (
        Step(
            "Recommended: keep this instance profile, and create a second one for the new role. AWS advises to replace "
            "an instance's profile, not the role in it: a new role in it takes up to an hour to take effect.",
            f"aws iam create-instance-profile {option('instance-profile-name', new)}\n{_add(new, new)}",
        ),
        _step(
            "Or remove the old role first {needs}. Every instance with this instance profile changes its role at EC2's "
            "next refresh.",
            f"aws iam remove-role-from-instance-profile {option('instance-profile-name', profile)} \\\n"
            f"  {option('role-name', old)}\n{_add(profile, new)}",
            "iam:RemoveRoleFromInstanceProfile",
        ),
    )


def _add(profile: str, role: str = "") -> str:
    return (
        f"aws iam add-role-to-instance-profile {option('instance-profile-name', profile)} \\\n"
        f"  {option('role-name', role or placeholder('role'))}"
    )


IAM_READER = "someone who may read IAM in this account"

_QUOTA = "LimitExceeded: Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1"
"""IAM's answer to a second role (getmoto/moto#6404, checked against AWS, 2023)."""


def profile_exists(answers: Answers) -> Outcome:
    """Return whether the named instance profile exists, and is not a role that was mistaken for one."""
    given, profile = answers.profile_name, answers.profile
    if given.kind == "role":
        return will_fail(
            f"{given.arn} is a role. {_needs_profile(given.name, answers.holders)}",
            _use_profile(given.name, answers.holders),
        )
    if isinstance(profile, Refused):
        return refused(profile, IAM_READER)
    if isinstance(profile, Missing):
        return _no_profile(given.name, given.arn, answers)
    if given.arn and profile.arn and given.arn != profile.arn:
        # Of another account, another partition, or with another path.
        return will_fail(
            f"The instance profile {profile.name} of this account is {profile.arn}, not {given.arn}. EC2 accepts "
            "instance profiles of its own account only, and would answer InvalidParameterValue: Invalid IAM Instance "
            "Profile ARN.",
            OWN_ARN,
            arn=profile.arn,
            code="InvalidParameterValue",
        )
    return passed(
        f"The instance profile {profile.name} exists.", arn=profile.arn, instance_profile=profile.name, id=profile.id
    )


def _no_profile(name: str, arn: str | None, answers: Answers) -> Outcome:
    nothing = f"There is no instance profile {name}."
    if isinstance(answers.namesake, Role):
        return will_fail(
            f"{nothing} There is a role of that name. {_needs_profile(name, answers.holders)}",
            _use_profile(name, answers.holders),
            code="InvalidParameterValue",
        )
    answer = f"Value ({arn or name}) for parameter iamInstanceProfile.{'arn' if arn else 'name'} is invalid"
    unsure = ""
    if isinstance(answers.namesake, Refused):
        unsure = f" Whether there is a role of that name is not known: {answers.namesake.sentence}"
    return will_fail(
        f"{nothing} EC2 would answer InvalidParameterValue: {answer}.{unsure}",
        OTHER_PROFILE,
        create(name),
        code="InvalidParameterValue",
    )


def _needs_profile(role: str, holders: NamesAnswer) -> str:
    """Return a sentence about the names of the instance profiles that hold *role*."""
    needs = "EC2 needs the name of an instance profile, which can differ from the role's name"
    if isinstance(holders, tuple) and holders:
        return f"{needs}: {role} is in {', '.join(holders)}."
    if isinstance(holders, Refused):
        return f"{needs}. The instance profiles of {role} are not known: {holders.sentence}"
    return f"{needs}: {role} is in no instance profile."


def _use_profile(role: str, holders: NamesAnswer) -> Step:
    if isinstance(holders, tuple) and holders:
        return Step(f"Use the instance profile {' or '.join(holders)}.")
    return find_holders(role) if isinstance(holders, Refused) else create(role, role)


def _profile_or_outcome(answers: Answers) -> Profile | Outcome:
    """Return the instance profile, or the outcome of a check that cannot be made without it."""
    if isinstance(answers.profile, Refused):
        return refused(answers.profile, IAM_READER)
    return skipped("There is no such instance profile.") if isinstance(answers.profile, Missing) else answers.profile


def holds_role(answers: Answers) -> Outcome:
    """Return whether the instance profile holds a role. EC2 rejects an empty one."""
    profile = _profile_or_outcome(answers)
    if isinstance(profile, Outcome):
        return profile
    if profile.role is None:
        # AWS's page says AccessDenied; Terraform's provider waits for this one (hashicorp/terraform#15341).
        return will_fail(
            f"The instance profile {profile.name} is empty. EC2 would answer InvalidParameterValue: IAM Instance "
            f'Profile "{profile.arn}" has no associated IAM Roles. (AWS\'s page calls that AccessDenied.)',
            fill(profile.name),
            code="InvalidParameterValue",
        )
    other = "" if profile.role.name == profile.name else " The names differ, which is not a fault."
    return passed(
        f"The instance profile holds the role {profile.role.name}.{other}",
        role=profile.role.name,
        arn=profile.role.arn,
    )


def role_exists(answers: Answers) -> Outcome:
    """Return whether the named role exists."""
    given, role = answers.role_name, answers.role
    if isinstance(role, Refused):
        return refused(role, IAM_READER)
    if isinstance(role, Missing):
        note = f"There is no role {given.name} in this account."
        if not answers.profile_name.name and isinstance(answers.profile, Profile):
            held = answers.profile.role
            note += " There is an instance profile of that name: it "
            note += f"holds the role {held.name}." if held else "is empty."
        return will_fail(note, Step("Use another role, or create this one, with a trust policy that allows EC2."))
    if given.arn and role.arn and given.arn != role.arn:
        return will_fail(
            f"The role {role.name} of this account is {role.arn}, not {given.arn}. A role can only be passed within "
            "its own account.",
            OWN_ARN,
            arn=role.arn,
        )
    return passed(f"The role {role.name} exists.", arn=role.arn, role=role.name)


def has_room(answers: Answers) -> Outcome:
    """Return whether the instance profile has room for the named role: it holds one role at most."""
    profile, role = _profile_or_outcome(answers), answers.role_name.name
    if isinstance(profile, Outcome):
        return profile
    if profile.role is None:
        return passed(f"The instance profile {profile.name} is empty: it has room for its one role.")
    if profile.role.name == role:
        return will_fail(
            f"The instance profile {profile.name} already holds the role {role}, so there is nothing to add: the call "
            f"would answer {_QUOTA}.",
            Step("Nothing to do."),
            role=role,
            code="LimitExceeded",
        )
    return will_fail(
        f"The instance profile {profile.name} holds the role {profile.role.name}. It can hold one, and AWS does not "
        f"raise that limit: the call would answer {_QUOTA}.",
        *make_room(profile.name, old=profile.role.name, new=role),
        role=profile.role.name,
        code="LimitExceeded",
    )


_EFFECT = "An instance would start without credentials: AssumeRoleUnauthorizedAccess."


def trusts_ec2(answers: Answers) -> Outcome:
    """Return whether EC2 may assume the role."""
    role = answers.role
    if isinstance(role, Refused):
        return refused(role, "someone with iam:GetInstanceProfile or iam:GetRole")
    if isinstance(role, Missing):
        return skipped("There is no role to check.")
    reading = trust_policy.judge(role.trust, answers.partition)
    if reading.trust is Trust.ALLOWS:
        return passed(reading.why, role=role.name)
    explained = explain(Fault.TRUST_POLICY_DENIES_EC2, {"role": role.name}, {"role": role.name})
    fix = (step for step in explained.fix if "cloudtrail:LookupEvents" not in step.permissions)
    if reading.trust is Trust.UNDECIDED:
        return may_fail(f"{reading.why} Only IMDS on an instance can decide it. {_EFFECT}", *fix, role=role.name)
    return will_fail(f"{reading.why} {_EFFECT}", *fix, role=role.name)


def trusts_ec2_later(answers: Answers) -> Outcome:
    """Return the same for a role that is to be added to an instance profile. A wrong trust policy allows that."""
    outcome = trusts_ec2(answers)
    if outcome.status is Status.FAIL:
        return may_fail(f"The role can be added nevertheless. {outcome.note}", *outcome.fix, **outcome.facts)
    return outcome


def is_in_profile(answers: Answers) -> Outcome:
    """Return whether the named role is in an instance profile. The console lists instance profiles."""
    holders, role = _holders_or_outcome(answers), answers.role_name.name
    if isinstance(holders, Outcome):
        return holders
    if not holders:
        return will_fail(
            f"The role {role} is in no instance profile, and the console lists instance profiles. Roles that were "
            "created with the CLI, the API or a tool often lack one.",
            create(role, role),
        )
    names = ", ".join(holders)
    label = "instance profile" if len(holders) == 1 else "instance profiles"
    return passed(f"The role is in the {label} {names}.", instance_profiles=names)


def shown_by_its_name(answers: Answers) -> Outcome:
    """Return the name that the console shows for the role: that of its instance profile."""
    holders, role = _holders_or_outcome(answers), answers.role_name.name
    if isinstance(holders, Outcome):
        return holders
    if not holders:
        return skipped("The console does not show the role.")
    shown = ", ".join(holders)
    if role in holders:
        return passed(f"The console shows the role by its own name, {role}.", shown_as=shown)
    other = "The list has the names of instance profiles, not of roles."
    if isinstance(answers.profile, Profile):
        held = answers.profile.role
        content = f"holds the role {held.name}" if held else "is empty"
        other = f"The entry {role} in the list is an instance profile that {content}: do not choose it."
    choose = Step(f"In the console's list, choose {' or '.join(holders)}.")
    return may_fail(f"The console shows the role as {shown}, not as {role}. {other}", choose, shown_as=shown)


def _holders_or_outcome(answers: Answers) -> tuple[str, ...] | Outcome:
    """Return the instance profiles that hold the role, or the outcome of a check that cannot be made without them."""
    if isinstance(answers.holders, Refused):
        return refused(answers.holders, IAM_READER)
    return skipped("There is no such role.") if isinstance(answers.holders, Missing) else answers.holders
