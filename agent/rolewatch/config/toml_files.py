"""Settings files: which ones are read, what is refused, and the line of every value."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any, Union

from rolewatch.config.keys import KEYS, TABLES, nearest, nearest_setting
from rolewatch.config.sources import Source, Sources
from rolewatch.config.types import shown
from rolewatch.files import read
from rolewatch.text import shortened

DEFAULT_FILE = Path("/etc/rolewatch/rolewatch.toml")
"""Read if no other file is named and it exists. ``conf.d`` beside it is read after it."""

_IGNORED = (".toml", ".conf", ".cfg", ".ini", ".yaml", ".yml", ".json")
"""Endings, in any case, of files in ``conf.d`` that somebody may believe to be read."""
_LARGEST = 64 * 1024
_LONGEST_PATH = 4096
"""Characters of a path, in a message: PATH_MAX of Linux, so that only a path that no file can have is cut."""


class _WorldWritableError(ValueError):
    """Every user may write to a file or directory: they would choose the settings."""


def read_files(path: Path | None, sources: Sources, *, default: Path = DEFAULT_FILE) -> None:
    """Add what the settings files give to *sources*.

    Without a *path* these are *default*, which need not exist, and ``conf.d/*.toml`` beside it in the order of their
    names. Another *path* is read alone, and must exist.
    """
    drop_ins = _drop_ins(default.parent / "conf.d", sources) if path in (None, default) else ()
    for file in chain([path or default], drop_ins):
        try:
            text = _read_text(file)
        except FileNotFoundError:
            if file != default or path is not None:
                sources.problems.append(f"{file}: there is no such file.")
        except (OSError, ValueError) as error:
            sources.problems.append(_problem(file, error))
        else:
            sources.files.append(str(file))
            _add_document(str(file), text, sources)


def _drop_ins(directory: Path, sources: Sources) -> Iterator[Path]:
    """Yield the settings files in *directory* by name, and warn of files that look like one and are not read."""
    try:
        names = sorted(entry.name for entry in directory.iterdir())
        _refuse_world_writable(directory, directory.stat())
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        sources.problems.append(_problem(directory, error))
        return
    for name in names:
        if name.endswith(".toml") and not name.startswith("."):
            yield directory / name
        elif name.lower().endswith(_IGNORED) and not name.startswith("."):
            sources.warnings.append(f"{directory / name}: is not read; only names that end in .toml are.")


def _read_text(file: Path) -> str:
    """Return the text of *file*. Raise `OSError` or `ValueError` if it cannot be used."""
    content = read(file, limit=_LARGEST, follow_links=True)
    _refuse_world_writable(file, content.status)
    _refuse_world_writable(file.parent, file.parent.stat(), unless_sticky=True)
    return content.data.decode("utf-8-sig")  # editors on Windows put a byte order mark first


def _refuse_world_writable(path: Path, status: os.stat_result, *, unless_sticky: bool = False) -> None:
    """Raise an error if every user may write to *path*.

    In a directory with the sticky bit, such as /tmp, nobody can replace the file of another user: *unless_sticky*.
    """
    if status.st_mode & stat.S_IWOTH and not (unless_sticky and status.st_mode & stat.S_ISVTX):
        message = f"{path}: every user may write to it, and settings from there are refused; chmod o-w {path}"
        raise _WorldWritableError(message + ".")


def _problem(path: Path, error: Exception) -> str:
    """Return the sentence that reports *error* about *path*."""
    if isinstance(error, _WorldWritableError):
        return str(error)
    if isinstance(error, UnicodeDecodeError):
        line = error.object.count(b"\n", 0, error.start) + 1
        return f"{path}:{line}: is not UTF-8; save the file as UTF-8."
    if isinstance(error, PermissionError):
        return f"{path}: this user may not read it; run rolewatch with sudo. Who may read it: namei -l {path}."
    reason = getattr(error, "strerror", None) or "its name is impossible"
    return f"{shortened(str(path), _LONGEST_PATH)}: cannot be read: {reason}."


KeyPath = tuple[Union[str, int], ...]
"""The path to a value: keys, and at the end the index of an item."""

LONGEST_KEY = 4
"""Parts of a key that `locate` keeps. A setting has three at most."""
_MOST_DOTS = 100
"""Dots in one line, outside of strings and comments. tomllib takes the square of a key's parts: ten seconds for a key
as long as a file may be."""

_TOKEN = re.compile(
    r"""
      (?P<string> \"{3} (?: [^"\\] | \\. | "(?!"") )* (?: "{3,5} )?
                | " (?: [^"\\\n] | \\. )* "?
                | '{3} (?: [^'] | '(?!'') )* (?: '{3,5} )?
                | ' [^'\n]* '? )
    | (?P<skip> \#[^\n]* | [ \t\r]+ )
    | (?P<mark> [\n\[\]{}=,.] )
    | (?P<bare> [^\s\[\]{}=,."'#]+ )
    """,
    re.VERBOSE | re.DOTALL,
)
"""Strings also without their end, so that every text is scanned in linear time."""


class TooDeepError(ValueError):
    """The document has a line with more than a hundred dots."""


def locate(text: str) -> Mapping[KeyPath, int]:
    """Return the line, counted from 1, of every table, key and item of a list in the TOML document *text*.

    tomllib gives no lines. What is inside of an inline table or a nested list has no entry of its own.
    *text* may be any text. Raise `TooDeepError` if tomllib would take too long for it.
    """
    lines: dict[KeyPath, int] = {}
    table: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    value: _Value | None = None
    for token, mark, line in _tokens(text):
        if value:
            if value.is_item(mark):
                lines.setdefault((*table, *keys, value.item), line)
            if value.ends(mark):
                keys, value = (), None
        elif mark == "\n":
            keys = ()
        elif mark == "=" or (mark == "]" and keys):
            path = (*table, *keys) if mark == "=" else keys
            for end in range(1, len(path) + 1):
                lines.setdefault(path[:end], line)
            if mark == "=":
                value = _Value()
            else:
                table, keys = keys, ()
        elif not mark and len(keys) < LONGEST_KEY:
            keys = (*keys, token)
    return lines


class _Value:
    """The open brackets of a value, and the index of the item if it is a list."""

    def __init__(self) -> None:
        self.item = 0
        self._brackets: list[str] = []

    def is_item(self, mark: str) -> bool:
        """Return whether a token, *mark* or the empty string, belongs to an item of the list."""
        return self._brackets == ["["] and mark not in ("\n", ",", "]")

    def ends(self, mark: str) -> bool:
        """Count the bracket or comma *mark*, and return whether the value ends here."""
        if mark in ("[", "{"):
            self._brackets.append(mark)
        elif mark in ("]", "}"):
            del self._brackets[-1:]
        elif mark == "," and self._brackets == ["["]:
            self.item += 1
        return mark == "\n" and not self._brackets


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    """Yield each token of *text*, the token again if it is a mark of the syntax, and its line."""
    line, dots = 1, 0
    for match in _TOKEN.finditer(text):
        piece, kind = match[0], match.lastgroup
        dots = 0 if piece == "\n" else dots + (piece == ".")
        if dots > _MOST_DOTS:
            raise TooDeepError
        if kind == "string" and "\\" not in piece:  # a key with an escape keeps its quotes, and is not found
            yield piece[1:-1], "", line
        elif kind != "skip":
            yield piece, piece if kind == "mark" else "", line
        line += piece.count("\n")


def _add_document(file: str, text: str, sources: Sources) -> None:
    """Add what *text*, the contents of *file*, gives to *sources*, and every problem with it."""
    # tomli is the same for Pythons without tomllib. Neither is loaded if there is no file.
    tomllib = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        lines = locate(text)
        tables: dict[str, object] = tomllib.loads(text)
    except (RecursionError, TooDeepError):
        sources.problems.append(f"{file}: is nested too deeply; no setting is deeper than [metrics.tls].")
        return
    except ValueError as error:
        # tomllib's own, and those of int() and datetime() that it lets pass
        place, reason = _split_message(str(error), text)
        sources.problems.append(f"{file}{place}: is not valid TOML: {reason}.")
        return
    document = _Document(file, lines, sources)
    for name, table in tables.items():
        if name in TABLES and _is_plain(name):
            document.add_table((name,), table)
        else:
            document.refuse_table((name,), table)


_PLACE = re.compile(r"^(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$", re.DOTALL)


def _split_message(message: str, text: str) -> tuple[str, str]:
    """Return the place that tomllib's *message* ends in, as ``:LINE:COLUMN``, and the rest of it."""
    match = _PLACE.match(message)
    if match is None:
        return "", "a number is impossible" if "digits" in message else message
    if match["line"]:
        return f":{match['line']}:{match['column']}", match["what"]
    return f":{len(text.splitlines()) or 1}", f"{match['what']}, and there the file ends"


class _Document:
    """Adds the settings of one file to the sources."""

    def __init__(self, file: str, lines: Mapping[KeyPath, int], sources: Sources) -> None:
        self._file = file
        self._lines = lines
        self._sources = sources

    def add_table(self, path: tuple[str, ...], table: object) -> None:
        """Add the settings in the table at *path*, and in the tables in it."""
        name = ".".join(path)
        if not isinstance(table, dict):
            what = "write it with single brackets" if isinstance(table, list) else "its settings are written below it"
            self._complain(path, f"{name} is a table, [{name}]; {what}.")
            return
        for key, value in table.items():
            setting, inner = f"{name}.{key}", (*path, key)
            if setting in KEYS and _is_plain(key):
                count = len(value) if isinstance(value, list) else 0
                items = tuple(self._place(*inner, index) for index in range(count))
                self._sources.add(setting, value, Source.FILE, self._place(*inner), item_origins=items)
            elif setting in TABLES and _is_plain(key):
                self.add_table(inner, value)
            elif isinstance(value, dict) and any(one.startswith(f"{name}.") for one in TABLES):
                self.refuse_table(inner, value)
            else:
                self._complain(inner, f"there is no setting {_quoted_key(*inner)}{_hint(setting)}")

    def refuse_table(self, path: tuple[str, ...], value: object) -> None:
        """Add the problem that there is no table, or no setting outside the tables, with the name *path*."""
        name = ".".join(path)
        if isinstance(value, dict):
            table = nearest(name, TABLES)
            hint = f"did you mean [{table}]?" if table else f"the tables are {', '.join(f'[{one}]' for one in TABLES)}."
            self._complain(path, f"there is no table {_quoted_key(*path)}; {hint}")
        else:
            self._complain(path, f"there is no setting {_quoted_key(*path)} outside the tables{_hint(name)}")

    def _complain(self, path: KeyPath, complaint: str) -> None:
        self._sources.problems.append(f"{self._place(*path)}: {complaint}")

    def _place(self, *path: Any) -> str:
        """Return ``FILE:LINE`` of *path*, or of what contains it; the file alone if neither has a line."""
        for end in range(len(path), 0, -1):
            if path[:end] in self._lines:
                return f"{self._file}:{self._lines[path[:end]]}"
        return self._file


def _is_plain(name: str) -> bool:
    """Return whether *name* is one key, as ours are: ``"metrics.tls"`` in quotes is not ``metrics.tls``."""
    return "." not in name


def _hint(name: str) -> str:
    near = nearest_setting(name)
    if near:
        return f"; did you mean {near.field} in [{near.table}]?"
    table = name.rpartition(".")[0]
    if table in TABLES:
        return f"; [{table}] has {', '.join(key.field for key in KEYS.values() if key.table == table)}."
    return "; `rolewatch config show` lists all settings."


_BARE = re.compile(r"[A-Za-z0-9_-]{1,60}")


def _quoted_key(*keys: str) -> str:
    return ".".join(key if _BARE.fullmatch(key) else shown(key) for key in keys)
