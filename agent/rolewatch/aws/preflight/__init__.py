"""``rolewatch preflight``: checks before an instance exists. Asks AWS, judges, sums up. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from rolewatch.aws import checks, queries
from rolewatch.aws.checks import Check, Result, Status
from rolewatch.aws.client import CALLER, PROFILE, ROLE, Api, Missing, Refused, Trouble
from rolewatch.aws.preflight import permission_checks, profile_checks
from rolewatch.aws.preflight.answers import (
    LIST,
    Answers,
    NamesAnswer,
    ProfileAnswer,
    RoleAnswer,
    Simulated,
    SimulatedAnswer,
    dry_run,
    find_holders,
    simulate,
)
from rolewatch.aws.preflight.names import (
    SERVICE_OF_PROFILE,
    Kind,
    Principal,
    ResourceName,
    parse_principal,
    service_of_launch,
)
from rolewatch.aws.queries import Caller, Profile, Role
from rolewatch.aws_names import iam_region
from rolewatch.errors import UsageError

LAUNCH_CHECKS: tuple[Check[Answers], ...] = (
    Check("launch.caller", "AWS accepts the credentials", permission_checks.same_account),
    Check("launch.profile", "The instance profile exists and is not a role", profile_checks.profile_exists),
    Check("launch.role", "The instance profile holds a role", profile_checks.holds_role),
    Check("launch.trust", "The role's trust policy allows EC2", profile_checks.trusts_ec2),
    Check("launch.run_instances", "The principal may ec2:RunInstances", permission_checks.may_run_instances),
    Check("launch.pass_role", "The principal may iam:PassRole the role to EC2", permission_checks.may_pass_role),
    Check("launch.dry_run", "EC2 accepts a dry run", permission_checks.dry_run_allows),
)
"""In the order of AWS's page: an earlier failure hides the later ones."""

ATTACH_ROLE_CHECKS: tuple[Check[Answers], ...] = (
    Check("attach.caller", "AWS accepts the credentials", permission_checks.same_account),
    Check("attach.profile", "The instance profile exists and is not a role", profile_checks.profile_exists),
    Check("attach.role", "The role exists", profile_checks.role_exists),
    Check("attach.vacancy", "The instance profile holds no role yet", profile_checks.has_room),
    Check("attach.add_role", "The principal may iam:AddRoleToInstanceProfile", permission_checks.may_add_role),
    Check("attach.pass_role", "The principal may iam:PassRole the role to EC2", permission_checks.may_pass_role),
    Check("attach.trust", "The role's trust policy allows EC2", profile_checks.trusts_ec2_later),
)

VISIBLE_CHECKS: tuple[Check[Answers], ...] = (
    Check("visible.caller", "AWS accepts the credentials", permission_checks.same_account),
    Check("visible.list", "The principal may iam:ListInstanceProfiles", permission_checks.may_list_profiles),
    Check("visible.role", "The role exists", profile_checks.role_exists),
    Check("visible.profiles", "The role is in an instance profile", profile_checks.is_in_profile),
    Check("visible.name", "The console shows the role's own name", profile_checks.shown_by_its_name),
)


