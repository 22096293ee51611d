"""The table of faults as Markdown: for docs/faults.md and README.md."""

from __future__ import annotations

from collections.abc import Iterator

from rolewatch.cli.render import raised_when, section
from rolewatch.faults import FAULTS

GENERATED = "<!-- Generated from the table of faults by `make generate`. Do not edit. -->"


def page() -> str:
    """Return `docs/faults.md`: every fault, what it means, and what to do."""
    lines = [
        GENERATED,
        "",
        "# Faults",
        "",
        "What can be wrong with the credentials that an EC2 instance gets from its role: each fault under the one name",
        "that metric, journal, alerts and commands have for it. On the instance, `rolewatch check` shows the same with",
        "the instance's own names and ids filled in; here they are placeholders such as `<instance-id>`.",
        "",
        "Several faults may stand at once. The nearest cause comes first, here and everywhere.",
        "[states.md](states.md) says what state follows from them.",
        "",
        *table("faults.md"),
        "",
    ]
    for entry in FAULTS.values():
        lines += section(entry)
    return "\n".join(lines).rstrip() + "\n"


def table(page: str) -> Iterator[str]:
    """Yield the lines of the overview: a row for each fault, linked to its section of *page*."""
    yield "| fault | what is wrong | severity | raised |"
    yield "|---|---|---|---|"
    for fault, entry in FAULTS.items():
        severity = entry.severity.name.lower()
        yield f"| [`{fault.value}`]({page}#{fault.value}) | {entry.title} | {severity} | {raised_when(entry)} |"
