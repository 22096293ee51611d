"""The questions that only ``preflight`` asks AWS, and their answers as values. Nothing is changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Union

from rolewatch.aws import client, queries
from rolewatch.aws.client import Api, Call, Missing, Refused, Trouble
from rolewatch.aws.preflight.names import Kind, Principal, ResourceName
from rolewatch.aws.queries import Caller, Profile, Role, rows_of
from rolewatch.text import is_printable

HOLDERS = Call("iam", "list_instance_profiles_for_role", "iam:ListInstanceProfilesForRole")
SIMULATE = Call("iam", "simulate_principal_policy", "iam:SimulatePrincipalPolicy")
LIST = Call("iam", "list_instance_profiles", "iam:ListInstanceProfiles")
DRY_RUN = Call("ec2", "run_instances", "ec2:RunInstances")
"""Only ever with ``DryRun``."""

CALLS = (client.CALLER, client.PROFILE, client.ROLE, HOLDERS, SIMULATE)
"""The calls that preflight needs. A test compares their actions with packaging/iam/preflight.json."""

PROBES = (LIST, DRY_RUN)
"""The calls that preflight makes to learn whether the caller may. No policy of ours grants them: that would decide the
answer."""

_PAGES = 50
"""More pages than any account has: IAM returns 100 a page, and the quota of instance profiles is 1000, up to 5000."""

_VERDICTS = (Trouble.ACCESS_DENIED, Trouble.ERROR)
"""Refusals of a dry run that are about the launch. Any other means that EC2 could not be asked."""


class Decision(str, Enum):
    """The decision of IAM's policy simulator, in AWS's words (API_EvaluationResult, 2026)."""

    ALLOWED = "allowed"
    EXPLICIT_DENY = "explicitDeny"
    IMPLICIT_DENY = "implicitDeny"


@dataclass(frozen=True)
class Simulated:
    """``iam:SimulatePrincipalPolicy``: whether a principal's policies allow one action on one resource.

    It includes service control policies with their conditions (SimulatePrincipalPolicy, botocore 1.44, 2026), but no
    resource control policies, session policies or VPC endpoint policies.
    """

    action: str
    resource: str
    decision: Decision
    missing: tuple[str, ...] = ()
    """Condition keys that the policies use and the simulation did not have."""
    policies: tuple[str, ...] = ()
    """The policies whose statements decided."""
    organization: bool | None = None
    """Whether the organization's service control policies allow it; None where there is no organization."""
    boundary: bool | None = None
    """Whether the permissions boundary allows it; None where there is none."""


@dataclass(frozen=True)
class DryRun:
    """``ec2:RunInstances`` with ``DryRun``: what EC2 would answer the caller. Nothing is launched."""

    code: str
    """EC2's error code. A dry run that succeeds has one, too."""

    @property
    def allowed(self) -> bool:
        """Whether EC2 would launch."""
        return self.code == "DryRunOperation"

    @property
    def unauthorized(self) -> bool:
        """Whether EC2 refused because of a missing permission."""
        return self.code in {"UnauthorizedOperation", "AccessDenied"}


ProfileAnswer = Union[Profile, Missing, Refused]
RoleAnswer = Union[Role, Missing, Refused]
NamesAnswer = Union[tuple[str, ...], Missing, Refused]
"""The names of instance profiles."""
SimulatedAnswer = Union[Simulated, Missing, Refused, None]
"""None where the simulator was not asked."""
DryRunAnswer = Union[DryRun, Refused, None]
"""None where there was no dry run."""

_NOT_ASKED = Missing("")
_NOT_NAMED = ResourceName("")


@dataclass(frozen=True)
class Answers:
    """All that the checks of one ``preflight`` command judge: the names from the command line, and AWS's answers."""

    caller: Caller | Refused
    principal: Principal | Refused
    """The subject of the permission checks: ``--principal``, or the caller."""
    profile_name: ResourceName = _NOT_NAMED
    """Not for ``visible``."""
    role_name: ResourceName = _NOT_NAMED
    """Not for ``launch``."""
    profile: ProfileAnswer = _NOT_ASKED
    """The named instance profile; for ``visible`` the one that has the role's name."""
    role: RoleAnswer = _NOT_ASKED
    """The named role; for ``launch`` the one in the instance profile."""
    namesake: RoleAnswer = _NOT_ASKED
    """The role with the name of the instance profile; asked only where there is no such profile."""
    holders: NamesAnswer = _NOT_ASKED
    """The instance profiles that hold the namesake; for ``visible`` those that hold the role."""
    simulated: Mapping[str, SimulatedAnswer] = field(default_factory=dict)
    """The simulator's answer by action."""
    dry_run: DryRunAnswer = None
    dry_run_without_profile: DryRunAnswer = None
    """Made only where the dry run with the instance profile did not succeed."""
    no_dry_run: str = ""
    """The reason, as a sentence, where there was no dry run."""
    list_attempt: Mapping[str, Any] | Missing | Refused | None = None
    """The caller's own ``iam:ListInstanceProfiles``, made where the simulator gave no answer. Its rows are not used."""

    @property
    def partition(self) -> str:
        """The AWS partition of the principal, ``aws`` where that is not known."""
        return self.principal.partition if isinstance(self.principal, Principal) else "aws"


