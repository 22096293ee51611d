"""Values as ``rolewatch.toml`` has them."""

from __future__ import annotations

from operator import attrgetter
from typing import Mapping

from rolewatch.config.durations import format_duration
from rolewatch.config.keys import KEYS, TABLES, Key
from rolewatch.config.values import Duration, Value
from rolewatch.settings import Settings

_ESCAPES = {'"': '\\"', "\\": "\\\\"}


def written(key: Key, value: Value) -> str:
    """Return *value*, of the setting *key*, in TOML; a duration with its unit."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(_quoted(item) for item in value)}]"
    if isinstance(value, str):
        return _quoted(value)
    return _quoted(format_duration(value)) if isinstance(key.read, Duration) else str(value)


def _quoted(text: str) -> str:
    """Return *text* between quotes. No setting holds a control character."""
    return f'"{"".join(_ESCAPES.get(character, character) for character in text)}"'


def value_of(settings: Settings, key: Key) -> Value:
    """Return the value that *settings* have for *key*."""
    value: Value = attrgetter(key.name)(settings)
    return value


def as_toml(settings: Settings, origins: Mapping[str, str]) -> str:
    """Return *settings* as a file that gives the same again, each with its origin in a comment."""
    lines = []
    for table in TABLES:
        lines.append(f"[{table}]")
        for key in KEYS.values():
            if key.table == table:
                setting = f"{key.field} = {written(key, value_of(settings, key))}"
                lines.append(f"{setting}  # {origins[key.name]}")
        lines.append("")
    return "\n".join(lines[:-1]) + "\n"
