"""Fill the table of faults in for one instance: why this happened here, and the commands to paste.

Pure. Names come from IMDS and are pasted into a root shell: every one is quoted, and what is not printable is dropped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Callable, Dict, Mapping, Optional, Tuple

from rolewatch import shell
from rolewatch.faults import FAULTS, PLACEHOLDERS, Entry, Fault, Remedy, Severity, Step
from rolewatch.model import Evidence, Snapshot, rfc3339
from rolewatch.text import is_printable

_PLACEHOLDER = re.compile(r"(?<![$%])\{(" + "|".join(PLACEHOLDERS) + r")\}")
_WILDCARD = re.compile(r"[*?\[\]]")
_LONGEST = 200
"""No name of AWS's is longer than 128 characters; what is, was not meant as a name."""

_PARTITIONS = (
    ("cn-", "aws-cn"),
    ("us-gov-", "aws-us-gov"),
    ("us-iso-", "aws-iso"),
    ("us-isob-", "aws-iso-b"),
    ("eu-isoe-", "aws-iso-e"),
    ("us-isof-", "aws-iso-f"),
    ("eusc-", "aws-eusc"),
)
"""The partition of a Region, by how its name begins (botocore's `partitions.json`, 2026)."""


@dataclass(frozen=True)
class Explained:
    """An entry of the table, for one instance: the remedy chosen by the evidence, its placeholders filled in."""

    fault: Fault
    title: str
    meaning: str
    cause: str
    hint: str
    """The fix in one short sentence."""
    fix: Tuple[Step, ...]
    takes_effect: str
    who: str
    page: str
    severity: Severity


def explain(fault: Fault, evidence: Evidence, facts: Mapping[str, str]) -> Explained:
    """Return what *fault* means where *evidence* was seen, filled in with *facts* (see `facts_of`) and the evidence.

    What neither knows stays a placeholder that a person can see: ``<instance-id>``.
    """
    entry = FAULTS[fault]
    remedy = remedy_for(entry, evidence)
    values = _values(fault, evidence, facts)
    return Explained(
        fault=fault,
        title=entry.title,
        meaning=_fill(entry.meaning, values, _plain),
        cause=_fill(remedy.cause, values, _plain),
        hint=_fill(remedy.hint, values, _plain),
        fix=tuple(
            Step(_fill(step.text, values, _plain), _fill(step.command, values, shell.fill)) for step in remedy.fix
        ),
        takes_effect=_fill(remedy.takes_effect, values, _plain),
        who=remedy.who.value,
        page=entry.page,
        severity=entry.severity,
    )


def remedy_for(entry: Entry, evidence: Evidence) -> Remedy:
    """Return the remedy of *entry* for the reason, or else the Code, that *evidence* names."""
    for key in ("reason", "code"):
        variant = entry.variants.get(str(evidence.get(key, "")))
        if variant is not None:
            return variant
    return entry.remedy


def facts_of(snapshot: Snapshot, *, uid: Optional[int] = None) -> Dict[str, str]:
    """Return what *snapshot* knows to fill a remedy in with, by the names of `PLACEHOLDERS`.

    An expectation is known only where it is one plain name: a pattern cannot be pasted. Besides the placeholders there
    is ``expiration`` (RFC 3339) where usable credentials were told last. *uid* is the user that asked IMDS.
    """
    identity = snapshot.identity
    region = identity.region if identity else None
    facts = {
        "instance_id": identity.instance_id if identity else None,
        "region": region,
        "account_id": identity.account_id if identity else None,
        "partition": partition_of(region) if region else None,
        "role": snapshot.role,
        "instance_profile": snapshot.instance_profile,
        "instance_profile_id": snapshot.instance_profile_id,
        "expected_role": _one_name(", ".join(snapshot.expected_role)),
        "expected_instance_profile": _one_name(", ".join(snapshot.expected_instance_profile)),
        "expiration": rfc3339(snapshot.expiration) if snapshot.usable and snapshot.expiration else None,
        "uid": None if uid is None else str(uid),
    }
    return {name: value for name, value in facts.items() if value}


def partition_of(region: str) -> str:
    """Return the AWS partition that *region* is in: ``aws`` for all that are not known to be elsewhere."""
    return next((partition for prefix, partition in _PARTITIONS if region.startswith(prefix)), "aws")


def _values(fault: Fault, evidence: Evidence, facts: Mapping[str, str]) -> Mapping[str, str]:
    """Join *facts* and *evidence*, the evidence first: it is what was seen when the fault was."""
    values = {name: facts[name] for name in PLACEHOLDERS if facts.get(name)}
    for name in ("role", "instance_profile", "instance_profile_id"):
        if evidence.get(name):
            values[name] = str(evidence[name])
    for name in ("expected_role", "expected_instance_profile"):
        expected = _one_name(str(evidence.get(name, "")))
        if expected:
            values[name] = expected
    if fault is not Fault.ROLE_MISMATCH:
        # Without an expectation, what the instance had is what it should get back. Of a wrong one that is not true.
        for name in ("role", "instance_profile"):
            if name in values:
                values.setdefault(f"expected_{name}", values[name])
    return {name: value for name, value in values.items() if is_printable(value) and len(value) <= _LONGEST}


def _one_name(expected: str) -> Optional[str]:
    """Return *expected* where it is one plain name, without wildcards."""
    return expected if expected and ", " not in expected and not _WILDCARD.search(expected) else None


def _fill(text: str, values: Mapping[str, str], show: Callable[[str, str], str]) -> str:
    """Replace the placeholders in *text*; *show* gets the value and the text before it."""

    def shown(match: re.Match[str]) -> str:
        name = match.group(1)
        value = values.get(name)
        return shell.placeholder(name) if value is None else show(value, text[: match.start()])

    return _PLACEHOLDER.sub(shown, text)


def _plain(value: str, before: str) -> str:  # noqa: ARG001 - the signature of `shell.fill`
    return value
