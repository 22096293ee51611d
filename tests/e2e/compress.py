"""Divide every duration of the rule file and of Alertmanager's by one factor, and nothing else.

Prometheus has no clock that could be turned, so the files are. What is compressed: ``for``, ``keep_firing_for`` and
``interval`` of rules, the windows of their expressions, the ages that they compare with ``time()``, and the waits of
Alertmanager's routes.
"""

from __future__ import annotations

import re
from typing import Any

DURATIONS = frozenset({"for", "keep_firing_for", "interval", "group_wait", "group_interval", "repeat_interval"})
"""The keys whose values are durations."""
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"(\d+)(ms|[smhdw])")
A_MINUTE = 60
"""In an expression that has ``time()``, numbers from this on are seconds; lesser ones are factors."""
_NUMBER = re.compile(r"(?<![\w.\"\[])\d+(?![\w.\"])")
_WINDOW = re.compile(r"\[([^\]]+)\]")


def seconds(text: str) -> float:
    """Return the seconds of a duration as Prometheus writes it: ``1h30m``."""
    parts = _PART.findall(text)
    if not text or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(text)
    return sum(int(number) * UNITS[unit] for number, unit in parts)


def duration(text: str, factor: float) -> str:
    """Return the duration *text* divided by *factor*, to the millisecond."""
    return f"{round(1000 * seconds(text) / factor)}ms"


def compressed(document: Any, factor: float) -> Any:  # noqa: ANN401 - YAML
    """Return *document* with every duration divided by *factor*."""
    if isinstance(document, list):
        return [compressed(each, factor) for each in document]
    if not isinstance(document, dict):
        return document
    return {key: _value(key, value, factor) for key, value in document.items()}


def _value(key: str, value: Any, factor: float) -> Any:  # noqa: ANN401 - YAML
    if key in DURATIONS:
        return duration(value, factor)
    if key == "expr":
        return _expression(str(value), factor)
    return compressed(value, factor)


def _expression(expr: str, factor: float) -> str:
    if "time()" in expr:
        expr = _NUMBER.sub(lambda number: _age(number.group(), factor), expr)
    return _WINDOW.sub(lambda window: f"[{duration(window.group(1), factor)}]", expr)


def _age(number: str, factor: float) -> str:
    return number if int(number) < A_MINUTE else f"{int(number) / factor:g}"
