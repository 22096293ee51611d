"""``preflight visible``: why a role is not in the console's list of roles when an instance is launched. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from rolewatch.aws.checks import Check, Outcome, passed, refused, skipped
from rolewatch.aws.client import Missing, Refused
from rolewatch.aws.preflight import profile_checks
from rolewatch.aws.preflight.launch_checks import caller
from rolewatch.aws.preflight.names import Given
from rolewatch.aws.preflight.outcome import Listed, fails, may_fail
from rolewatch.aws.preflight.permission_checks import PrincipalAnswer, SimulatedAnswer, list_profiles
from rolewatch.aws.preflight.profile_checks import ASK_ADMIN, NamesAnswer, ProfileAnswer, RoleAnswer, role_exists
from rolewatch.aws.queries import Caller, Profile
from rolewatch.faults.remedy import Step


@dataclass(frozen=True)
class Visible:
    """All that was asked to find a role in the console's list."""

    given: Given
    caller: Caller | Refused
    principal: PrincipalAnswer
    """Who looks at the console."""
    list_profiles: SimulatedAnswer | None
    tried: Listed | Refused | None
    """What the caller's own call showed; None where the simulator told, or the principal is somebody else."""
    role: RoleAnswer
    holders: NamesAnswer
    """The instance profiles that hold the role."""
    namesake: ProfileAnswer
    """The instance profile with the name of the role."""


def _caller(seen: Visible) -> Outcome:
    return caller(seen.caller, seen.principal)


def _list(seen: Visible) -> Outcome:
    return list_profiles(seen.list_profiles, seen.principal, seen.tried)


def _role(seen: Visible) -> Outcome:
    return role_exists(seen.given, seen.role, seen.namesake)


def _profiles(seen: Visible) -> Outcome:
    if isinstance(seen.holders, Refused):
        return refused(seen.holders, ASK_ADMIN)
    if isinstance(seen.holders, Missing):
        return skipped("There is no such role.")
    if not seen.holders:
        return fails(
            f"The role {seen.given.name} is in no instance profile, and the console lists instance profiles: it "
            "cannot be in the list. So it is where a role was made with CLI, API or a tool, and no instance profile.",
            profile_checks.create(seen.given.name, seen.given.name),
        )
    return passed(f"The role is in {_several(seen.holders)}.", instance_profiles=", ".join(seen.holders))


def _name(seen: Visible) -> Outcome:
    """Say under which name the console shows the role: that of its instance profile."""
    if isinstance(seen.holders, Refused):
        return refused(seen.holders, ASK_ADMIN)
    if isinstance(seen.holders, Missing) or not seen.holders:
        return skipped("It is shown under no name.")
    role, shown = seen.given.name, ", ".join(seen.holders)
    if role in seen.holders:
        return passed(f"The console shows it under its own name, {role}.", shown_as=shown)
    look = Step(f"In the console's list, choose {' or '.join(seen.holders)}.")
    other = _other_role(seen)
    if other is not None:
        return may_fail(
            f"The console shows it as {shown}. The entry {role} in the list is an instance profile that {other}: "
            "whoever chooses that gets something else.",
            look,
            shown_as=shown,
        )
    return may_fail(
        f"The console shows it as {shown}, not as {role}: the list has the names of instance profiles, not of roles.",
        look,
        shown_as=shown,
    )


def _other_role(seen: Visible) -> str | None:
    """Say what an instance profile with the role's name holds instead of the role, where there is one."""
    if not isinstance(seen.namesake, Profile):
        return None
    return f"holds the role {seen.namesake.role.name}" if seen.namesake.role else "is empty"


def _several(names: tuple[str, ...]) -> str:
    return f"the instance profile{'s' if len(names) > 1 else ''} {', '.join(names)}"


VISIBLE_CHECKS: tuple[Check[Visible], ...] = (
    Check("visible.caller", "AWS knows who asks", _caller),
    Check("visible.list", "The principal may iam:ListInstanceProfiles", _list),
    Check("visible.role", "The role exists", _role),
    Check("visible.profiles", "The role is in an instance profile", _profiles),
    Check("visible.name", "The console shows it under the role's name", _name),
)
