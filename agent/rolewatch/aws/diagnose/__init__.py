"""The checks of a diagnosis, and what follows from them: faults, root cause, fix and state; the JSON form. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rolewatch.aws import checks
from rolewatch.aws.checks import Check, Result, Status
from rolewatch.aws.client import Missing
from rolewatch.aws.diagnose import aws_checks, local_checks, program_checks, remedy
from rolewatch.aws.diagnose.findings import AwsFindings, Context
from rolewatch.aws.diagnose.local_checks import on_instance, with_token
from rolewatch.aws.queries import Association, Instance
from rolewatch.aws_names import partition_of
from rolewatch.faults import FAULTS, ROOT_CAUSES, Fault
from rolewatch.faults.explain import Explained, explain, fault_document, one_name, remedy_for
from rolewatch.monitor.classify import Finding
from rolewatch.publish import facts_of
from rolewatch.text import rfc3339
from rolewatch.vocabulary import State

_EC2 = (aws_checks.known_instance,)
_IAM = (aws_checks.iam_answered,)
_PROFILE = (*_IAM, aws_checks.profile_exists)
_ROLE = (*_PROFILE, aws_checks.has_role)
_SERVED = (aws_checks.serves_role,)

CHECKS: tuple[Check[Context], ...] = (
    Check("imds.token", "IMDS gives a session token", local_checks.token),
    Check("imds.responder", "It is this instance's IMDS that answers", on_instance(local_checks.responder)),
    Check("host.route", "This host has a route to IMDS", on_instance(local_checks.route)),
    Check("host.firewall", "No firewall stands before IMDS", on_instance(local_checks.firewall)),
    Check("host.hop_limit", "The answer to the token request comes back", local_checks.hop_limit),
    Check("host.allowance", "No link-local packets are dropped", on_instance(local_checks.allowance)),
    Check("host.imdsd", "systemd-imdsd does not lock IMDS", on_instance(local_checks.imdsd)),
    Check("host.proxy", "No proxy is set for IMDS", on_instance(program_checks.proxy)),
    Check("imds.iam", "IMDS has the iam subtree", with_token(local_checks.subtree)),
    Check("imds.info", "iam/info names no error", with_token(local_checks.info)),
    Check("imds.listing", "IMDS lists a role", with_token(local_checks.listing)),
    Check("imds.credentials", "IMDS serves usable credentials", with_token(local_checks.credentials)),
    Check("imds.rotation", "The credentials are renewed", with_token(local_checks.rotation)),
    Check("imds.clock", "The local clock agrees with IMDS's", on_instance(local_checks.clock)),
    Check("imds.expected_role", "The served role is the expected one", with_token(local_checks.expected_role)),
    Check("sts.proof", "AWS accepts the served credentials", aws_checks.served_credentials),
    Check("aws.caller", "AWS can be called", aws_checks.caller),
    Check("ec2.attached", "An instance profile is attached", aws_checks.attached, _EC2),
    Check("ec2.association", "The association is complete", aws_checks.association_state, _EC2),
    Check("ec2.metadata_options", "EC2 has IMDS enabled", aws_checks.metadata_options, _EC2),
    Check("iam.profile", "IAM has the instance profile", aws_checks.profile, _IAM),
    Check("iam.profile_id", "It is the one that is attached", aws_checks.same_id, _PROFILE),
    Check("iam.profile_role", "It has a role", aws_checks.role_in_profile, _PROFILE),
    Check("iam.served_role", "IMDS serves that role", aws_checks.same_role, (*_ROLE, *_SERVED)),
    Check("iam.expected_role", "It is the expected one", aws_checks.expected_role_in_profile, _ROLE),
    Check("iam.role_id", "The credentials are of that role", aws_checks.same_role_id, (*_PROFILE, *_SERVED)),
    Check("iam.trust", "The role's trust policy lets EC2 assume it", aws_checks.trusts_ec2, _ROLE),
    Check("iam.revoked", "No policy of the role revokes its sessions", aws_checks.revoked),
    Check("program.network", "The program reaches IMDS", on_instance(program_checks.network)),
    Check("program.limits", "Its unit allows IMDS", on_instance(program_checks.limits)),
    Check("shadow.environment", "No variable shadows the role", on_instance(program_checks.environment)),
    Check("shadow.files", "No configuration file shadows the role", on_instance(program_checks.files)),
    Check("shadow.container", "No container's role shadows the role", on_instance(program_checks.container)),
)

_NEEDED = ("ec2.attached", "iam.profile", "iam.profile_role", "iam.trust")
"""The checks that must pass for the state ok on a workstation."""


@dataclass(frozen=True)
class Root:
    """The root cause."""

    fault: Fault
    because: str
    """The note of the check that found it."""
    explained: Explained
    """What it means and what to do, fitted to this instance."""


@dataclass(frozen=True)
class Diagnosis:
    """The result of a diagnosis."""

    state: State
    results: tuple[Result, ...]
    findings: tuple[Finding, ...]
    """Every fault, once, in the order of `Fault`."""
    root: Root | None
    facts: Mapping[str, str]
    """Names and ids of the instance, by the names of `PLACEHOLDERS`."""
    association: Association | None = None
    """What EC2 has attached, if it returned it."""
    on_instance: bool = True
    """Whether it was made on the instance, with IMDS."""


def diagnose(context: Context) -> Diagnosis:
    """Return the results of all checks over *context*, the faults, the root cause and the state."""
    results = (*checks.run(CHECKS, context), *program_checks.units(context.units))
    findings = _findings(context, results)
    facts = known_facts(context)
    association = context.aws.association
    return Diagnosis(
        state=_state(context, results, findings),
        results=results,
        findings=findings,
        root=_root(context, results, findings, facts),
        facts=facts,
        association=association if isinstance(association, Association) else None,
        on_instance=context.local is not None,
    )


def known_facts(context: Context) -> dict[str, str]:
    """Return the names and ids for a remedy: those of IMDS before those of EC2, and these before those of IAM."""
    facts = facts_of(context.local.snapshot) if context.local else {}
    aws = context.aws
    others = {
        "instance_id": context.instance_id,
        "region": context.region,
        "account_id": context.account_id,
        "partition": partition_of(context.region) if context.region else None,
        "role": context.served_role or (aws.role_in_profile.name if aws.role_in_profile else None),
        "instance_profile": aws.profile_name,
        "instance_profile_id": aws.attached_id,
        "association_id": aws.attached.id if aws.attached else None,
        "expected_role": one_name(", ".join(context.expected_role)),
    }
    return {**{name: value for name, value in others.items() if value}, **facts}


def _findings(context: Context, results: tuple[Result, ...]) -> tuple[Finding, ...]:
    """Join the findings of IMDS and of the checks. Of two for one fault, that of IMDS stays, or the first check's."""
    found = {finding.fault: finding for finding in (context.local.verdict.findings if context.local else ())}
    for result in results:
        if result.outcome.fault is not None:
            found.setdefault(result.outcome.fault, Finding(result.outcome.fault, result.outcome.evidence))
    return tuple(found[fault] for fault in Fault if fault in found)


