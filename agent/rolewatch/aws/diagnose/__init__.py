"""From the outcomes of the checks to one root cause, its fix and the state; and the JSON form. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rolewatch.aws import checks
from rolewatch.aws.checks import Check, Result, Status
from rolewatch.aws.client import Missing
from rolewatch.aws.diagnose import ec2_checks, host_checks, iam_checks, imds_checks, remedy
from rolewatch.aws.diagnose.collect import Context
from rolewatch.aws.queries import Association, Instance
from rolewatch.aws_names import partition_of
from rolewatch.faults import FAULTS, ROOT_CAUSES, Fault
from rolewatch.faults.explain import Explained, explain, fault_document, remedy_for
from rolewatch.monitor.classify import Finding
from rolewatch.publish import facts_of
from rolewatch.text import rfc3339
from rolewatch.vocabulary import State

_HERE = (imds_checks.on_instance,)
_TOKEN = (imds_checks.on_instance, imds_checks.token)
_EC2 = (ec2_checks.known_instance,)
_IAM = (iam_checks.asked,)
_PROFILE = (iam_checks.asked, iam_checks.existing)
_ROLE = (iam_checks.asked, iam_checks.existing, iam_checks.with_role)

CHECKS: tuple[Check[Context], ...] = (
    Check("imds.token", "IMDS gives a session token", imds_checks.reachable, _HERE),
    Check("host.route", "This host has a route to IMDS", host_checks.route, _HERE),
    Check("host.firewall", "No firewall stands before IMDS", host_checks.firewall, _HERE),
    Check("host.hop_limit", "The answer to the token request comes back", host_checks.hop_limit, _HERE),
    Check("host.allowance", "No link-local packets are dropped", host_checks.allowance, _HERE),
    Check("host.imdsd", "systemd-imdsd does not lock IMDS", host_checks.imdsd, _HERE),
    Check("host.proxy", "No proxy is set for IMDS", host_checks.proxy, _HERE),
    Check("imds.iam", "IMDS has the iam subtree", imds_checks.subtree, _TOKEN),
    Check("imds.info", "iam/info names no error", imds_checks.info, _TOKEN),
    Check("imds.listing", "IMDS lists a role", imds_checks.listing, _TOKEN),
    Check("imds.credentials", "IMDS serves usable credentials", imds_checks.credentials, _TOKEN),
    Check("imds.rotation", "The credentials are renewed", imds_checks.rotation, _TOKEN),
    Check("imds.clock", "The local clock agrees with IMDS's", imds_checks.clock, _HERE),
    Check("imds.expected_role", "The served role is the expected one", imds_checks.expected, _TOKEN),
    Check("sts.proof", "AWS accepts the served credentials", ec2_checks.proof, _TOKEN),
    Check("aws.caller", "AWS can be asked", ec2_checks.caller),
    Check("ec2.attached", "An instance profile is attached", ec2_checks.attached, _EC2),
    Check("ec2.association", "The association is complete", ec2_checks.state, _EC2),
    Check("ec2.metadata_options", "EC2 has IMDS enabled", ec2_checks.options, _EC2),
    Check("iam.profile", "IAM has the instance profile", iam_checks.exists, _IAM),
    Check("iam.profile_id", "It is the one that is attached", iam_checks.same_id, _PROFILE),
    Check("iam.profile_role", "It holds a role", iam_checks.holds_role, _PROFILE),
    Check("iam.served_role", "IMDS serves that role", iam_checks.same_role, (*_ROLE, iam_checks.served)),
    Check("iam.expected_role", "It is the expected one", iam_checks.expected, _ROLE),
    Check("iam.role_id", "The credentials are of that role", iam_checks.same_role_id, (*_PROFILE, iam_checks.served)),
    Check("iam.trust", "The role's trust policy lets EC2 assume it", iam_checks.trusts_ec2, _ROLE),
    Check("shadow.environment", "No variable shadows the role", host_checks.environment, _HERE),
    Check("shadow.files", "No configuration file shadows the role", host_checks.files, _HERE),
    Check("shadow.container", "No container's role shadows the role", host_checks.container, _HERE),
)

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
    results: tuple[Result, ...]
    findings: tuple[Finding, ...]
    """Every fault, once, in the order of `Fault`."""
    root: Root | None
    facts: Mapping[str, str]
    """What is known of the instance, by the names of `faults.PLACEHOLDERS`."""
    association_id: str | None = None
    association_state: str | None = None
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


def known_facts(context: Context) -> dict[str, str]:
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
        "association_id": context.attached.id if context.attached else None,
        "expected_role": context.expected_role[0] if _plain(context.expected_role) else None,
    }
    for name, value in told.items():
        if value:
            facts.setdefault(name, value)
    return facts


def _plain(patterns: tuple[str, ...]) -> bool:
    return len(patterns) == 1 and not any(character in patterns[0] for character in "*?[]")


def _findings(context: Context, results: tuple[Result, ...]) -> tuple[Finding, ...]:
    """Join what IMDS shows and what the checks found; IMDS's evidence is the one to stay."""
    found: dict[Fault, Finding] = {}
    for finding in context.look.verdict.findings if context.look else ():
        found.setdefault(finding.fault, finding)
    for result in results:
        if result.outcome.fault is not None:
            found.setdefault(result.outcome.fault, Finding(result.outcome.fault, result.outcome.evidence))
    return tuple(found[fault] for fault in Fault if fault in found)


