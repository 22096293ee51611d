"""The field table as Markdown: docs/situations.md."""

from __future__ import annotations

from collections.abc import Iterator

from field.situations import GROUPS, OVERRIDDEN, SITUATIONS, Situation
from rolewatch.faults import Fault

GENERATED = "<!-- Generated from tests/field/situations.py by `make generate`. Do not edit. -->"


def page() -> str:
    """Return `docs/situations.md`: what rolewatch says in situations that people have reported."""
    lines = [
        GENERATED,
        "",
        "# Situations",
        "",
        "What rolewatch says when programs get no credentials, and how it knows. Each row is a test with network",
        "namespaces and a simulated IMDS. None was tried on a real instance. The command is `rolewatch check`, if no",
        "other is named. The daemon polls several times before it raises a fault. [faults.md](faults.md) has fixes.",
        "",
    ]
    for group in GROUPS:
        lines += [f"## {group}", "", *_table(group), ""]
    return "\n".join(lines).rstrip() + "\n"


def _table(group: str) -> Iterator[str]:
    """Yield the table of *group*, without what rolewatch does not get right yet."""
    yield "| situation | rolewatch says | how it knows | reported in |"
    yield "|---|---|---|---|"
    for situation in SITUATIONS.values():
        if situation.group == group and not situation.not_yet:
            reports = ", ".join(situation.reports)
            yield f"| {situation.title} | {_says(situation)} | {situation.knows} | {reports} |"


def _says(situation: Situation) -> str:
    """Return state, faults and evidence of *situation*."""
    command = "`diagnose`: " if situation.words[0] == "diagnose" else ""
    faults = [f"`{OVERRIDDEN}`" if name == OVERRIDDEN else _link(Fault(name)) for name in situation.faults]
    evidence = [f"`{key}={value}`" for key, value in situation.evidence.items() if value is not None and key != "phase"]
    return command + ", ".join([f"`{situation.state.value}`", *faults, *evidence])


def _link(fault: Fault) -> str:
    return f"[`{fault.value}`](faults.md#{fault.value})"
