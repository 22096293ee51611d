"""Results of preflight checks, and what they amount to: an exit status, and a document. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from rolewatch.aws import checks
from rolewatch.aws.checks import Outcome, Result, Status
from rolewatch.faults.remedy import Step
from rolewatch.vocabulary import Scalar


@dataclass(frozen=True)
class Advised(Outcome):
    """An outcome with what to do about it, and how sure it is."""

    fix: tuple[Step, ...] = ()
    may_fail: bool = False
    """The outcome is `Status.UNKNOWN`, and there is a known reason why it may go wrong."""


def fails(note: str, *fix: Step, **facts: Scalar | None) -> Advised:
    """Return the outcome of a check that says: this will fail."""
    return Advised(Status.FAIL, note, facts=_known(facts), fix=fix)


def may_fail(note: str, *fix: Step, **facts: Scalar | None) -> Advised:
    """Return the outcome of a check that says: this may fail, and here is why."""
    return Advised(Status.UNKNOWN, note, facts=_known(facts), fix=fix, may_fail=True)


def _known(facts: Mapping[str, Scalar | None]) -> dict[str, Scalar]:
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
    missing: tuple[str, ...] = ()
    """Condition keys that the policies ask for and the simulation was not given."""
    policies: tuple[str, ...] = ()
    """The policies whose statements decided."""
    organization: bool | None = None
    """Whether the organization's service control policies allow it; None where there is no organization."""
    boundary: bool | None = None
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


SCHEMA = 1
"""The version of the JSON form. Fields are added without a new version, never taken away."""

OPTIONAL = frozenset({"launch.dry_run"})
"""What may be skipped without leaving a doubt: the other checks tell as much."""


class Outlook(Enum):
    """What all checks of one command come to; the value is the exit status. The contract."""

    OK = 0
    MAY_FAIL = 1
    WILL_FAIL = 2
    CANNOT_TELL = 3


_GRAVEST = (Outlook.WILL_FAIL, Outlook.MAY_FAIL, Outlook.CANNOT_TELL)


def outlook(results: tuple[Result, ...]) -> Outlook:
    """Return what *results* come to. What is known to fail goes before what may, and that before what is not known."""
    found = {_one(result) for result in results}
    return next((each for each in _GRAVEST if each in found), Outlook.OK)


def because(results: tuple[Result, ...]) -> Result | None:
    """Return the first of *results* that the outlook is due to; None where all is well."""
    whole = outlook(results)
    return None if whole is Outlook.OK else next(result for result in results if _one(result) is whole)


def _one(result: Result) -> Outlook:
    outcome = result.outcome
    if outcome.status is Status.FAIL:
        return Outlook.WILL_FAIL
    if isinstance(outcome, Advised) and outcome.may_fail:
        return Outlook.MAY_FAIL
    if outcome.status is Status.PASS or (outcome.status is Status.SKIPPED and result.id in OPTIONAL):
        return Outlook.OK
    return Outlook.CANNOT_TELL


def document(command: str, results: tuple[Result, ...]) -> dict[str, Any]:
    """Return *results* of ``preflight`` *command* as JSON has them."""
    reason = because(results)
    return {
        "schema": SCHEMA,
        "command": command,
        "outlook": outlook(results).name.lower(),
        "because": reason.id if reason else None,
        "checks": [_document(result) for result in results],
    }


def _document(result: Result) -> dict[str, Any]:
    shown = checks.document(result)
    if isinstance(result.outcome, Advised):
        shown["may_fail"] = result.outcome.may_fail
        shown["fix"] = [{"text": step.text, "command": step.command} for step in result.outcome.fix]
    return shown
