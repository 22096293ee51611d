"""Checks: named pure functions that judge a context, and their outcomes.

`rolewatch diagnose` and `rolewatch preflight` share it; each has a context of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Callable, Generic, Optional, TypeVar

from rolewatch.aws.client import Refused, Trouble
from rolewatch.faults import Fault
from rolewatch.faults.remedy import Step
from rolewatch.vocabulary import Evidence, Scalar

C = TypeVar("C")
"""The context that a check judges: a frozen value."""


class Status(str, Enum):
    """The status of a check. The contract of the JSON form."""

    PASS = "pass"  # noqa: S105 - a word
    FAIL = "fail"
    SKIPPED = "skipped"
    """Not made, for lack of data or credentials; `Outcome.who` says who can make it."""
    UNKNOWN = "unknown"
    """Made, but undecided; `Outcome.permission` names the missing permission, if that is the cause."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of one check."""

    status: Status
    note: str
    """One or more sentences for people."""
    fault: Fault | None = None
    """The fault that a failed check found, if it is one of the vocabulary."""
    evidence: Evidence = field(default_factory=dict)
    """The evidence of `fault`: keys of `EVIDENCE_KEYS`, for journal and metric."""
    facts: Mapping[str, Scalar] = field(default_factory=dict)
    """Other details: ids, names, numbers. Never a secret."""
    who: str = ""
    """Who can make this check, and how."""
    permission: str = ""
    """The IAM action that was denied, ``iam:GetInstanceProfile``."""
    fix: tuple[Step, ...] = ()
    """What to do, in this order."""
    may_fail: bool = False
    """Whether `Status.UNKNOWN` is a known risk. False where nothing speaks for a failure."""


Need = Callable[[C], Optional[Outcome]]
"""Returns None where the check can be made, else the outcome that says why not."""


@dataclass(frozen=True)
class Check(Generic[C]):
    """One named check."""

    id: str
    """``area.question``. The contract: never renamed."""
    title: str
    """What the check expects, as a statement without a full stop."""
    judge: Callable[[C], Outcome]
    needs: tuple[Callable[[C], Outcome | None], ...] = ()
    """Called in this order before `judge`; the first outcome that one returns is the check's."""


@dataclass(frozen=True)
class Result:
    """A check's id, title and outcome."""

    id: str
    title: str
    outcome: Outcome


def run(checks: Sequence[Check[C]], context: C) -> tuple[Result, ...]:
    """Return the results of *checks* over *context*, in their order."""
    return tuple(Result(check.id, check.title, _outcome(check, context)) for check in checks)


def _outcome(check: Check[C], context: C) -> Outcome:
    for need in check.needs:
        unmet = need(context)
        if unmet is not None:
            return unmet
    return check.judge(context)


def passed(note: str, /, **facts: Scalar | None) -> Outcome:
    """Return the outcome of a check that passed."""
    return Outcome(Status.PASS, note, facts=_known(facts))


def failed(
    note: str, fault: Fault | None = None, evidence: Evidence | None = None, /, **facts: Scalar | None
) -> Outcome:
    """Return the outcome of a check that failed."""
    return Outcome(Status.FAIL, note, fault, evidence or {}, facts=_known(facts))


def will_fail(note: str, *fix: Step, **facts: Scalar | None) -> Outcome:
    """Return the outcome of a check that found why something will fail, with the *fix*."""
    return Outcome(Status.FAIL, note, facts=_known(facts), fix=fix)


def may_fail(note: str, *fix: Step, **facts: Scalar | None) -> Outcome:
    """Return the outcome of a check that found why something may fail, with the *fix*."""
    return Outcome(Status.UNKNOWN, note, facts=_known(facts), fix=fix, may_fail=True)


def skipped(note: str, who: str = "") -> Outcome:
    """Return the outcome of a check that was not made; *who* can make it."""
    return Outcome(Status.SKIPPED, note, who=who)


def unknown(note: str, /, **facts: Scalar | None) -> Outcome:
    """Return the outcome of a check that could not be decided."""
    return Outcome(Status.UNKNOWN, note, facts=_known(facts))


def refused(answer: Refused, who: str = "") -> Outcome:
    """Return the outcome of a check whose call AWS did not answer; *who* can make it instead.

    Skipped without credentials or boto3; else unknown, and a denied call names the missing permission.
    """
    if answer.trouble in (Trouble.NO_CREDENTIALS, Trouble.NO_SDK):
        return skipped(answer.sentence, who)
    permission = answer.action if answer.trouble is Trouble.ACCESS_DENIED else ""
    facts: dict[str, Scalar] = {"trouble": answer.trouble.value, **({"code": answer.code} if answer.code else {})}
    return Outcome(Status.UNKNOWN, answer.sentence, facts=facts, who=who, permission=permission)


def document(result: Result) -> dict[str, Any]:
    """Return the JSON form of *result*. Empty fields are omitted, except for the four that are always present."""
    outcome = result.outcome
    shown: dict[str, Any] = {
        "id": result.id,
        "title": result.title,
        "status": outcome.status.value,
        "note": outcome.note,
        "fault": outcome.fault.value if outcome.fault else None,
        "facts": dict(outcome.facts),
        "who": outcome.who,
        "permission": outcome.permission,
    }
    always = ("id", "title", "status", "note")
    return {key: value for key, value in shown.items() if value or key in always}


def _known(facts: Mapping[str, Scalar | None]) -> dict[str, Scalar]:
    return {name: value for name, value in facts.items() if value is not None}
