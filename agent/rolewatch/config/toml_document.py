"""TOML text: the line of every key (tomllib gives none), and values as TOML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Union

from rolewatch.config.keys import KEYS, TABLES, Key
from rolewatch.config.types import Duration, Value, format_duration
from rolewatch.settings import Settings

KeyPath = tuple[Union[str, int], ...]
"""The way to a value: keys, and indices of arrays."""

DEEPEST = 8
"""Steps of a path that are kept. A setting's item has three; without a bound a hostile file would cost its square."""

_PIECE = re.compile(
    r"""
      (?P<long> \"\"\"(?:[^\\]|\\.)*?\"\"\""{0,2} | '''.*?''''{0,2} )
    | (?P<text> "(?:[^"\\\n]|\\.)*" | '[^'\n]*' )
    | (?P<skip> \#[^\n]* | [ \t\r]+ )
    | (?P<mark> [\n\[\]{}=,.] )
    | (?P<bare> [^\s\[\]{}=,."'#]+ )
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass
class _Open:
    """An array or an inline table that is not closed yet."""

    path: KeyPath
    is_array: bool
    index: int = 0
    key: list[str] = field(default_factory=list)
    in_value: bool = False


def locate(text: str) -> Mapping[KeyPath, int]:
    """Return the line, counted from 1, of every key, table and array item of the valid TOML document *text*."""
    scanner = _Scanner()
    line = 1
    for match in _PIECE.finditer(text):
        piece = match.group()
        if match.lastgroup != "skip":
            scanner.feed(piece, line, is_mark=match.lastgroup == "mark")
        line += piece.count("\n")
    return scanner.found


class _Scanner:
    """Knows at every piece whether it stands in a header, a key or a value, and of what."""

    def __init__(self) -> None:
        self.found: dict[KeyPath, int] = {}
        self._open = [_Open((), is_array=False)]
        self._header = 0
        self._counts: dict[KeyPath, int] = {}

    def feed(self, piece: str, line: int, *, is_mark: bool) -> None:
        """Take the next piece."""
        top = self._open[-1]
        at_top = len(self._open) == 1
        if piece == "\n":
            if at_top:
                top.key, top.in_value, self._header = [], False, 0
        elif at_top and not top.in_value and is_mark and piece in "[]":
            self._bracket(piece, top, line)
        elif top.is_array or top.in_value:
            self._value(piece, top, line, is_mark=is_mark)
        elif piece == "}" and is_mark:
            self._close()
        elif piece == "=" and is_mark:
            top.in_value = True
            self._note(self._place(top), line)
        elif piece == "," and is_mark:
            top.key = []
        elif piece != "." and len(top.key) < DEEPEST:
            top.key.append(piece.strip("\"'") if piece[0] in "\"'" else piece)

    def _bracket(self, piece: str, top: _Open, line: int) -> None:
        """Take a bracket of a table's header: ``[table]`` or ``[[array of tables]]``."""
        if piece == "[":
            self._header += 1
        elif top.key:
            path = (*self._resolved(top.key[:-1]), top.key[-1])
            if self._header > 1:
                self._counts[path] = self._counts.get(path, -1) + 1
            top.path, top.key = self._resolved(top.key), []
            self._note(top.path, line)

    def _resolved(self, keys: list[str]) -> KeyPath:
        """Return the path of the table *keys*, with the index of the last table of each array on the way."""
        path: KeyPath = ()
        for key in keys:
            path = (*path, key)
            if path in self._counts:
                path = (*path, self._counts[path])
        return path

    def _place(self, top: _Open) -> KeyPath:
        place = (*top.path, top.index) if top.is_array else (*top.path, *top.key)
        return place[:DEEPEST]

    def _close(self) -> None:
        if len(self._open) > 1:
            self._open.pop()

    def _value(self, piece: str, top: _Open, line: int, *, is_mark: bool) -> None:
        if not is_mark:
            self._note(self._place(top), line)
        elif piece in "[{":
            place = self._place(top)
            self._note(place, line)
            self._open.append(_Open(place, is_array=piece == "["))
        elif piece in "]}":
            self._close()
        elif piece == "," and top.is_array:
            top.index += 1
        elif piece == "," and len(self._open) > 1:
            top.key, top.in_value = [], False

    def _note(self, path: KeyPath, line: int) -> None:
        """Remember where *path*, and every table on the way to it, was first seen."""
        for end in range(1, len(path) + 1):
            self.found.setdefault(path[:end], line)


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
