"""Checks before an instance exists: collect what each command needs, and judge it. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping

from rolewatch.aws import checks, queries
from rolewatch.aws.checks import Result
from rolewatch.aws.client import CALLER, PROFILE, Api, Missing, Refused, Trouble
from rolewatch.aws.preflight import attach_role_checks, launch_checks, reads, visible_checks
from rolewatch.aws.preflight.names import SERVICE_OF_PROFILE, Given, Kind, Principal, parse_principal, service_of_launch
from rolewatch.aws.preflight.profile_checks import NamesAnswer, ProfileAnswer, RoleAnswer
from rolewatch.aws.queries import Caller, Profile, Role
from rolewatch.errors import UsageError

_GLOBAL_REGIONS = {"aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}
"""Where IAM's calls go in each partition (botocore's endpoints, 2026): their ``aws:RequestedRegion``."""


def launch(door: Api, given: Given, principal: Principal | None, image: Mapping[str, str]) -> tuple[Result, ...]:
    """Check a launch with the instance profile *given* by *principal*, or by the caller where that is None.

    *image* is what a dry run is to launch (``ImageId`` and more, as RunInstances takes them); empty: no dry run.
    """
    caller = queries.caller(door)
    who = _who(caller, principal)
    profile, namesake, holders = _profile(door, given)
    role = profile.role if isinstance(profile, Profile) else None
    own = _is_caller(caller, who)
    tried = without = None
    if image and own and given.kind != "role":
        tried = reads.rehearse(door, image, given)
        if isinstance(tried, Refused) or not tried.allowed:
            without = reads.rehearse(door, image, None)
    partition = _partition(who)
    may_run = may_pass = None
    if isinstance(who, Principal) and _same_account(caller, who):
        region = {"aws:RequestedRegion": door.region} if door.region else {}
        instance = f"arn:{partition}:ec2:{door.region or '*'}:{who.account}:instance/*"
        passing = {"iam:PassedToService": service_of_launch(partition), "iam:AssociatedResourceArn": instance, **region}
        may_run = reads.simulate(door, who, ("ec2:RunInstances", "*"), region)
        may_pass = reads.simulate(door, who, ("iam:PassRole", role.arn if role else None), passing)
    context = launch_checks.Launch(
        given=given,
        caller=caller,
        principal=who,
        partition=partition,
        profile=profile,
        namesake=namesake,
        holders=holders,
        run_instances=may_run,
        pass_role=may_pass,
        tried=tried,
        tried_without=without,
        not_tried=_not_tried(given, image),
    )
    return checks.run(launch_checks.LAUNCH_CHECKS, context)


def attach_role(door: Api, given: Given, given_role: Given, principal: Principal | None) -> tuple[Result, ...]:
    """Check whether *principal*, or the caller, can put the role into the instance profile."""
    caller = queries.caller(door)
    who = _who(caller, principal)
    profile, namesake, holders = _profile(door, given)
    role = queries.role(door, given_role.name)
    partition = _partition(who)
    may_add = may_pass = None
    if isinstance(who, Principal) and _same_account(caller, who):
        home = {"aws:RequestedRegion": _GLOBAL_REGIONS.get(partition, "us-east-1")}
        # The ARN that the API reference of AddRoleToInstanceProfile prescribes (2026).
        instance = f"arn:{partition}:ec2:*:{who.account}:instance/*"
        passing = {"iam:PassedToService": SERVICE_OF_PROFILE, "iam:AssociatedResourceArn": instance, **home}
        arns = (
            profile.arn if isinstance(profile, Profile) else None,
            role.arn if isinstance(role, Role) else None,
        )
        may_add = reads.simulate(door, who, ("iam:AddRoleToInstanceProfile", arns[0]), home)
        may_pass = reads.simulate(door, who, ("iam:PassRole", arns[1]), passing)
    context = attach_role_checks.Attach(
        given=given,
        given_role=given_role,
        caller=caller,
        principal=who,
        partition=partition,
        profile=profile,
        namesake=namesake,
        holders=holders,
        role=role,
        add_role=may_add,
        pass_role=may_pass,
    )
    return checks.run(attach_role_checks.ATTACH_CHECKS, context)


def visible(door: Api, given: Given, principal: Principal | None) -> tuple[Result, ...]:
    """Check why the role *given* may not be in the list of the console that *principal*, or the caller, looks at."""
    caller = queries.caller(door)
    who = _who(caller, principal)
    may_list = tried = None
    if isinstance(who, Principal) and _same_account(caller, who):
        # What a list without a path prefix is judged by; AWS's own message says so (kubernetes/kops#17854, 2026).
        everything = f"arn:{_partition(who)}:iam::{who.account}:instance-profile/"
        home = {"aws:RequestedRegion": _GLOBAL_REGIONS.get(_partition(who), "us-east-1")}
        may_list = reads.simulate(door, who, ("iam:ListInstanceProfiles", everything), home)
        if isinstance(may_list, (Missing, Refused)) or may_list is None:
            tried = reads.try_to_list(door) if _is_caller(caller, who) else None
    context = visible_checks.Visible(
        given=given,
        caller=caller,
        principal=who,
        list_profiles=may_list,
        tried=tried,
        role=queries.role(door, given.name),
        holders=reads.holders(door, given.name),
        namesake=queries.profile(door, given.name),
    )
    return checks.run(visible_checks.VISIBLE_CHECKS, context)


def _not_tried(given: Given, image: Mapping[str, str]) -> str:
    """Say why there is no dry run, where there is none."""
    if not image:
        return "Without --image-id there is nothing to launch in a dry run."
    if given.kind == "role":
        return "There is no instance profile to launch with."
    return "A dry run tells of the caller only, and it is somebody else, or not known, who is to launch."


def _profile(door: Api, given: Given) -> tuple[ProfileAnswer, RoleAnswer, NamesAnswer]:
    """Ask for the instance profile, and where there is none, for the role that it may have been confused with."""
    nobody = Missing(PROFILE.action)
    profile: ProfileAnswer = nobody if given.kind == "role" else queries.profile(door, given.name)
    if not isinstance(profile, Missing):
        return profile, nobody, nobody
    return profile, queries.role(door, given.name), reads.holders(door, given.name)


def _who(caller: Caller | Refused, principal: Principal | None) -> Principal | Refused:
    if principal is not None:
        return principal
    if isinstance(caller, Refused):
        return caller
    try:
        return parse_principal(caller.arn)
    except UsageError:
        return Refused(Trouble.ERROR, CALLER.action, detail="the caller is no kind of principal that is known here")


def _is_caller(caller: Caller | Refused, who: Principal | Refused) -> bool:
    """Return whether *who* is the caller, or the role that the caller is a session of."""
    if isinstance(caller, Refused) or isinstance(who, Refused):
        return False
    is_its_role = who.kind in {Kind.ROLE, Kind.SESSION} and (who.account, who.name) == (caller.account_id, caller.role)
    return who.arn == caller.arn or is_its_role


def _same_account(caller: Caller | Refused, who: Principal) -> bool:
    return isinstance(caller, Caller) and caller.account_id == who.account


def _partition(who: Principal | Refused) -> str:
    return who.partition if isinstance(who, Principal) else "aws"
