"""What EC2 answered to dry runs of RunInstances: with the instance profile and, as AWS advises, without. Pure."""

from __future__ import annotations

from typing import Optional, Tuple, Union

from rolewatch.aws import preflight_remedies as remedies
from rolewatch.aws.answers import Refused, Trouble
from rolewatch.aws.checks import Outcome, passed, refused, unknown
from rolewatch.aws.preflight_values import Rehearsed, fails
from rolewatch.faults import Step

RehearsedAnswer = Union[Rehearsed, Refused]

_JUDGED = (Trouble.ACCESS_DENIED, Trouble.ERROR)
"""What EC2 says of the launch; anything else says only that it could not be asked."""


def read(refusal: Refused) -> RehearsedAnswer:
    """Return what *refusal* says of the launch. A dry run is always refused; ``DryRunOperation`` is the good one."""
    if refusal.trouble in _JUDGED and refusal.code:
        return Rehearsed(refusal.code)
    return refusal


def judge(seen: RehearsedAnswer, without: Optional[RehearsedAnswer], who: str) -> Outcome:
    """Say what the dry run by *who* shows; *without* is one without the instance profile, made where *seen* failed."""
    if isinstance(seen, Refused):
        return refused(seen)
    if seen.allowed:
        return passed(f"EC2 would launch an instance with this instance profile for {who}.", code=seen.code)
    alone = without.code if isinstance(without, Rehearsed) else None
    if seen.unauthorized:
        note, missing = _unauthorized(without, who)
        step = Step(f"Have {missing} allowed. {remedies.ADMIN}")
        return fails(note, step, code=seen.code, code_without=alone)
    if isinstance(without, Rehearsed) and without.allowed:
        return fails(
            f"EC2 answers {seen.code} with the instance profile, and would launch without it: the trouble is confined "
            "to the instance profile.",
            code=seen.code,
            code_without=alone,
        )
    return unknown(
        f"EC2 answers {seen.code}, and not because of the instance profile: the dry run itself was not in order. "
        "Look at --image-id, --instance-type, --subnet-id and --region.",
        code=seen.code,
        code_without=alone,
    )


def _unauthorized(without: Optional[RehearsedAnswer], who: str) -> Tuple[str, str]:
    """Say which permission is missing, as far as the dry run without the instance profile tells."""
    if isinstance(without, Rehearsed) and without.allowed:
        note = (
            f"EC2 does not let {who} launch with the instance profile, and does without it: the trouble is confined to "
            "the role, and iam:PassRole is missing."
        )
        return note, "iam:PassRole on the role"
    if isinstance(without, Rehearsed) and without.unauthorized:
        note = (
            f"EC2 does not let {who} launch, neither with the instance profile nor without it: ec2:RunInstances is "
            "missing. Whether iam:PassRole is, too, the dry run does not tell."
        )
        return note, "ec2:RunInstances"
    note = f"EC2 does not let {who} launch with the instance profile. Whether it would without one, it did not tell."
    return note, "ec2:RunInstances, and iam:PassRole on the role"
