"""Decide from a role's trust policy whether EC2 may assume the role. Pure, total, offline.

A prediction: IMDS decides. What the documentation leaves open is `UNDECIDED`, with the reason.
The table of forms, with its sources, is in docs/diagnose.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any
from urllib.parse import unquote

from rolewatch.text import shortened

ACTION = "sts:assumerole"
EC2 = "ec2.amazonaws.com"
EC2_IN_CHINA = "ec2.amazonaws.com.cn"
"""Was the only one there until about 2020; since 2022 both are accepted (aws-cdk#1282, cdk-eks-blueprints#558)."""

_LONGEST = 64
_EC2_PREFIX, _EC2_SUFFIXES = "ec2", (".amazonaws.com", ".amazonaws.com.cn")


class Trust(str, Enum):
    """Whether EC2 may assume the role."""

    ALLOWS = "allows"
    DENIES = "denies"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Reading:
    """What a trust policy means for EC2."""

    trust: Trust
    why: str
    """One sentence; it names the statement that decides, if one does."""


class _Fit(Enum):
    """Whether a statement applies to EC2."""

    YES = "yes"
    NO = "no"
    MAYBE = "maybe"


@dataclass(frozen=True)
class _Judged:
    fit: _Fit
    why: str = ""
    by_condition: bool = False
    """Whether the statement's Condition decides."""


_YES = _Judged(_Fit.YES)


def judge(policy: Any, partition: str = "aws") -> Reading:  # noqa: ANN401 - any value of IAM or a user
    """Return whether *policy* (decoded, or JSON text, URL-encoded or not) lets EC2 in *partition* assume the role."""
    statements = statements_of(policy)
    if statements is None:
        return Reading(Trust.UNDECIDED, "The trust policy cannot be read.")
    if not statements:
        return Reading(Trust.DENIES, "The trust policy has no statement.")
    judged = [(number, each.get("Effect"), _fit(each, partition)) for number, each in enumerate(statements, 1)]
    denying = [(number, fit) for number, effect, fit in judged if effect == "Deny" and fit.fit is not _Fit.NO]
    allowing = [(number, fit) for number, effect, fit in judged if effect == "Allow" and fit.fit is not _Fit.NO]
    for number, fit in denying:
        if fit.fit is _Fit.YES:
            return Reading(Trust.DENIES, f"Statement {number} denies EC2, and a Deny comes before every Allow.")
    if not allowing:
        return Reading(Trust.DENIES, _nobody(statements, judged, partition))
    surely = [number for number, fit in allowing if fit.fit is _Fit.YES]
    doubts = denying or ([] if surely else allowing)
    if doubts:
        number, fit = doubts[0]
        effect = "denies" if denying else "allows"
        return Reading(Trust.UNDECIDED, f"Whether statement {number} {effect} EC2 is undecided offline: {fit.why}.")
    return Reading(Trust.ALLOWS, f"Statement {surely[0]} allows {_services(partition)[-1]} to assume the role.")


def statements_of(policy: Any) -> list[dict[str, Any]] | None:  # noqa: ANN401 - any value
    """Return the statements; None if *policy* is not a policy."""
    if isinstance(policy, str):
        # Policies are URL-encoded in the API's XML; botocore decodes them, other tools do not (IAM API reference).
        try:
            policy = json.loads(unquote(policy) if policy.lstrip().startswith("%") else policy, parse_int=str)
        except (ValueError, RecursionError):
            return None
    if not isinstance(policy, dict):
        return None
    statements = policy.get("Statement", [])
    listed = statements if isinstance(statements, list) else [statements]
    return listed if all(isinstance(each, dict) for each in listed) else None


def _fit(statement: dict[str, Any], partition: str) -> _Judged:
    """Return whether *statement* applies when EC2 assumes the role: by action, principal and condition."""
    parts = (_action(statement), _principal(statement, partition), _conditions(statement))
    for fit in (_Fit.NO, _Fit.MAYBE):
        for part in parts:
            if part.fit is fit:
                return part
    return _YES


def _action(statement: dict[str, Any]) -> _Judged:
    if "NotAction" in statement:
        listed = any(_matches(pattern) for pattern in texts(statement["NotAction"]))
        return _Judged(_Fit.NO, "its NotAction excludes sts:AssumeRole") if listed else _YES
    listed = any(_matches(pattern) for pattern in texts(statement.get("Action")))
    return _YES if listed else _Judged(_Fit.NO, "it is not about sts:AssumeRole")


def _matches(pattern: str) -> bool:
    """Match an action pattern: without regard to case, ``*`` and ``?`` are wildcards (IAM reference, Action, 2026)."""
    return _fits(pattern.lower(), ACTION)


def _fits(pattern: str, text: str) -> bool:
    """Return whether *text* as a whole matches *pattern*, in time of at most the product of their lengths.

    When a character does not match, only the last ``*`` can be worth extending: it is all that is ever retried.
    """
    at = position = resume = 0
    star = -1
    while position < len(text):
        if at < len(pattern) and pattern[at] == "*":
            star, resume = at, position
            at += 1
        elif at < len(pattern) and pattern[at] in ("?", text[position]):
            at += 1
            position += 1
        elif star >= 0:
            resume += 1
            at, position = star + 1, resume
        else:
            return False
    return not pattern[at:].strip("*")


def _may_mean_ec2(service: str) -> bool:
    """Return whether *service* may mean EC2: a Regional name or a wildcard. AWS documents neither."""
    if "*" in service or "?" in service:
        return True
    rest = service[len(_EC2_PREFIX) + 1 :]
    return service.startswith((f"{_EC2_PREFIX}.", f"{_EC2_PREFIX}-")) and rest.endswith(_EC2_SUFFIXES)


def _principal(statement: dict[str, Any], partition: str) -> _Judged:
    if "NotPrincipal" in statement:
        return _Judged(_Fit.MAYBE, "NotPrincipal is not permitted in the trust policy of a role (IAM user guide)")
    principal = statement.get("Principal")
    everyone = 'a Principal "*" is documented as everyone; whether that includes a service is not'
    named = principal if isinstance(principal, dict) else {"AWS": principal}
    services = texts(named.get("Service"))
    if any(name in _services(partition) for name in services):
        return _YES
    odd = next((name for name in services if _may_mean_ec2(name) and name != EC2_IN_CHINA), None)
    if odd is not None:
        return _Judged(_Fit.MAYBE, f"the meaning of the service {_shown(odd)} is not documented")
    if "*" in texts(named.get("AWS")):
        return _Judged(_Fit.MAYBE, everyone)
    return _Judged(_Fit.NO, "its Principal is not EC2")


def _services(partition: str) -> tuple[str, ...]:
    return (EC2_IN_CHINA, EC2) if partition == "aws-cn" else (EC2,)


def _conditions(statement: dict[str, Any]) -> _Judged:
    """Judge the conditions, which must all be met: one that EC2 cannot meet decides."""
    condition = statement.get("Condition")
    if not condition:
        return _YES
    if not isinstance(condition, dict):
        return _Judged(_Fit.MAYBE, "its Condition cannot be read", by_condition=True)
    judged = [_condition(*each) for each in each_condition(condition)]
    return next((each for each in judged if each.fit is _Fit.NO), judged[0] if judged else _YES)


def each_condition(condition: dict[str, Any]) -> Iterator[tuple[str, str, list[str]]]:
    """Yield operator, key and values of each condition in a statement's Condition; an empty key where it has none."""
    for operator, keys in condition.items():
        for key, values in keys.items() if isinstance(keys, dict) else [("", None)]:
            yield str(operator), str(key), texts(values)


def _condition(operator: str, key: str, values: list[str]) -> _Judged:
    """Judge one condition. The keys that a request lacks make positive operators false (IAM reference, operators)."""
    name, how = key.lower(), operator.lower()
    shown = f"{_shown(operator)} on {_shown(key)}" if key else _shown(operator)
    lacking = name in {"aws:multifactorauthpresent", "aws:multifactorauthage", "sts:externalid"}
    wanted = [value.lower() for value in values]
    if lacking and how == "null":
        if wanted == ["true"]:
            return _YES
        if wanted == ["false"]:
            return _Judged(_Fit.NO, f"EC2 cannot meet its condition {shown}", by_condition=True)
    elif lacking and not how.endswith("ifexists") and "not" not in how and ":" not in how:
        return _Judged(_Fit.NO, f"EC2 cannot meet its condition {shown}", by_condition=True)
    depends = "depends on the time" if how.startswith("date") else "depends on what EC2 sends"
    if name in {"aws:sourceaccount", "aws:sourcearn"}:
        depends = "depends on whether EC2 sends that key, which is not documented"
    return _Judged(_Fit.MAYBE, f"the condition {shown} {depends}", by_condition=True)


def _nobody(statements: list[dict[str, Any]], judged: list[tuple[int, Any, _Judged]], partition: str) -> str:
    """Return why no statement allows EC2, by the statement that comes nearest."""
    for number, effect, fit in judged:
        if effect == "Allow" and fit.by_condition:
            return f"Statement {number} would allow EC2, but {fit.why}."
    services = [
        name
        for each in statements
        if each.get("Effect") == "Allow" and isinstance(each.get("Principal"), dict)
        for name in texts(each["Principal"].get("Service"))
    ]
    names = ", ".join(_shown(name) for name in services[:5])
    others = f"it allows {names}" if names else "it names no service"
    about = " or ".join(_services(partition))
    if any(name in _services(partition) for name in services):
        others = "none of its statements for EC2 allows sts:AssumeRole"
    return f"No statement allows {about} to assume the role: {others}."


def texts(value: Any) -> list[str]:  # noqa: ANN401 - any value
    """Return *value*, one text or a list of texts, as a list. JSON's booleans become words, as in IAM."""
    values = value if isinstance(value, list) else [value]
    return [str(each).lower() if isinstance(each, bool) else str(each) for each in values if each is not None]


def _shown(text: str) -> str:
    """Return *text* for one line of a terminal."""
    return shortened(text, _LONGEST)
