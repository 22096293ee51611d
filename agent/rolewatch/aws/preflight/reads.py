"""The questions of ``preflight`` to AWS: each makes one call and returns its answer as a value. Nothing is changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rolewatch.aws import client, queries
from rolewatch.aws.client import Api, Call, Missing, Refused, Trouble
from rolewatch.aws.preflight import permission_checks, simulation
from rolewatch.aws.preflight.names import Given, Kind, Principal
from rolewatch.aws.preflight.outcome import Listed
from rolewatch.aws.preflight.permission_checks import RehearsedAnswer, SimulatedAnswer
from rolewatch.aws.preflight.profile_checks import NamesAnswer

HOLDERS = Call("iam", "list_instance_profiles_for_role", "iam:ListInstanceProfilesForRole")
SIMULATE = Call("iam", "simulate_principal_policy", "iam:SimulatePrincipalPolicy")
LIST = Call("iam", "list_instance_profiles", "iam:ListInstanceProfiles")
DRY_RUN = Call("ec2", "run_instances", "ec2:RunInstances")
"""Only ever with ``DryRun``."""

CALLS = (client.CALLER, client.PROFILE, client.ROLE, HOLDERS, SIMULATE)
"""What preflight asks. A test compares the actions with packaging/iam/preflight.json."""

PROBES = (LIST, DRY_RUN)
"""What preflight tries, to learn whether the caller may. No policy of ours grants it: that would be the answer."""

_PAGES = 50
"""More pages than any account has: IAM gives 100 a page, and the quota on instance profiles is 1000, up to 5000."""

Context = Mapping[str, str]
"""Condition keys, and what the real request would have there."""


def holders(door: Api, role: str) -> NamesAnswer:
    """Ask IAM for the names of the instance profiles that hold *role*."""
    rows = _paged(door, HOLDERS, "InstanceProfiles", RoleName=role)
    if isinstance(rows, (Missing, Refused)):
        return rows
    return tuple(sorted(filter(None, (queries.last_segment(row.get("Arn")) for row in rows))))


def try_to_list(door: Api) -> Listed | Refused:
    """Try whether the caller may list instance profiles."""
    answer = door.ask(LIST, MaxItems=1)
    return answer if isinstance(answer, Refused) else Listed()


def simulate(door: Api, principal: Principal, call: tuple[str, str | None], context: Context) -> SimulatedAnswer | None:
    """Ask IAM whether *principal* may do *call*: an action, and the ARN it is done to, if known."""
    action, resource = call
    if resource is None or principal.kind in {Kind.ROOT, Kind.FEDERATED}:
        return None
    rows = _paged(
        door,
        SIMULATE,
        "EvaluationResults",
        PolicySourceArn=_policies_of(door, principal),
        ActionNames=[action],
        ResourceArns=[resource],
        ContextEntries=[
            {"ContextKeyName": name, "ContextKeyValues": [value], "ContextKeyType": "string"}
            for name, value in context.items()
        ],
    )
    if isinstance(rows, (Missing, Refused)):
        return rows
    seen = simulation.read({"EvaluationResults": rows}, action, resource)
    return seen or Refused(Trouble.ERROR, SIMULATE.action, detail="the answer is not what the API reference describes")


def rehearse(door: Api, what: Mapping[str, str], profile: Given | None) -> RehearsedAnswer:
    """Ask EC2, by a dry run, whether the caller may launch *what* with *profile* or without. Nothing starts."""
    parameters: dict[str, Any] = {**what, "MinCount": 1, "MaxCount": 1}
    if profile is not None:
        parameters["IamInstanceProfile"] = {"Arn": profile.arn} if profile.arn else {"Name": profile.name}
    parameters["DryRun"] = True
    answer = door.ask(DRY_RUN, **parameters)
    if isinstance(answer, Refused):
        return permission_checks.read_dry_run(answer)
    told = "the endpoint took a dry run for a launch: it is not EC2. Look there for an instance"
    return Refused(Trouble.ERROR, DRY_RUN.action, detail=told)


def _policies_of(door: Api, principal: Principal) -> str:
    """Return the ARN that the simulator wants: of a session, that of its role, with the path that only IAM knows."""
    if principal.kind is not Kind.SESSION:
        return principal.arn
    role = queries.role(door, principal.name)
    arn = None if isinstance(role, (Missing, Refused)) else role.arn
    return arn or principal.role_arn


def _paged(door: Api, call: Call, key: str, **parameters: object) -> list[Mapping[str, Any]] | Missing | Refused:
    """Return the rows of all pages."""
    rows: list[Mapping[str, Any]] = []
    for _ in range(_PAGES):
        answer = door.ask(call, **parameters)
        if isinstance(answer, (Missing, Refused)):
            return answer
        found = answer.get(key)
        rows += [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
        if not answer.get("IsTruncated") or not answer.get("Marker"):
            break
        parameters["Marker"] = answer["Marker"]
    return rows
