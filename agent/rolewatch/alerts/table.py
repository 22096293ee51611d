"""The alerts as the table of docs/alerts.md."""

from __future__ import annotations

from typing import List

from rolewatch.alerts import Options, alerts
from rolewatch.alerts.prose import prose


def markdown() -> List[str]:
    """Return the lines of the table."""
    return [
        "| alert | severity | after | tells | runbook |",
        "|---|---|---|---|---|",
        *(
            f"| `{alert.name}` | {alert.severity} | {alert.wait} | {prose(alert.summary)} "
            f"| [{alert.runbook}](runbooks/{alert.runbook}.md) |"
            for alert in alerts(Options())
        ),
    ]
