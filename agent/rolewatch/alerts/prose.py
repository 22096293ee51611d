"""The text of an alert as a page shows it: with a word wherever Prometheus fills something in."""

from __future__ import annotations

from rolewatch.alerts.nouns import INSTANCE

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
"""What stands for what, the longer before the shorter."""


def prose(text: str) -> str:
    """Return *text*, a summary or a description, for who reads it where no alert fires."""
    for template, word in _WORDS:
        text = text.replace(template, word)
    return text
