"""Explain a fault for one instance: choose the remedy, and fill in names and ids. Pure; also the JSON form."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Callable

from rolewatch import shell
from rolewatch.aws_names import iam_region
from rolewatch.faults import FAULTS, Fault
from rolewatch.faults.remedy import PLACEHOLDERS, Remedy, Step
from rolewatch.faults.table import Entry
from rolewatch.text import is_printable
from rolewatch.vocabulary import Evidence, Level

_PLACEHOLDER = re.compile(r"(?<![$%])\{(" + "|".join((*PLACEHOLDERS, "needs")) + r")\}")
_WILDCARD = re.compile(r"[*?\[\]]")
_LONGEST = 200
"""No name of AWS's is longer than 128 characters; what is, was not meant as a name."""


@dataclass(frozen=True)
class Explained:
    """An entry of the table, for one instance: the remedy chosen by the evidence, its placeholders filled in."""

    fault: Fault
    title: str
    meaning: str
    cause: str
    hint: str
    """The fix in one short sentence."""
    fix: tuple[Step, ...]
    takes_effect: str
    who: str
    page: str
    severity: Level


def fault_document(explained: Explained) -> dict[str, object]:
    """Return *explained* for JSON: the keys that every command and ``/status.json`` have for a fault."""
    return {
        "fault": explained.fault.value,
        "title": explained.title,
        "severity": explained.severity.name.lower(),
        "meaning": explained.meaning,
        **remedy_document(explained),
        "page": explained.page,
    }


def remedy_document(explained: Explained) -> dict[str, object]:
    """Return the remedy in *explained* for JSON."""
    return {
        "cause": explained.cause,
        "hint": explained.hint,
        "fix": [
            {"text": step.text, "command": step.command, "permissions": list(step.permissions)}
            for step in explained.fix
        ],
        "takes_effect": explained.takes_effect,
        "who": explained.who,
    }


def explain(fault: Fault, evidence: Evidence, facts: Mapping[str, str], fix: Iterable[Step] | None = None) -> Explained:
    """Return the explanation of *fault* for *evidence*, with *facts* (see `facts_of`) and the evidence filled in.

    An unknown value is shown as ``<instance-id>``. *fix* replaces the remedy's steps.
    """
    entry = FAULTS[fault]
    remedy = remedy_for(entry, evidence)
    values = _values(fault, evidence, facts)
    over_ipv6 = ":" in facts.get("imds_address", "")
    return Explained(
        fault=fault,
        title=entry.title,
        meaning=_fill(entry.meaning, values, _plain),
        cause=_fill(remedy.cause, values, _plain),
        hint=_fill(remedy.hint, values, _plain),
        fix=tuple(_filled(step, values, over_ipv6=over_ipv6) for step in (remedy.fix if fix is None else fix)),
        takes_effect=_fill(remedy.takes_effect, values, _plain),
        who=remedy.who.value,
        page=entry.page,
        severity=entry.severity_with(evidence, usable="expiration" in facts),
    )


def needs(permissions: tuple[str, ...]) -> str:
    """Return the words that name *permissions*, IAM actions, in a step's text; empty if there are none."""
    named = ", ".join("and iam:PassRole on the role" if each == "iam:PassRole" else each for each in permissions)
    return f"(needs {named})" if permissions else ""


def _filled(step: Step, values: Mapping[str, str], *, over_ipv6: bool) -> Step:
    text = _fill(step.text, {**values, "needs": needs(step.permissions)}, _plain)
    command = shell.over_ipv6(step.command) if over_ipv6 else step.command
    return replace(step, text=text, command=_fill(command, values, shell.fill))


def remedy_for(entry: Entry, evidence: Evidence) -> Remedy:
    """Return the remedy of *entry* for what *evidence* names: responder, reason, Code, or that no role is expected."""
    for key in ("responder", "reason", "code", "expected_role"):
        variant = entry.variants.get(str(evidence.get(key, "")))
        if variant is not None:
            return variant
    return entry.remedy


def _values(fault: Fault, evidence: Evidence, facts: Mapping[str, str]) -> Mapping[str, str]:
    """Return the values of placeholders: from *evidence*, else from *facts*."""
    values = {name: facts[name] for name in PLACEHOLDERS if facts.get(name)}
    values.setdefault("iam_region", iam_region(facts.get("partition", "")))
    values["needed_hop_limit"] = str(evidence.get("needed_hop_limit", 2))
    for name in ("role", "instance_profile", "instance_profile_id", "answering_instance_id"):
        if evidence.get(name):
            values[name] = str(evidence[name])
    for name in ("expected_role", "expected_instance_profile"):
        expected = one_name(str(evidence.get(name, "")))
        if expected:
            values[name] = expected
    if fault is not Fault.ROLE_MISMATCH:
        # Without an expectation, what the instance had is what it should get back. Of a wrong one that is not true.
        for name in ("role", "instance_profile"):
            if name in values:
                values.setdefault(f"expected_{name}", values[name])
    return {name: value for name, value in values.items() if is_printable(value) and len(value) <= _LONGEST}


def one_name(expected: str) -> str | None:
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
