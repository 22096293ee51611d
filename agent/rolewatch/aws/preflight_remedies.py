"""What ``preflight`` advises: steps with commands for a person to paste. Every name in a command is quoted."""

from __future__ import annotations

import json
from typing import Tuple

from rolewatch.faults import Step
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


def make_room(profile: str, *, old: str, new: str) -> Tuple[Step, ...]:
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
