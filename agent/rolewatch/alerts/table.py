"""The alerts as the table of docs/alerts.md."""

from __future__ import annotations

from typing import List

from rolewatch.alerts import groups
from rolewatch.alerts.nouns import INSTANCE, Alert, Options


def markdown() -> List[str]:
    """Return the lines of the table."""
    alerts = [rule for group in groups(Options()) for rule in group.rules if isinstance(rule, Alert)]
    return [
        "| alert | severity | after | tells | runbook |",
        "|---|---|---|---|---|",
        *(
            f"| `{alert.name}` | {alert.severity} | {alert.wait} | {_plain(alert.summary)} "
            f"| [{alert.runbook}](runbooks/{alert.runbook}.md) |"
            for alert in alerts
        ),
    ]


def _plain(summary: str) -> str:
    return (
        summary.replace(f"{INSTANCE}: ", "")
        .replace(INSTANCE, "an instance")
        .replace("{{ $value }}", "Many")
        .replace(": {{ $labels.fault }}", "")
    )
