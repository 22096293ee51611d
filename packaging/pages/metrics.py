"""The metrics as the table of docs/metrics.md."""

from __future__ import annotations

from rolewatch.publish.metric_table import FAMILIES


def markdown() -> list[str]:
    """Return the lines of the table in docs/metrics.md."""
    rows = [
        f"| `{family.name}` | {family.kind} | {', '.join(f'`{label}`' for label in family.labels)} "
        f"| {family.help} | {family.absent} |"
        for family in FAMILIES
    ]
    return ["| metric | type | labels | meaning | absent |", "|---|---|---|---|---|", *rows]