def _root(
    context: Context, results: tuple[Result, ...], findings: tuple[Finding, ...], facts: Mapping[str, str]
) -> Root | None:
    by_fault = {finding.fault: finding for finding in findings}
    causes = [fault for fault in ROOT_CAUSES if fault in by_fault]
    if not causes:
        return None
    fault = min(causes, key=lambda fault: FAULTS[fault].spares_the_poll(by_fault[fault].evidence))
    notes = [result.outcome.note for result in results if result.outcome.fault is fault]
    if fault is Fault.ASSUME_ROLE_UNAUTHORIZED:  # IMDS shows the fault, the trust policy the reason
        notes = [each.outcome.note for each in results if each.id == "iam.trust" and each.outcome.facts] + notes
    evidence = by_fault[fault].evidence
    fix = remedy.fit(remedy_for(FAULTS[fault], evidence).fix, _situation(context.aws))
    explained = explain(fault, evidence, facts, fix)
    return Root(fault, notes[0] if notes else explained.cause, explained)


def _situation(aws: AwsFindings) -> remedy.Situation:
    association = aws.association if isinstance(aws.association, Association) else None
    return remedy.Situation(
        association_known=isinstance(aws.association, (Association, Missing)),
        association_id=association.id if association else None,
        association_state=association.state if association else None,
        running=not (isinstance(aws.instance, Instance) and aws.instance.state in ("stopping", "stopped")),
        profile_known=aws.known_profile is not None,
    )


def _state(context: Context, results: tuple[Result, ...], findings: tuple[Finding, ...]) -> State:
    """Return the state: IMDS's, made worse by what only AWS knows. On a workstation, what AWS knows decides."""
    faults = {finding.fault for finding in findings}
    if context.local is not None:
        state = context.local.snapshot.state
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
    """Return *diagnosis*, made at the time *polled*, for JSON. *version* is that of rolewatch."""
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
        "association_id": diagnosis.association.id if diagnosis.association else None,
        "association_state": diagnosis.association.state if diagnosis.association else None,
        "checks": [checks.document(result) for result in diagnosis.results],
        "faults": [
            {"fault": finding.fault.value, "evidence": dict(finding.evidence)} for finding in diagnosis.findings
        ],
        "root_cause": {**fault_document(root.explained), "because": root.because} if root else None,
        "polled": rfc3339(polled),
        "version": version,
    }
