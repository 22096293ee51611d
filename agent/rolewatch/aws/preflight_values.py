"""What the checks before a launch speak of: IAM's policy simulator, a dry run, and advice. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Dict, Mapping, Optional, Tuple

from rolewatch.aws.checks import Outcome, Status
from rolewatch.faults import Step
from rolewatch.model import Scalar


@dataclass(frozen=True)
class Advised(Outcome):
    """An outcome with what to do about it, and how sure it is."""

    fix: Tuple[Step, ...] = ()
    may_fail: bool = False
    """The outcome is `Status.UNKNOWN`, and there is a known reason why it may go wrong."""


def fails(note: str, *fix: Step, **facts: Optional[Scalar]) -> Advised:
    """Return the outcome of a check that says: this will fail."""
    return Advised(Status.FAIL, note, facts=_known(facts), fix=fix)


def may_fail(note: str, *fix: Step, **facts: Optional[Scalar]) -> Advised:
    """Return the outcome of a check that says: this may fail, and here is why."""
    return Advised(Status.UNKNOWN, note, facts=_known(facts), fix=fix, may_fail=True)


def _known(facts: Mapping[str, Optional[Scalar]]) -> Dict[str, Scalar]:
    return {name: value for name, value in facts.items() if value is not None}


class Decision(str, Enum):
    """What IAM's policy simulator decides, in AWS's words (API_EvaluationResult, 2026)."""

    ALLOWED = "allowed"
    EXPLICIT_DENY = "explicitDeny"
    IMPLICIT_DENY = "implicitDeny"


@dataclass(frozen=True)
class Simulated:
    """``iam:SimulatePrincipalPolicy``: whether the policies of a principal let it do one thing to one resource."""

    action: str
    resource: str
    decision: Decision
    missing: Tuple[str, ...] = ()
    """Condition keys that the policies ask for and the simulation was not given."""
    policies: Tuple[str, ...] = ()
    """The policies whose statements decided."""
    organization: Optional[bool] = None
    """Whether the organization's service control policies allow it; None where there is no organization."""
    boundary: Optional[bool] = None
    """Whether the permissions boundary allows it; None where there is none."""


@dataclass(frozen=True)
class Rehearsed:
    """``ec2:RunInstances`` with ``DryRun``: what EC2 would answer the caller. Nothing is launched."""

    code: str
    """EC2's error code; a dry run ends with one where all is well, too."""

    @property
    def allowed(self) -> bool:
        """Whether everything that EC2 checks before a launch was in order."""
        return self.code == "DryRunOperation"

    @property
    def unauthorized(self) -> bool:
        """Whether EC2 refused for want of a permission."""
        return self.code in {"UnauthorizedOperation", "AccessDenied"}


@dataclass(frozen=True)
class Listed:
    """The caller tried ``iam:ListInstanceProfiles``, and was allowed. What was listed is not looked at."""
