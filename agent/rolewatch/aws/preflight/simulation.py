"""What IAM's policy simulator said, read and judged. Pure.

It knows service control policies with their conditions (SimulatePrincipalPolicy, botocore 1.44, 2026), but no resource
control policies, session policies or VPC endpoint policies: docs/preflight.md says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rolewatch.aws.checks import Outcome, passed
from rolewatch.aws.preflight import profile_checks
from rolewatch.aws.preflight.names import Kind, Principal
from rolewatch.aws.preflight.outcome import Decision, Simulated, fails, may_fail
from rolewatch.faults.remedy import Step
from rolewatch.text import is_printable

_SHOWN = 5
"""So many policies and keys are named; there may be dozens."""


def read(response: Mapping[str, Any], action: str, resource: str) -> Simulated | None:
    """Return what *response* says of *action* on *resource*, or None where it does not say.

    Since 2026 there is one result for an action, with the resources below it; before that, one for each resource.
    """
    results = [result for result in _list(response, "EvaluationResults") if result.get("EvalActionName") == action]
    if not results:
        return None
    whole = results[0]
    specific = [one for one in _list(whole, "ResourceSpecificResults") if one.get("EvalResourceName") == resource]
    one = specific[0] if specific else whole
    try:
        decision = Decision(one.get("EvalResourceDecision", whole.get("EvalDecision")))
    except ValueError:
        return None
    organization = one.get("OrganizationsDecisionDetail", whole.get("OrganizationsDecisionDetail"))
    boundary = one.get("PermissionsBoundaryDecisionDetail", whole.get("PermissionsBoundaryDecisionDetail"))
    return Simulated(
        action=action,
        resource=resource,
        decision=decision,
        missing=_words([*one.get("MissingContextValues", ()), *whole.get("MissingContextValues", ())]),
        policies=_words(
            [statement.get("SourcePolicyId") for statement in _list(one, "MatchedStatements")]
            or [statement.get("SourcePolicyId") for statement in _list(whole, "MatchedStatements")]
        ),
        organization=_flag(organization, "AllowedByOrganizations"),
        boundary=_flag(boundary, "AllowedByPermissionsBoundary"),
    )


def judge(seen: Simulated, principal: Principal) -> Outcome:
    """Say whether *principal* may do what was simulated."""
    what = f"{seen.action} on {seen.resource}"
    facts = {"action": seen.action, "resource": seen.resource, "decision": seen.decision.value}
    if seen.decision is Decision.ALLOWED and not seen.missing:
        return passed(f"{_capital(principal.shown)} may {what}, by simulation.{_caveat(principal)}", **facts)
    if seen.missing:
        verb = "is allowed" if seen.decision is Decision.ALLOWED else "is denied"
        return may_fail(
            f"{what} {verb}, but that depends on conditions that could not be simulated: {_several(seen.missing)}. "
            "Whether the real request meets them is not known.",
            missing=_several(seen.missing),
            **facts,
        )
    return fails(f"{_capital(principal.shown)} may not {what}: {_why(seen)}.", _fix(seen, principal), **facts)


def _caveat(principal: Principal) -> str:
    """Say what the simulator cannot know of a session: the policy that it was given when the role was assumed."""
    return " A session policy may still forbid it." if principal.kind is Kind.SESSION else ""


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _why(seen: Simulated) -> str:
    """Say which kind of policy stands in the way; what no policy of the principal's can cure comes first."""
    if seen.organization is False:
        return "a service control policy of the organization does not allow it"
    if seen.boundary is False:
        return "the permissions boundary does not allow it"
    if seen.decision is Decision.EXPLICIT_DENY:
        return f"a policy denies it{f' ({_several(seen.policies)})' if seen.policies else ''}"
    return "no policy allows it"


def _fix(seen: Simulated, principal: Principal) -> Step:
    if seen.organization is False:
        return Step(f"Have {seen.action} allowed by whoever administers the organization's service control policies.")
    if seen.boundary is False:
        return Step(
            f"Have {seen.action} allowed in the permissions boundary of {principal.shown}. {profile_checks.ADMIN}"
        )
    if seen.decision is Decision.EXPLICIT_DENY:
        return Step(f"Take {seen.action} on {seen.resource} out of what the policy denies. {profile_checks.ADMIN}")
    return profile_checks.allow(seen.action, seen.resource, principal.shown)


def _several(names: tuple[str, ...]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _list(document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = document.get(key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _words(values: list[Any]) -> tuple[str, ...]:
    """Return the different words among *values*, in their order."""
    return tuple(dict.fromkeys(value for value in values if isinstance(value, str) and is_printable(value)))


def _flag(detail: object, key: str) -> bool | None:
    value = detail.get(key) if isinstance(detail, dict) else None
    return value if isinstance(value, bool) else None