def find_holders(api: Api, role: str) -> NamesAnswer:
    """Return the names of the instance profiles that hold *role*, sorted."""
    rows = _all_rows(api, HOLDERS, "InstanceProfiles", RoleName=role)
    if isinstance(rows, (Missing, Refused)):
        return rows
    return tuple(sorted(filter(None, (queries.last_segment(row.get("Arn")) for row in rows))))


def simulate(
    api: Api, principal: Principal, action: str, resource: str | None, context: Mapping[str, str]
) -> SimulatedAnswer:
    """Return whether *principal* may do *action* on the ARN *resource*, by simulation.

    *context* has the condition keys of the real request. None where the resource is not known, and for principals that
    the simulator rejects.
    """
    if resource is None or principal.kind in {Kind.ROOT, Kind.FEDERATED}:
        return None
    rows = _all_rows(
        api,
        SIMULATE,
        "EvaluationResults",
        PolicySourceArn=_policy_source(api, principal),
        ActionNames=[action],
        ResourceArns=[resource],
        ContextEntries=[
            {"ContextKeyName": name, "ContextKeyValues": [value], "ContextKeyType": "string"}
            for name, value in context.items()
        ],
    )
    if isinstance(rows, (Missing, Refused)):
        return rows
    return read_simulation(rows, action, resource) or queries.unexpected(SIMULATE)


def read_simulation(results: Iterable[Mapping[str, Any]], action: str, resource: str) -> Simulated | None:
    """Return what the ``EvaluationResults`` say about *action* on *resource*, or None where they say nothing.

    Since 2026 there is one result for each action, with the resources below it; before, one for each resource.
    """
    whole = next((result for result in results if result.get("EvalActionName") == action), None)
    if whole is None:
        return None
    specific = [one for one in rows_of(whole, "ResourceSpecificResults") if one.get("EvalResourceName") == resource]
    one = specific[0] if specific else whole
    try:
        decision = Decision(one.get("EvalResourceDecision", whole.get("EvalDecision")))
    except ValueError:
        return None
    organization = one.get("OrganizationsDecisionDetail", whole.get("OrganizationsDecisionDetail"))
    boundary = one.get("PermissionsBoundaryDecisionDetail", whole.get("PermissionsBoundaryDecisionDetail"))
    statements = rows_of(one, "MatchedStatements") or rows_of(whole, "MatchedStatements")
    return Simulated(
        action=action,
        resource=resource,
        decision=decision,
        missing=_words([*one.get("MissingContextValues", ()), *whole.get("MissingContextValues", ())]),
        policies=_words([statement.get("SourcePolicyId") for statement in statements]),
        organization=_flag(organization, "AllowedByOrganizations"),
        boundary=_flag(boundary, "AllowedByPermissionsBoundary"),
    )


def dry_run(api: Api, image: Mapping[str, str], profile: ResourceName | None) -> DryRun | Refused:
    """Return what EC2 would answer if the caller launched *image* with *profile*, or without one. Nothing starts."""
    parameters: dict[str, Any] = {**image, "MinCount": 1, "MaxCount": 1}
    if profile is not None:
        parameters["IamInstanceProfile"] = {"Arn": profile.arn} if profile.arn else {"Name": profile.name}
    parameters["DryRun"] = True
    answer = api.ask(DRY_RUN, **parameters)
    if isinstance(answer, Refused):  # a dry run always ends with an error
        return DryRun(answer.code) if answer.trouble in _VERDICTS and answer.code else answer
    detail = "the endpoint ignored DryRun: it is not EC2. Check there for a started instance"
    return Refused(Trouble.ERROR, DRY_RUN.action, detail=detail)


def _policy_source(api: Api, principal: Principal) -> str:
    """Return the ARN that the simulator needs: for a session its role's, with the path, which only IAM knows."""
    if principal.kind is not Kind.SESSION:
        return principal.arn
    role = queries.role(api, principal.name)
    return (role.arn if isinstance(role, Role) else None) or principal.role_arn


def _all_rows(api: Api, call: Call, key: str, **parameters: object) -> list[Mapping[str, Any]] | Missing | Refused:
    """Return the rows of all pages."""
    rows: list[Mapping[str, Any]] = []
    for _ in range(_PAGES):
        answer = api.ask(call, **parameters)
        if isinstance(answer, (Missing, Refused)):
            return answer
        rows += rows_of(answer, key)
        if not answer.get("IsTruncated") or not answer.get("Marker"):
            break
        parameters["Marker"] = answer["Marker"]
    return rows


def _words(values: list[Any]) -> tuple[str, ...]:
    """Return the printable strings among *values*, each once, in their order."""
    return tuple(dict.fromkeys(value for value in values if isinstance(value, str) and is_printable(value)))


def _flag(detail: object, key: str) -> bool | None:
    value = detail.get(key) if isinstance(detail, dict) else None
    return value if isinstance(value, bool) else None