def _root(
    context: Context, results: tuple[Result, ...], findings: tuple[Finding, ...], facts: Mapping[str, str]
) -> Root | None:
    by_fault = {finding.fault: finding for finding in findings}
    fault = next((fault for fault in ROOT_CAUSES if fault in by_fault), None)
    if fault is None:
        return None
    notes: list[str] = [result.outcome.note for result in results if result.outcome.fault is fault]
    if fault is Fault.ASSUME_ROLE_UNAUTHORIZED:  # IMDS says that, the trust policy why
        notes = [each.outcome.note for each in results if each.id == "iam.trust" and each.outcome.facts] + notes
    evidence = by_fault[fault].evidence
    fix = remedy.fit(remedy_for(FAULTS[fault], evidence).fix, _situation(context))
    explained = explain(fault, evidence, facts, fix)
    return Root(fault, notes[0] if notes else explained.cause, explained)


def _situation(context: Context) -> remedy.Situation:
    association, instance = context.asked.association, context.asked.instance
    told = association if isinstance(association, Association) else None
    return remedy.Situation(
        association_known=told is not None or isinstance(association, Missing),
        association_id=told.id if told else None,
        association_state=told.state if told else None,
        running=not (isinstance(instance, Instance) and instance.state in ("stopping", "stopped")),
        profile_known=context.profile is not None,
    )


def _state(context: Context, results: tuple[Result, ...], findings: tuple[Finding, ...]) -> State:
    """Return the state: IMDS's word, made worse by what only AWS knows; from a workstation, what AWS knows."""
    faults = {finding.fault for finding in findings}
    if context.look is not None:
        state = context.look.snapshot.state
        if state in (State.OK, State.DEGRADED):
            if Fault.CREDENTIALS_REJECTED in faults:
                return State.FAILED
            return State.DEGRADED if faults else State.OK
        return state
    if any(FAULTS[fault].seen_from_ec2 for fault in faults):
        return State.FAILED
    if faults:
        return State.DEGRADED
    statuses = {result.id: result.outcome.status for result in results}
    return State.OK if all(statuses[name] is Status.PASS for name in _NEEDED) else State.UNKNOWN


SCHEMA = 1


def document(diagnosis: Diagnosis, *, polled: datetime, version: str) -> dict[str, Any]:
    """Return *diagnosis*, made at *polled*, for JSON; *version* is that of rolewatch."""
    facts, root = diagnosis.facts, diagnosis.root
    return {
        "schema": SCHEMA,
        "state": diagnosis.state.value,
        "instance_id": facts.get("instance_id"),
        "region": facts.get("region"),
        "account_id": facts.get("account_id"),
        "role": facts.get("role"),
        "instance_profile": facts.get("instance_profile"),
        "instance_profile_id": facts.get("instance_profile_id"),
        "association_id": diagnosis.association_id,
        "association_state": diagnosis.association_state,
        "checks": [checks.document(result) for result in diagnosis.results],
        "faults": [
            {"fault": finding.fault.value, "evidence": dict(finding.evidence)} for finding in diagnosis.findings
        ],
        "root_cause": {**fault_document(root.explained), "because": root.because} if root else None,
        "polled": rfc3339(polled),
        "version": version,
    }
