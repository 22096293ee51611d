"""The metrics as the table of docs/metrics.md."""

from __future__ import annotations

from typing import List

from rolewatch.publish.metric_table import FAMILIES


def markdown() -> List[str]:
    """Return the lines of the table in docs/metrics.md."""
    rows = [
        f"| `{family.name}` | {family.kind} | {', '.join(f'`{label}`' for label in family.labels)} "
        f"| {family.help} | {family.absent} |"
        for family in FAMILIES
    ]
    return ["| metric | type | labels | meaning | not there |", "|---|---|---|---|---|", *rows]
