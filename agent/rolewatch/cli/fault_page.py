"""A fault as Markdown: for ``explain --format markdown`` and the pages of the documentation."""

from __future__ import annotations

from typing import Iterator, Optional

from rolewatch.explain import Explained, explain
from rolewatch.faults import Entry


def raised_when(entry: Entry) -> str:
    """Return how often *entry*'s fault must be seen before it is raised, in words."""
    unit = "confirmation" if entry.confirmation_only else "poll"
    if entry.debounce == 1:
        return f"at once, by the first {unit} that sees it"
    return f"after {entry.debounce} {unit}s in a row that see it"


def section(entry: Entry, reason: Optional[str] = None) -> Iterator[str]:
    """Yield the lines of *entry*'s section; of one *reason* only, where that is given."""
    general = explain(entry.fault, {}, {})
    yield f"## {entry.fault.value}"
    yield ""
    yield f"**{entry.title[0].upper()}{entry.title[1:]}.** {general.meaning}"
    yield ""
    yield f"Severity: {entry.severity.name.lower()}. Raised {raised_when(entry)}. AWS: <{entry.page}>."
    yield f"In the journal: `journalctl -u rolewatch MESSAGE_ID={entry.message_id}`."
    yield f"Runbook: [{entry.fault.value}](runbooks/{entry.fault.value}.md)."
    if entry.confirmation_only:
        yield "Only the AWS API shows it: it is found by confirmation, not by the daemon's polls."
    yield ""
    yield from remedies(entry, reason)


def remedies(entry: Entry, reason: Optional[str] = None) -> Iterator[str]:
    """Yield cause, fix and timing of *entry*'s fault: in general and for each reason, or for one *reason* only."""
    if reason is None:
        if entry.variants:
            yield "What to do depends on the reason that the evidence names. For any reason that is not below:"
            yield ""
        yield from _remedy(explain(entry.fault, {}, {}))
    for name in [reason] if reason else entry.variants:
        yield f"### {entry.fault.value}: {name}"
        yield ""
        yield from _remedy(explain(entry.fault, {"reason": name}, {}))


def _remedy(filled: Explained) -> Iterator[str]:
    yield f"Cause: {_escaped(filled.cause)}"
    yield ""
    for number, step in enumerate(filled.fix, 1):
        yield f"{number}. {_escaped(step.text)}"
        if step.command:
            yield ""
            yield "   ```sh"
            yield from (f"   {line}" for line in step.command.splitlines())
            yield "   ```"
            yield ""
    if not filled.fix[-1].command:
        yield ""
    yield f"Takes effect: {_escaped(filled.takes_effect)}"
    yield ""
    yield f"Who can do it: {filled.who}."
    yield ""


def _escaped(prose: str) -> str:
    """Return *prose* so that Markdown shows its placeholders instead of taking them for HTML."""
    return prose.replace("<", "\\<").replace("_", "\\_").replace("*", "\\*")
