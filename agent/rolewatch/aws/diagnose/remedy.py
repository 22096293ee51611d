"""Fit a remedy to what AWS has told: which of associate, replace and disassociate-and-associate, with the ids put in.

The remedies themselves are the table of faults'. Here steps that have been looked after are left out, and those that
depend on the association's state are settled.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from rolewatch import shell
from rolewatch.faults import FAULTS
from rolewatch.faults.entry import Step
from rolewatch.faults.explain import Explained, explain, remedy_for
from rolewatch.faults.steps import ASSOCIATE, FORCE, LOOK_AT_ASSOCIATION, LOOK_AT_PROFILE, REPLACE
from rolewatch.vocabulary import Evidence, Fault

_LOOK_UP = re.compile(r"\AASSOCIATION=\$\(.*?\)\n", re.DOTALL)
"""The lines of a command that look the association up. Neither Region nor instance id can hold a parenthesis."""
_PERMISSION = re.compile(r"\b(?:ec2|iam|sts|cloudtrail):[A-Z][A-Za-z]+")

_IAM_EVENTS = {"aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}
"""The Region whose CloudTrail has IAM's events; of all others it is us-east-1, as in the table."""
_IN_US_EAST_1 = "cloudtrail lookup-events --region=us-east-1"

_WAIT = Step("The association is being changed just now: wait until EC2 says associated, or none.")


@dataclass(frozen=True)
class Situation:
    """What AWS told, as far as it changes the steps."""

    told: bool = False
    """Whether EC2 told what is attached."""
    association_id: str | None = None
    association_state: str | None = None
    """None where nothing is attached."""
    running: bool = True
    profile_told: bool = False
    """Whether IAM told of the instance profile."""


def fit(fault: Fault, evidence: Evidence, facts: Mapping[str, str], situation: Situation) -> Explained:
    """Return what `explain` says of *fault*, with its steps fitted to *situation*."""
    explained = explain(fault, evidence, facts)
    raw = remedy_for(FAULTS[fault], evidence).fix
    steps = tuple(
        fitted
        for step, filled in zip(raw, explained.fix)
        for fitted in _fitted(step, _in_partition(filled, facts.get("partition", "")), facts, situation, explained)
    )
    return replace(explained, fix=steps)


def permissions(step: Step) -> tuple[str, ...]:
    """Return the IAM actions that *step* says it needs, each once."""
    return tuple(dict.fromkeys(_PERMISSION.findall(step.text)))


def _fitted(
    raw: Step, filled: Step, facts: Mapping[str, str], situation: Situation, explained: Explained
) -> Iterator[Step]:
    """Yield what becomes of one step: itself, another, or nothing."""
    if raw is LOOK_AT_ASSOCIATION and situation.told:
        if situation.association_state in ("associating", "disassociating"):
            yield _WAIT
    elif raw is LOOK_AT_PROFILE and situation.profile_told:
        return
    elif raw is ASSOCIATE and situation.told:
        if situation.association_state is None:
            yield replace(filled, text=filled.text.replace("Where EC2 has none attached, attach one", "Attach one"))
    elif raw.command == REPLACE.command and situation.told:
        yield from _replace(filled, facts, situation, explained)
    elif raw is FORCE and situation.told:
        yield from _force(filled, facts, situation)
    else:
        yield filled


def _in_partition(step: Step, partition: str) -> Step:
    """Ask CloudTrail in the Region that has IAM's events in *partition*."""
    if partition not in _IAM_EVENTS:
        return step
    region = f"cloudtrail lookup-events --region={_IAM_EVENTS[partition]}"
    return replace(step, command=step.command.replace(_IN_US_EAST_1, region))


def _replace(filled: Step, facts: Mapping[str, str], situation: Situation, explained: Explained) -> Iterator[Step]:
    if situation.association_state is None:
        # Where the remedy has a step of its own for that, it is the next; else this one becomes it.
        if explained.fault is Fault.INSTANCE_PROFILE_REPLACED:
            yield _associate(facts)
        return
    if situation.running:
        text = (
            f"Replace the association {situation.association_id or ''}, while the instance runs (needs "
            "ec2:ReplaceIamInstanceProfileAssociation, and iam:PassRole on the role)."
        )
        yield Step(text.replace(" ,", ","), _with_id(filled.command, situation))
        return
    yield _disassociate(facts, situation)
    yield _associate(facts)


def _force(filled: Step, facts: Mapping[str, str], situation: Situation) -> Iterator[Step]:
    if situation.association_state is None:
        yield _associate(facts)
    elif situation.running:
        yield replace(filled, command=_with_id(filled.command, situation))
    else:
        yield Step("The instance does not run: at its next start it gets new credentials, and nothing need be forced.")


def _with_id(command: str, situation: Situation) -> str:
    """Put the association's id in the place of the lines that look it up."""
    if not situation.association_id:
        return command
    assignment = f"ASSOCIATION={shell.quoted(situation.association_id)}\n"
    return _LOOK_UP.sub(lambda _: assignment, command)


def _associate(facts: Mapping[str, str]) -> Step:
    name = (
        facts.get("expected_instance_profile") or facts.get("instance_profile") or shell.placeholder("instance_profile")
    )
    return Step(
        "Attach the instance profile (needs ec2:AssociateIamInstanceProfile, and iam:PassRole on the role).",
        f"aws ec2 associate-iam-instance-profile {_option('region', facts)} {_option('instance-id', facts)} \\\n"
        f"  --iam-instance-profile Name={shell.shorthand(name)}",
    )


def _disassociate(facts: Mapping[str, str], situation: Situation) -> Step:
    return Step(
        "The instance does not run, so the association cannot be replaced: take it away first (needs "
        "ec2:DisassociateIamInstanceProfile).",
        f"aws ec2 disassociate-iam-instance-profile {_option('region', facts)} \\\n"
        f"  {shell.option('association-id', situation.association_id or shell.placeholder('association_id'))}",
    )


def _option(name: str, facts: Mapping[str, str]) -> str:
    return shell.option(name, facts.get(name.replace("-", "_")) or shell.placeholder(name))
