"""The alerts as the table of docs/alerts.md."""

from __future__ import annotations

from rolewatch.alerts import INSTANCE, Options, alerts

_WORDS = (
    (f"{INSTANCE}: ", ""),
    (INSTANCE, "an instance"),
    (": {{ $labels.fault }}", ""),
    ("{{ $labels.fault }}", "FAULT"),
    ("of job {{ $labels.job }} ", ""),
    ("{{ $value | humanizeDuration }}", "long"),
    ("Only {{ $value | humanizePercentage }}", "Only some"),
    ("{{ $value | humanizePercentage }}", "many"),
    ("{{ $value }} instances", "Many instances"),
    ("{{ $value }}", "several"),
)
"""Parts of the templates and their replacements, the longer before the shorter."""


def prose(text: str) -> str:
    """Return *text*, a summary or a description, without its templates: for pages, where no alert fires."""
    for template, word in _WORDS:
        text = text.replace(template, word)
    return text


def markdown() -> list[str]:
    """Return the lines of the table."""
    return [
        "| alert | severity | after | meaning | runbook |",
        "|---|---|---|---|---|",
        *(
            f"| `{alert.name}` | {alert.severity} | {alert.wait} | {prose(alert.summary)} "
            f"| [{alert.runbook}](runbooks/{alert.runbook}.md) |"
            for alert in alerts(Options())
        ),
    ]
