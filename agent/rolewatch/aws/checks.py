"""What a check is: a small pure function over a context, with a name, and what has to be known before it can judge.

The same framework serves `rolewatch diagnose` and `rolewatch preflight`: the context differs, the rest does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Callable, Generic, Optional, TypeVar

from rolewatch.aws.client import Refused, Trouble
from rolewatch.faults import Fault
from rolewatch.vocabulary import Evidence, Scalar

C = TypeVar("C")
"""The context that a check judges: a frozen value."""


class Status(str, Enum):
    """How a check ended. The contract of the JSON form."""

    PASS = "pass"  # noqa: S105 - a word
    FAIL = "fail"
    SKIPPED = "skipped"
    """It could not be made from here; `Outcome.who` says who can."""
    UNKNOWN = "unknown"
    """It was made, and could not be decided; `Outcome.permission` says what is missing, if that is why."""


@dataclass(frozen=True)
class Outcome:
    """What came of one check."""

    status: Status
    note: str
    """One sentence or some, for a person."""
    fault: Fault | None = None
    """What a failed check found, where it is one of the closed vocabulary."""
    evidence: Evidence = field(default_factory=dict)
    """What `fault` rests on: keys of `EVIDENCE_KEYS`, for journal and metric."""
    facts: Mapping[str, Scalar] = field(default_factory=dict)
    """What else was seen: ids, names, numbers. Never a secret."""
    who: str = ""
    """Who could make this check, and how."""
    permission: str = ""
    """The IAM action that was denied, ``iam:GetInstanceProfile``."""


Need = Callable[[C], Optional[Outcome]]
"""What has to be known: None where it is, else the outcome that says why it is not."""


@dataclass(frozen=True)
class Check(Generic[C]):
    """One named question."""

    id: str
    """``area.question``. The contract: never renamed."""
    title: str
    """The question as a statement that holds where all is well: no full stop."""
    judge: Callable[[C], Outcome]
    needs: tuple[Callable[[C], Outcome | None], ...] = ()
    """Asked in this order before `judge`; the first that is not met is the outcome."""


@dataclass(frozen=True)
class Result:
    """A check and what came of it."""

    id: str
    title: str
    outcome: Outcome


def run(checks: Sequence[Check[C]], context: C) -> tuple[Result, ...]:
    """Make *checks* over *context*, in their order."""
    return tuple(Result(check.id, check.title, _outcome(check, context)) for check in checks)


def _outcome(check: Check[C], context: C) -> Outcome:
    for need in check.needs:
        unmet = need(context)
        if unmet is not None:
            return unmet
    return check.judge(context)


def passed(note: str, /, **facts: Scalar | None) -> Outcome:
    """Return the outcome of a check that holds."""
    return Outcome(Status.PASS, note, facts=_known(facts))


def failed(
    note: str, fault: Fault | None = None, evidence: Evidence | None = None, /, **facts: Scalar | None
) -> Outcome:
    """Return the outcome of a check that does not hold."""
    return Outcome(Status.FAIL, note, fault, evidence or {}, facts=_known(facts))


def skipped(note: str, who: str = "") -> Outcome:
    """Return the outcome of a check that could not be made from here."""
    return Outcome(Status.SKIPPED, note, who=who)


def unknown(note: str, /, **facts: Scalar | None) -> Outcome:
    """Return the outcome of a check that was made and could not be decided."""
    return Outcome(Status.UNKNOWN, note, facts=_known(facts))


def refused(answer: Refused, who: str = "") -> Outcome:
    """Return the outcome of a check whose question AWS did not answer; *who* could ask instead.

    Without credentials, or without the SDK, nothing was asked: the check is skipped. A denied call names what is
    missing.
    """
    if answer.trouble in (Trouble.NO_CREDENTIALS, Trouble.NO_SDK):
        return skipped(answer.sentence, who)
    permission = answer.action if answer.trouble is Trouble.ACCESS_DENIED else ""
    facts: dict[str, Scalar] = {"trouble": answer.trouble.value, **({"code": answer.code} if answer.code else {})}
    return Outcome(Status.UNKNOWN, answer.sentence, facts=facts, who=who, permission=permission)


def document(result: Result) -> dict[str, Any]:
    """Return *result* as the JSON form has it. What is not known is left out, but for the four that always are."""
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
