"""What the checks of one ``preflight`` command come to: an exit status, and a document. Pure."""

from __future__ import annotations

from enum import Enum
from typing import Any, Dict, Optional, Tuple

from rolewatch.aws import checks
from rolewatch.aws.checks import Result, Status
from rolewatch.aws.preflight_values import Advised

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


def outlook(results: Tuple[Result, ...]) -> Outlook:
    """Return what *results* come to. What is known to fail goes before what may, and that before what is not known."""
    found = {_one(result) for result in results}
    return next((each for each in _GRAVEST if each in found), Outlook.OK)


def because(results: Tuple[Result, ...]) -> Optional[Result]:
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


def document(command: str, results: Tuple[Result, ...]) -> Dict[str, Any]:
    """Return *results* of ``preflight`` *command* as JSON has them."""
    reason = because(results)
    return {
        "schema": SCHEMA,
        "command": command,
        "outlook": outlook(results).name.lower(),
        "because": reason.id if reason else None,
        "checks": [_document(result) for result in results],
    }


def _document(result: Result) -> Dict[str, Any]:
    shown = checks.document(result)
    if isinstance(result.outcome, Advised):
        shown["may_fail"] = result.outcome.may_fail
        shown["fix"] = [{"text": step.text, "command": step.command} for step in result.outcome.fix]
    return shown