def launch(
    api: Api, profile_name: ResourceName, principal: Principal | None, image: Mapping[str, str]
) -> tuple[Result, ...]:
    """Check whether *principal*, or the caller, can launch instances with the instance profile.

    *image* is what the dry run launches (``ImageId`` and more parameters of RunInstances); empty: no dry run.
    """
    caller = queries.caller(api)
    who = _principal(caller, principal)
    profile, namesake, holders = _profile(api, profile_name)
    role: RoleAnswer = (profile.role or Missing(ROLE.action)) if isinstance(profile, Profile) else profile
    tried = without = None
    if image and profile_name.kind != "role" and _is_caller(caller, who):
        tried = dry_run(api, image, profile_name)
        if isinstance(tried, Refused) or not tried.allowed:
            without = dry_run(api, image, None)
    simulated: dict[str, SimulatedAnswer] = {}
    if isinstance(who, Principal) and _is_of_account(who, caller):
        region = {"aws:RequestedRegion": api.region} if api.region else {}
        passing = _passing(service_of_launch(who.partition), who, api.region or "*") | region
        arn = role.arn if isinstance(role, Role) else None
        simulated = {
            "ec2:RunInstances": simulate(api, who, "ec2:RunInstances", "*", region),
            "iam:PassRole": simulate(api, who, "iam:PassRole", arn, passing),
        }
    answers = Answers(
        caller=caller,
        principal=who,
        profile_name=profile_name,
        profile=profile,
        role=role,
        namesake=namesake,
        holders=holders,
        simulated=simulated,
        dry_run=tried,
        dry_run_without_profile=without,
        no_dry_run=_no_dry_run(profile_name, image),
    )
    return checks.run(LAUNCH_CHECKS, answers)


def attach_role(
    api: Api, profile_name: ResourceName, role_name: ResourceName, principal: Principal | None
) -> tuple[Result, ...]:
    """Check whether *principal*, or the caller, can put the role into the instance profile."""
    caller = queries.caller(api)
    who = _principal(caller, principal)
    profile, namesake, holders = _profile(api, profile_name)
    role = queries.role(api, role_name.name)
    simulated: dict[str, SimulatedAnswer] = {}
    if isinstance(who, Principal) and _is_of_account(who, caller):
        region = _global_region(who)
        # The ARN that the API reference of AddRoleToInstanceProfile prescribes (2026).
        passing = _passing(SERVICE_OF_PROFILE, who, "*") | region
        profile_arn = profile.arn if isinstance(profile, Profile) else None
        role_arn = role.arn if isinstance(role, Role) else None
        action = "iam:AddRoleToInstanceProfile"
        simulated = {
            action: simulate(api, who, action, profile_arn, region),
            "iam:PassRole": simulate(api, who, "iam:PassRole", role_arn, passing),
        }
    answers = Answers(
        caller=caller,
        principal=who,
        profile_name=profile_name,
        role_name=role_name,
        profile=profile,
        role=role,
        namesake=namesake,
        holders=holders,
        simulated=simulated,
    )
    return checks.run(ATTACH_ROLE_CHECKS, answers)


def visible(api: Api, role_name: ResourceName, principal: Principal | None) -> tuple[Result, ...]:
    """Check why the console, opened by *principal* or the caller, may not list the role."""
    caller = queries.caller(api)
    who = _principal(caller, principal)
    may_list = tried = None
    if isinstance(who, Principal) and _is_of_account(who, caller):
        # The resource of a list without a path prefix, as in AWS's own message (kubernetes/kops#17854, 2026).
        everything = f"arn:{who.partition}:iam::{who.account}:instance-profile/"
        may_list = simulate(api, who, "iam:ListInstanceProfiles", everything, _global_region(who))
        if not isinstance(may_list, Simulated) and _is_caller(caller, who):
            tried = api.ask(LIST, MaxItems=1)
    answers = Answers(
        caller=caller,
        principal=who,
        role_name=role_name,
        simulated={"iam:ListInstanceProfiles": may_list},
        list_attempt=tried,
        role=queries.role(api, role_name.name),
        holders=find_holders(api, role_name.name),
        profile=queries.profile(api, role_name.name),
    )
    return checks.run(VISIBLE_CHECKS, answers)


def _no_dry_run(profile_name: ResourceName, image: Mapping[str, str]) -> str:
    """Return why there is no dry run, for the case that there is none."""
    if not image:
        return "No dry run without --image-id."
    if profile_name.kind == "role":
        return "No dry run: there is no instance profile to launch with."
    return "No dry run: it can only check the caller, and the principal is someone else or not known."


def _profile(api: Api, name: ResourceName) -> tuple[ProfileAnswer, RoleAnswer, NamesAnswer]:
    """Return the instance profile; where there is none, also the role of that name and the profiles that hold it."""
    none = Missing(PROFILE.action)
    found: ProfileAnswer = none if name.kind == "role" else queries.profile(api, name.name)
    if not isinstance(found, Missing):
        return found, none, none
    return found, queries.role(api, name.name), find_holders(api, name.name)


