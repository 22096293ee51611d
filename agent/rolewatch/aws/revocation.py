"""Find in a role's inline policies what denies its older sessions. Pure, total, offline.

The console's "Revoke active sessions" adds the policy AWSRevokeOlderSessions, which denies everything to sessions with
an earlier aws:TokenIssueTime (IAM user guide, id_roles_use_revoke-sessions, 2026). Incident tools do the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from rolewatch.aws.trust_policy import each_condition, statements_of, texts
from rolewatch.text import shift, timestamp

_OPERATOR = re.compile(r"(?:for(?:anyvalue|allvalues):)?datelessthan(?:equals)?(?:ifexists)?")
"""In lower case. The sessions of a role always have the key, with one value: the forms mean the same."""
_EVERY_ACTION = frozenset({"*", "*:*"})
_SECONDS = re.compile(r"\d{1,11}", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Revocation:
    """A statement that denies calls of the sessions that were issued before a time."""

    policy: str
    before: datetime
    everything: bool
    """Whether it denies every action on every resource, without another condition."""


def find(policies: Mapping[str, Any]) -> tuple[Revocation, ...]:
    """Return what the inline *policies*, documents by name, revoke: the widest and latest first."""
    found = (each for name, document in policies.items() for each in _revocations(name, document))
    return tuple(sorted(found, key=lambda each: (each.everything, each.before), reverse=True))


def _revocations(name: str, document: Any) -> Iterator[Revocation]:  # noqa: ANN401 - any value of IAM
    for statement in statements_of(document) or ():
        condition = statement.get("Condition")
        if statement.get("Effect") != "Deny" or not isinstance(condition, dict):
            continue
        conditions = tuple(each_condition(condition))
        for operator, key, values in conditions:
            if _OPERATOR.fullmatch(operator.lower()) and key.lower() == "aws:tokenissuetime":
                every_action = not _EVERY_ACTION.isdisjoint(texts(statement.get("Action")))
                everything = every_action and "*" in texts(statement.get("Resource"))
                for moment in filter(None, map(_moment, values)):
                    yield Revocation(name, moment, everything and len(conditions) == 1)


def _moment(text: str) -> datetime | None:
    """Return the time *text* of a date condition: ISO 8601, also without a zone, or seconds since 1970."""
    if _SECONDS.fullmatch(text):
        return shift(_EPOCH, int(text))
    return timestamp(text) or timestamp(f"{text}Z") or timestamp(f"{text}T00:00:00Z")
