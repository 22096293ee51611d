"""One TOML document: what it gives for which setting, in which line, and what in it is no setting at all."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from typing import Any, Dict, Mapping, Tuple

from rolewatch.config.given import Gathered, Given, Source
from rolewatch.config.keys import KEYS, TABLES, nearest, nearest_setting
from rolewatch.config.locate import Path, locate
from rolewatch.config.values import shown

_PLACE = re.compile(r"^(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$", re.DOTALL)
_MOST_DOTS = 100
"""In one line, outside of texts and comments: the longest key of ours has three parts."""
_TEXT_OR_COMMENT = re.compile(
    r"""
      \"{3} (?: [^"\\] | \\. | "(?!"") )* (?: "{3,5} )?
    | " (?: [^"\\\n] | \\. )* "?
    | '{3} (?: [^'] | '(?!'') )* (?: '{3,5} )?
    | ' [^'\n]* '?
    | \# [^\n]*
    """,
    re.VERBOSE | re.DOTALL,
)
"""Also without its end, so that no attempt fails after a long way, and the next character has to try it again."""
_BARE = re.compile(r"[A-Za-z0-9_-]{1,60}")


def add_document(file: str, text: str, gathered: Gathered) -> None:
    """Add what *text*, the contents of *file*, gives to *gathered*, and every problem with it."""
    tables = _parse(file, text, gathered)
    if not tables:
        return
    where = _Where(file, locate(text.replace("\r\n", "\n")))
    for name, table in tables.items():
        if name in TABLES and _is_plain(name):
            _add_table((name,), table, where, gathered)
        else:
            gathered.problems.append(_no_such_table((name,), table, where))


def _add_table(path: Tuple[str, ...], table: object, where: _Where, gathered: Gathered) -> None:
    """Add what stands in the table at *path*, and in the tables in it."""
    name = ".".join(path)
    if not isinstance(table, dict):
        what = "write it with single brackets" if isinstance(table, list) else "its settings are written below it"
        gathered.problems.append(f"{where(*path)}: {name} is a table, [{name}]; {what}.")
        return
    for field, value in table.items():
        setting, inner = f"{name}.{field}", (*path, field)
        if setting in KEYS and _is_plain(field):
            count = len(value) if isinstance(value, list) else 0
            items = tuple(where(*inner, index) for index in range(count))
            gathered.given.append(Given(setting, value, Source.FILE, where(*inner), items))
        elif setting in TABLES and _is_plain(field):
            _add_table(inner, value, where, gathered)
        elif isinstance(value, dict) and any(one.startswith(f"{name}.") for one in TABLES):
            gathered.problems.append(_no_such_table(inner, value, where))
        else:
            gathered.problems.append(f"{where(*inner)}: there is no setting {_quoted(*inner)}{_hint(setting)}")


def _is_plain(name: str) -> bool:
    """Return whether *name* is one key, as ours are: ``"metrics.tls"`` in quotes is not ``metrics.tls``."""
    return "." not in name


class _Where:
    """Says the file and the line of a place in one document."""

    def __init__(self, file: str, lines: Mapping[Path, int]) -> None:
        self._file = file
        self._lines = lines

    def __call__(self, *path: Any) -> str:
        """Return ``FILE:LINE`` of *path*; of the table it is in, or the file alone, where it was not found."""
        for end in range(len(path), 0, -1):
            if path[:end] in self._lines:
                return f"{self._file}:{self._lines[path[:end]]}"
        return self._file


def _parse(file: str, text: str, gathered: Gathered) -> Dict[str, object]:
    """Return what tomllib makes of *text*; nothing where that is no TOML, which is added to the problems."""
    # tomli is the same for Pythons without tomllib. Neither is loaded where there is no file.
    tomllib = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        # tomllib takes the square of a key's parts: ten seconds for a key as long as a file may be.
        if any(line.count(".") > _MOST_DOTS for line in _TEXT_OR_COMMENT.sub("", text).split("\n")):
            raise RecursionError  # noqa: TRY301 - as tomllib says it of brackets
        tables: Dict[str, object] = tomllib.loads(text)
    except RecursionError:
        gathered.problems.append(f"{file}: is nested too deeply; no setting is deeper than [metrics.tls].")
    except ValueError as error:
        # tomllib's own, and those of int() and datetime() that it lets pass
        place, what = _placed(str(error), text)
        gathered.problems.append(f"{file}{place}: is not valid TOML: {what}.")
    else:
        return tables
    return {}


def _placed(message: str, text: str) -> Tuple[str, str]:
    """Return the place that tomllib's *message* ends in, as ``:LINE:COLUMN``, and the rest of it."""
    match = _PLACE.match(message)
    if match is None:
        return "", "a number is impossible" if "digits" in message else message
    place = f":{match['line']}:{match['column']}" if match["line"] else f":{len(text.splitlines()) or 1}"
    return place, match["what"] if match["line"] else f"{match['what']}, and there the file ends"


def _no_such_table(path: Tuple[str, ...], value: object, where: _Where) -> str:
    name = ".".join(path)
    if isinstance(value, dict):
        table = nearest(name, TABLES)
        hint = f"did you mean [{table}]?" if table else f"the tables are {', '.join(f'[{one}]' for one in TABLES)}."
        return f"{where(*path)}: there is no table {_quoted(*path)}; {hint}"
    return f"{where(*path)}: there is no setting {_quoted(*path)} outside the tables{_hint(name)}"


def _hint(name: str) -> str:
    near = nearest_setting(name)
    if near:
        return f"; did you mean {near.field} in [{near.table}]?"
    table = name.rpartition(".")[0]
    if table in TABLES:
        return f"; [{table}] has {', '.join(key.field for key in KEYS.values() if key.table == table)}."
    return "; `rolewatch config show` lists all settings."


def _quoted(*keys: str) -> str:
    return ".".join(key if _BARE.fullmatch(key) else shown(key) for key in keys)