def _principal(caller: Caller | Refused, principal: Principal | None) -> Principal | Refused:
    """Return *principal*, or the caller as one."""
    if principal is not None:
        return principal
    if isinstance(caller, Refused):
        return caller
    try:
        return parse_principal(caller.arn)
    except UsageError:
        return Refused(Trouble.ERROR, CALLER.action, detail="the caller is a kind of principal that is not known here")


def _is_caller(caller: Caller | Refused, who: Principal | Refused) -> bool:
    """Return whether *who* is the caller, or the role of the caller's session."""
    if isinstance(caller, Refused) or isinstance(who, Refused):
        return False
    is_its_role = who.kind in {Kind.ROLE, Kind.SESSION} and (who.account, who.name) == (caller.account_id, caller.role)
    return who.arn == caller.arn or is_its_role


def _is_of_account(who: Principal, caller: Caller | Refused) -> bool:
    return isinstance(caller, Caller) and caller.account_id == who.account


def _passing(service: str, who: Principal, region: str) -> dict[str, str]:
    """Return the condition keys of ``iam:PassRole`` to *service* for any instance in *region*."""
    instances = f"arn:{who.partition}:ec2:{region}:{who.account}:instance/*"
    return {"iam:PassedToService": service, "iam:AssociatedResourceArn": instances}


def _global_region(who: Principal) -> dict[str, str]:
    """Return the condition key that calls of IAM have: the Region of IAM's endpoint (botocore's endpoints, 2026)."""
    return {"aws:RequestedRegion": iam_region(who.partition)}


SCHEMA = 1
"""The version of the JSON form. Fields are added without a new version, never removed."""

OPTIONAL = frozenset({"launch.dry_run"})
"""Checks that leave no doubt when they are skipped: the others cover the same ground."""


class Outlook(Enum):
    """The sum of all checks of one command; the value is the exit status. The contract."""

    OK = 0
    MAY_FAIL = 1
    WILL_FAIL = 2
    CANNOT_TELL = 3


_GRAVEST = (Outlook.WILL_FAIL, Outlook.MAY_FAIL, Outlook.CANNOT_TELL)


def outlook(results: tuple[Result, ...]) -> Outlook:
    """Return the outlook of *results*: a known failure before a known risk, and both before what is not known."""
    found = {_outlook(result) for result in results}
    return next((each for each in _GRAVEST if each in found), Outlook.OK)


def deciding_result(results: tuple[Result, ...]) -> Result | None:
    """Return the first of *results* that causes the outlook; None where that is OK."""
    whole = outlook(results)
    return None if whole is Outlook.OK else next(result for result in results if _outlook(result) is whole)


def _outlook(result: Result) -> Outlook:
    outcome = result.outcome
    if outcome.status is Status.FAIL:
        return Outlook.WILL_FAIL
    if outcome.may_fail:
        return Outlook.MAY_FAIL
    if outcome.status is Status.PASS or (outcome.status is Status.SKIPPED and result.id in OPTIONAL):
        return Outlook.OK
    return Outlook.CANNOT_TELL


def document(command: str, results: tuple[Result, ...]) -> dict[str, Any]:
    """Return the JSON form of *results* of ``preflight`` *command*."""
    reason = deciding_result(results)
    return {
        "schema": SCHEMA,
        "command": command,
        "outlook": outlook(results).name.lower(),
        "because": reason.id if reason else None,
        "checks": [_document(result) for result in results],
    }


def _document(result: Result) -> dict[str, Any]:
    shown = checks.document(result)
    if result.outcome.status is Status.FAIL or result.outcome.may_fail:
        shown["may_fail"] = result.outcome.may_fail
        shown["fix"] = [{"text": step.text, "command": step.command} for step in result.outcome.fix]
    return shown
