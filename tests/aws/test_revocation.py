"""What a role's inline policies revoke, by every form in which people write it."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from rolewatch.aws.revocation import Revocation, find

AT = datetime(2026, 11, 30, 14, 0, tzinfo=timezone.utc)
ALL = {"Effect": "Deny", "Action": "*", "Resource": "*"}


def before(text: object, operator: str = "DateLessThan", key: str = "aws:TokenIssueTime") -> dict[str, Any]:
    """Return a statement that denies everything to sessions from before *text*."""
    return {**ALL, "Condition": {operator: {key: text}}}


@pytest.mark.parametrize(
    "statement",
    [
        before("2026-11-30T14:00:00Z"),
        before("2026-11-30T14:00:00.085Z"),
        before("2026-11-30T14:00:00.123456"),  # datetime.utcnow().isoformat()
        before("2026-11-30T15:00:00+01:00"),
        before("1796047200"),
        before(1796047200),
        before(["2026-11-30T14:00:00Z"]),
        before("2026-11-30T14:00:00Z", "DateLessThanEquals", "AWS:tokenissuetime"),
        before("2026-11-30T14:00:00Z", "DateLessThanIfExists"),
        before("2026-11-30T14:00:00Z", "datelessthanequalsifexists"),
        before("2026-11-30T14:00:00Z", "ForAnyValue:DateLessThan"),
        before("2026-11-30T14:00:00Z", "ForAllValues:DateLessThanIfExists"),
        {**before("2026-11-30T14:00:00Z"), "Action": ["*"], "Resource": ["*"]},
        {**before("2026-11-30T14:00:00Z"), "Action": "*:*"},
    ],
)
def test_a_statement_that_revokes_is_found(statement: dict[str, Any]) -> None:
    """The console, CLI examples and incident tools each write the time in their own way."""
    assert find({"p": {"Statement": statement}}) == (Revocation("p", AT, everything=True),)


@pytest.mark.parametrize(
    "statement",
    [
        {**before("2026-11-30T14:00:00Z"), "Action": "s3:*"},
        {**before("2026-11-30T14:00:00Z"), "Resource": "arn:aws:s3:::b/*"},
        {**ALL, "Condition": {"DateLessThan": {"aws:TokenIssueTime": "2026-11-30T14:00:00Z", "aws:CurrentTime": "x"}}},
    ],
)
def test_a_statement_that_denies_less_is_told_apart(statement: dict[str, Any]) -> None:
    """Only some calls, or only under another condition."""
    assert find({"p": {"Statement": [statement]}}) == (Revocation("p", AT, everything=False),)


@pytest.mark.parametrize(
    "document",
    [
        None,
        "not JSON",
        {},
        {"Statement": [{**before("2026-11-30T14:00:00Z"), "Effect": "Allow"}]},
        {"Statement": before("2026-11-30T14:00:00Z", "DateGreaterThan")},
        {"Statement": before("2026-11-30T14:00:00Z", "ForSomeValue:DateLessThan")},
        {"Statement": before("2026-11-30T14:00:00Z", key="aws:CurrentTime")},
        {"Statement": before("soon")},
        {"Statement": {**ALL, "Condition": "x"}},
        {"Statement": ALL},
    ],
)
def test_what_revokes_nothing_is_not_found(document: object) -> None:
    """And nothing that IAM may hold raises."""
    assert find({"p": document}) == ()


def test_the_widest_and_latest_comes_first() -> None:
    """One role may have been revoked twice, by two tools."""
    older, newer = before("2020-01-01T00:00:00Z"), before("2026-11-30T14:00:00Z")
    some = {**before("2027-01-01T00:00:00Z"), "Action": "s3:*"}

    assert [
        each.policy for each in find({"a": {"Statement": older}, "b": {"Statement": some}, "c": {"Statement": newer}})
    ] == [
        "c",
        "a",
        "b",
    ]
