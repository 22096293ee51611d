"""Draw the conclusion: from the outcomes of the checks to one root cause, its fix, and the state. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Tuple

from rolewatch.aws import checks, fix
from rolewatch.aws.answers import Association, Instance, Missing
from rolewatch.aws.checks import Result, Status
from rolewatch.aws.context import Context
from rolewatch.aws.judge import CHECKS
from rolewatch.explain import Explained, facts_of, partition_of
from rolewatch.faults import Fault
from rolewatch.model import Finding, State

ROOTS = (
    Fault.IMDS_UNREACHABLE,
    Fault.IMDS_HOP_LIMIT,
    Fault.IMDS_DISABLED,
    Fault.IMDS_ERROR,
    Fault.INSTANCE_PROFILE_DETACHED,
    Fault.INSTANCE_PROFILE_REPLACED,
    Fault.INSTANCE_PROFILE_NOT_FOUND,
    Fault.INSTANCE_PROFILE_WITHOUT_ROLE,
    Fault.ASSUME_ROLE_UNAUTHORIZED,
    Fault.TRUST_POLICY_DENIES_EC2,
    Fault.CREDENTIALS_REJECTED,
    Fault.CREDENTIALS_MISSING,
    Fault.CREDENTIALS_ERROR,
    Fault.CREDENTIALS_EXPIRED,
    Fault.ROTATION_OVERDUE,
    Fault.ROLE_SWAP_PENDING,
    Fault.ROLE_MISMATCH,
    Fault.CLOCK_SKEW,
)
"""Which of several faults is the cause of the others: the first that holds. A stuck rotation follows from a broken
chain, a profile that is not found from one that was replaced, another role than expected from a swap."""

_DEAD = (Fault.INSTANCE_PROFILE_DETACHED, Fault.IMDS_DISABLED)
"""What leaves no credentials on the instance by itself, as seen from a workstation."""
_NEEDED = ("ec2.attached", "iam.profile", "iam.profile_role", "iam.trust")
"""What has to hold for a workstation to say that all is well."""


@dataclass(frozen=True)
class Root:
    """The root cause."""

    fault: Fault
    because: str
    """What the check said that found it."""
    explained: Explained
    """What it means and what to do, fitted to this instance."""


@dataclass(frozen=True)
class Diagnosis:
    """What a diagnosis says."""

    state: State
    results: Tuple[Result, ...]
    findings: Tuple[Finding, ...]
    """Every fault, once, in the order of `Fault`."""
    root: Optional[Root]
    facts: Mapping[str, str]
    """What is known of the instance, by the names of `faults.PLACEHOLDERS`."""
    association_id: Optional[str] = None
    association_state: Optional[str] = None
    on_instance: bool = True
    """Whether IMDS was asked."""


def diagnose(context: Context) -> Diagnosis:
    """Make every check over *context* and return what follows."""
    results = checks.run(CHECKS, context)
    findings = _findings(context, results)
    facts = known_facts(context)
    association = context.asked.association
    told = association if isinstance(association, Association) else None
    return Diagnosis(
        state=_state(context, results, findings),
        results=results,
        findings=findings,
        root=_root(context, results, findings, facts),
        facts=facts,
        association_id=told.id if told else None,
        association_state=told.state if told else None,
        on_instance=context.look is not None,
    )


def known_facts(context: Context) -> Dict[str, str]:
    """Return what is known to fill a remedy in with: IMDS's word first, then EC2's, then IAM's."""
    facts = facts_of(context.look.snapshot) if context.look else {}
    held = context.profile.role.name if context.profile and context.profile.role else None
    told = {
        "instance_id": context.instance_id,
        "region": context.region,
        "account_id": context.account_id,
        "partition": partition_of(context.region) if context.region else None,
        "role": context.served_role or held,
        "instance_profile": context.asked.profile_name,
        "instance_profile_id": context.attached_id,
        "expected_role": context.expected_role[0] if _plain(context.expected_role) else None,
    }
    for name, value in told.items():
        if value:
            facts.setdefault(name, value)
    return facts


def _plain(patterns: Tuple[str, ...]) -> bool:
    return len(patterns) == 1 and not any(character in patterns[0] for character in "*?[]")


def _findings(context: Context, results: Tuple[Result, ...]) -> Tuple[Finding, ...]:
    """Join what IMDS shows and what the checks found; IMDS's evidence is the one to stay."""
    found: Dict[Fault, Finding] = {}
    for finding in context.look.verdict.findings if context.look else ():
        found.setdefault(finding.fault, finding)
    for result in results:
        if result.outcome.fault is not None:
            found.setdefault(result.outcome.fault, Finding(result.outcome.fault, result.outcome.evidence))
    return tuple(found[fault] for fault in Fault if fault in found)


def _root(
    context: Context, results: Tuple[Result, ...], findings: Tuple[Finding, ...], facts: Mapping[str, str]
) -> Optional[Root]:
    by_fault = {finding.fault: finding for finding in findings}
    fault = next((fault for fault in ROOTS if fault in by_fault), None)
    if fault is None:
        return None
    notes: List[str] = [result.outcome.note for result in results if result.outcome.fault is fault]
    if fault is Fault.ASSUME_ROLE_UNAUTHORIZED:  # IMDS says that, the trust policy why
        notes = [each.outcome.note for each in results if each.id == "iam.trust" and each.outcome.facts] + notes
    explained = fix.fit(fault, by_fault[fault].evidence, facts, _situation(context))
    return Root(fault, notes[0] if notes else explained.cause, explained)


def _situation(context: Context) -> fix.Situation:
    association, instance = context.asked.association, context.asked.instance
    told = association if isinstance(association, Association) else None
    return fix.Situation(
        told=told is not None or isinstance(association, Missing),
        association_id=told.id if told else None,
        association_state=told.state if told else None,
        running=not (isinstance(instance, Instance) and instance.state in ("stopping", "stopped")),
        profile_told=context.profile is not None,
    )


def _state(context: Context, results: Tuple[Result, ...], findings: Tuple[Finding, ...]) -> State:
    """Return the state: IMDS's word, made worse by what only AWS knows; from a workstation, what AWS knows."""
    faults = {finding.fault for finding in findings}
    if context.look is not None:
        state = context.look.snapshot.state
        if state in (State.OK, State.DEGRADED):
            if Fault.CREDENTIALS_REJECTED in faults:
                return State.FAILED
            return State.DEGRADED if faults else State.OK
        return state
    if faults.intersection(_DEAD):
        return State.FAILED
    if faults:
        return State.DEGRADED
    statuses = {result.id: result.outcome.status for result in results}
    return State.OK if all(statuses[name] is Status.PASS for name in _NEEDED) else State.UNKNOWN
