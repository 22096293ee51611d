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
        "Every fault of the credentials that an EC2 instance gets from its role, with its cause and its fix. Metric,",
        "journal, alerts and commands use the same names. On the instance, `rolewatch check` prints the same text with",
        "the instance's own names and ids; here they are placeholders such as `<instance-id>`.",
        "",
        "Several faults can be active at once. The nearest cause comes first, here and everywhere.",
        "[states.md](states.md) explains the state that follows from them.",
        "",
        *table(),
        "",
    ]
    for entry in FAULTS.values():
        lines += section(entry)
    return "\n".join(lines).rstrip() + "\n"


def table() -> Iterator[str]:
    """Yield the lines of the overview of `docs/faults.md`: a row for each fault, linked to its section."""
    yield "| fault | what is wrong | severity | raised |"
    yield "|---|---|---|---|"
    for fault, entry in FAULTS.items():
        severity = entry.severity.name.lower()
        yield f"| [`{fault.value}`](#{fault.value}) | {entry.title} | {severity} | {raised_when(entry)} |"


def names() -> Iterator[str]:
    """Yield the lines of the list of `README.md`: the name and the title of each fault, linked to `docs/faults.md`."""
    yield "| fault | what is wrong |"
    yield "|---|---|"
    for fault, entry in FAULTS.items():
        yield f"| [`{fault.value}`](docs/faults.md#{fault.value}) | {entry.title} |"
