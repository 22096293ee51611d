"""Where settings come from: TOML files, the environment, the AWS SDKs' variables and flags."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from importlib import import_module
from pathlib import Path
from typing import Any, Callable

from rolewatch.config.keys import KEYS, TABLES, nearest, nearest_setting, prefix_of
from rolewatch.config.toml_document import KeyPath, locate
from rolewatch.config.types import shown
from rolewatch.files import NotRegularError, TooLargeError
from rolewatch.files import read as files_read
from rolewatch.text import shortened


class Source(IntEnum):
    """Where a value comes from, the weakest first."""

    SDK = 1
    """A variable of the AWS SDKs."""
    FILE = 2
    ENVIRONMENT = 3
    """A ROLEWATCH_… variable."""
    FLAG = 4


@dataclass(frozen=True)
class Given:
    """One value that one source gives for one setting."""

    name: str
    """Of the setting: ``poll.interval``."""
    value: object
    source: Source
    origin: str
    """The place, as a complaint and ``rolewatch config show`` name it: ``FILE:LINE``, a variable, a flag."""
    item_origins: tuple[str, ...] = ()
    """The places of a list's items, where they are known."""
    complaint: str = ""
    """Why the value cannot be used, where the source knows that already; goes on after the setting's name."""


@dataclass
class Gathered:
    """Everything that the sources give, and what was wrong with them."""

    given: list[Given] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    """The files that were read, in order."""


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


def _add_table(path: tuple[str, ...], table: object, where: _Where, gathered: Gathered) -> None:
    """Add what stands in the table at *path*, and in the tables in it."""
    name = ".".join(path)
    if not isinstance(table, dict):
        what = "write it with single brackets" if isinstance(table, list) else "its settings are written below it"
        gathered.problems.append(f"{where(*path)}: {name} is a table, [{name}]; {what}.")
        return
    for key, value in table.items():
        setting, inner = f"{name}.{key}", (*path, key)
        if setting in KEYS and _is_plain(key):
            count = len(value) if isinstance(value, list) else 0
            items = tuple(where(*inner, index) for index in range(count))
            gathered.given.append(Given(setting, value, Source.FILE, where(*inner), items))
        elif setting in TABLES and _is_plain(key):
            _add_table(inner, value, where, gathered)
        elif isinstance(value, dict) and any(one.startswith(f"{name}.") for one in TABLES):
            gathered.problems.append(_no_such_table(inner, value, where))
        else:
            gathered.problems.append(f"{where(*inner)}: there is no setting {_quoted_key(*inner)}{_hint(setting)}")


def _is_plain(name: str) -> bool:
    """Return whether *name* is one key, as ours are: ``"metrics.tls"`` in quotes is not ``metrics.tls``."""
    return "." not in name


class _Where:
    """Says the file and the line of a place in one document."""

    def __init__(self, file: str, lines: Mapping[KeyPath, int]) -> None:
        self._file = file
        self._lines = lines

    def __call__(self, *path: Any) -> str:
        """Return ``FILE:LINE`` of *path*; of the table it is in, or the file alone, where it was not found."""
        for end in range(len(path), 0, -1):
            if path[:end] in self._lines:
                return f"{self._file}:{self._lines[path[:end]]}"
        return self._file


def _parse(file: str, text: str, gathered: Gathered) -> dict[str, object]:
    """Return what tomllib makes of *text*; nothing where that is no TOML, which is added to the problems."""
    # tomli is the same for Pythons without tomllib. Neither is loaded where there is no file.
    tomllib = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        # tomllib takes the square of a key's parts: ten seconds for a key as long as a file may be.
        if any(line.count(".") > _MOST_DOTS for line in _TEXT_OR_COMMENT.sub("", text).split("\n")):
            raise RecursionError  # noqa: TRY301 - as tomllib says it of brackets
        tables: dict[str, object] = tomllib.loads(text)
    except RecursionError:
        gathered.problems.append(f"{file}: is nested too deeply; no setting is deeper than [metrics.tls].")
    except ValueError as error:
        # tomllib's own, and those of int() and datetime() that it lets pass
        place, what = _placed(str(error), text)
        gathered.problems.append(f"{file}{place}: is not valid TOML: {what}.")
    else:
        return tables
    return {}


def _placed(message: str, text: str) -> tuple[str, str]:
    """Return the place that tomllib's *message* ends in, as ``:LINE:COLUMN``, and the rest of it."""
    match = _PLACE.match(message)
    if match is None:
        return "", "a number is impossible" if "digits" in message else message
    place = f":{match['line']}:{match['column']}" if match["line"] else f":{len(text.splitlines()) or 1}"
    return place, match["what"] if match["line"] else f"{match['what']}, and there the file ends"


def _no_such_table(path: tuple[str, ...], value: object, where: _Where) -> str:
    name = ".".join(path)
    if isinstance(value, dict):
        table = nearest(name, TABLES)
        hint = f"did you mean [{table}]?" if table else f"the tables are {', '.join(f'[{one}]' for one in TABLES)}."
        return f"{where(*path)}: there is no table {_quoted_key(*path)}; {hint}"
    return f"{where(*path)}: there is no setting {_quoted_key(*path)} outside the tables{_hint(name)}"


def _hint(name: str) -> str:
    near = nearest_setting(name)
    if near:
        return f"; did you mean {near.field} in [{near.table}]?"
    table = name.rpartition(".")[0]
    if table in TABLES:
        return f"; [{table}] has {', '.join(key.field for key in KEYS.values() if key.table == table)}."
    return "; `rolewatch config show` lists all settings."


def _quoted_key(*keys: str) -> str:
    return ".".join(key if _BARE.fullmatch(key) else shown(key) for key in keys)


_LARGEST = 64 * 1024
_LONGEST_PATH = 4096
"""Characters of a path, in a message: PATH_MAX of Linux, so that only a path that no file can have is cut."""
_BITS = {True: (stat.S_IRGRP, stat.S_IROTH), False: (stat.S_IXGRP, stat.S_IXOTH)}
"""What group and others need: to read the file itself, to pass a directory on the way to it."""


class UnreadableError(Exception):
    """A file or directory cannot be used; the text is a whole sentence that says which and why."""


def read(file: Path) -> str | None:
    """Return the text of *file*; None where there is no such file. Raise `UnreadableError` where it cannot be used."""
    try:
        content = files_read(file, limit=_LARGEST, follow_links=True)
        refuse_if_anybody_may_write(file, content.status)
        refuse_if_anybody_may_write(file.parent, file.parent.stat(), sticky_will_do=True)
    except FileNotFoundError:
        return None
    except NotRegularError as error:
        kind = "a directory" if error.is_directory else "no regular file"
        raise UnreadableError(f"{file}: is {kind}; name a file.") from None
    except TooLargeError:
        message = f"{file}: is larger than {_LARGEST // 1024} KiB, which no settings file is; it is not read."
        raise UnreadableError(message) from None
    except (OSError, ValueError) as error:
        raise unreadable(file, error) from None
    return _decoded(file, content.data)


def _decoded(file: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")  # editors on Windows put a byte order mark first
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UnreadableError(f"{file}:{line}: is not UTF-8; save the file as UTF-8.") from None


def refuse_if_anybody_may_write(path: Path, status: os.stat_result, *, sticky_will_do: bool = False) -> None:
    """Raise `UnreadableError` where everybody may write to *path*, and so say what rolewatch does.

    In a directory with the sticky bit, as /tmp, nobody can replace another's file: *sticky_will_do* for a file there.
    """
    if status.st_mode & stat.S_IWOTH and not (sticky_will_do and status.st_mode & stat.S_ISVTX):
        message = f"{path}: everybody may write to it, and settings from there are refused; chmod o-w {path}"
        raise UnreadableError(message + ".")


def unreadable(path: Path, error: Exception) -> UnreadableError:
    """Return the error that says why *path* cannot be read, and who may read it where that is the reason."""
    if isinstance(error, PermissionError):
        return UnreadableError(f"{path}: may not be read by this user{_readers(path)}.")
    reason = getattr(error, "strerror", None) or "its name is impossible"
    return UnreadableError(f"{shortened(str(path), _LONGEST_PATH)}: cannot be read: {reason}.")


def _readers(path: Path) -> str:
    """Return who may read *path*, or the nearest directory on the way that may not be entered."""
    for place in (path, *path.parents):
        try:
            status = place.stat()
        except OSError:
            continue
        owner, group = _names(status)
        mode, for_group, for_all = status.st_mode, *_BITS[place == path]
        if mode & for_all:
            return f", although the mode of {place} allows it; a sandbox, SELinux or AppArmor does not"
        who = f"{owner} and the group {group}" if mode & for_group else owner
        return f"; {place} is open to {who} alone (mode {stat.S_IMODE(mode):04o}): run this as {owner}, as with sudo"
    return ""


def _names(status: os.stat_result) -> tuple[str, str]:
    """Return owner and group; their numbers where they have no names."""
    import grp  # noqa: PLC0415 - only for complaints
    import pwd  # noqa: PLC0415 - likewise

    try:
        owner = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        owner = str(status.st_uid)
    try:
        group = grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        group = str(status.st_gid)
    return owner, group


DEFAULT_FILE = Path("/etc/rolewatch/rolewatch.toml")
"""Read where no file is named, if it is there. ``conf.d`` beside it is read after it."""

_MISNAMED = (".toml", ".conf", ".cfg", ".ini", ".yaml", ".yml", ".json")
"""Endings, in any case, of files in ``conf.d`` that somebody may believe to be read."""


def gather_files(path: Path | None, gathered: Gathered, *, default: Path = DEFAULT_FILE) -> None:
    """Add what the files give to *gathered*.

    Without a *path* these are *default*, which need not exist, and ``conf.d/*.toml`` beside it in the order of their
    names. Another *path* is read alone, and must exist: whoever names a file wants that one, and not what else is set
    on the machine.
    """
    whole = path is None or path == default
    for file, required in _files(path or default, gathered, whole=whole, required=path is not None):
        try:
            text = read(file)
            if text is not None:
                gathered.files.append(str(file))
                add_document(str(file), text, gathered)
            elif required:
                gathered.problems.append(f"{file}: there is no such file.")
        except UnreadableError as error:
            gathered.problems.append(str(error))


def _files(first: Path, gathered: Gathered, *, whole: bool, required: bool) -> Iterator[tuple[Path, bool]]:
    """Yield each file, and whether it must be there."""
    yield first, required
    if not whole:
        return
    directory = first.parent / "conf.d"
    try:
        names = sorted(entry.name for entry in directory.iterdir())
        refuse_if_anybody_may_write(directory, directory.stat())
    except FileNotFoundError:
        return
    except OSError as error:
        gathered.problems.append(str(unreadable(directory, error)))
        return
    except UnreadableError as error:
        gathered.problems.append(str(error))
        return
    for name in names:
        if name.startswith("."):
            continue
        if name.endswith(".toml"):
            yield directory / name, True
        elif name.lower().endswith(_MISNAMED):
            gathered.warnings.append(f"{directory / name}: is not read; only names that end in .toml are.")


_PREFIX = "ROLEWATCH_"
_VARIABLES: Mapping[str, str] = {key.variable: key.name for key in KEYS.values()}

FLAGS: Mapping[str, str] = {"imds.endpoint": "--endpoint", "expect.role": "--expect-role", "metrics.listen": "--listen"}
"""The flags by the setting that they set."""

_SDK_NUMBER = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", re.ASCII)
_SDK_INTEGER = re.compile(r"[0-9]{1,9}", re.ASCII)


def gather_environment(environ: Mapping[str, str], gathered: Gathered) -> None:
    """Add what *environ* gives to *gathered*. An empty SDK variable counts as unset, as it does for SDKs."""
    for variable, (name, convert) in SDK_VARIABLES.items():
        text = environ.get(variable, "").strip()
        if text:
            try:
                value = convert(text)
            except _NotSdkError as error:
                gathered.given.append(Given(name, text, Source.SDK, variable, complaint=str(error)))
            else:
                gathered.given.append(Given(name, _cut(name, value, variable, gathered), Source.SDK, variable))
    for variable in sorted(environ):
        if variable in _VARIABLES:
            name = _VARIABLES[variable]
            value = KEYS[name].read.from_text(environ[variable])
            gathered.given.append(Given(name, value, Source.ENVIRONMENT, variable))
        elif variable.startswith(_PREFIX):
            _add_unknown(variable, gathered)


def gather_flags(flags: Mapping[str, object], gathered: Gathered) -> None:
    """Add what *flags* give, by the settings' names. None is a flag that was not used."""
    for name, value in flags.items():
        if value is not None:
            origin = FLAGS.get(name, f"flag {name}")
            read = KEYS[name].read
            # A list on the command line is one flag for each item; everything else is text, as in the environment.
            given = read.from_text(value) if isinstance(value, str) and name not in FLAGS else value
            gathered.given.append(Given(name, given, Source.FLAG, origin))


_LONGEST_VARIABLE = 200
"""Characters of the name of a variable, in a message."""


def _add_unknown(variable: str, gathered: Gathered) -> None:
    """Refuse a mistyped setting; warn of anything else: a container engine sets ROLEWATCH_PORT for a linked service."""
    table = max((one for one in TABLES if variable.startswith(prefix_of(one))), key=len, default="")
    rest = variable[len(prefix_of(table) if table else _PREFIX) :]
    near = nearest_setting((f"{table}.{rest}" if table else rest.replace("_", ".", 1)).lower())
    hint = f"; did you mean {near.variable}?" if near else "."
    variable = shortened(variable, _LONGEST_VARIABLE)
    if table:
        gathered.problems.append(f"{variable}: there is no such setting{hint}")
    else:
        gathered.warnings.append(f"{variable}: there is no such setting, and it is ignored{hint}")


class _NotSdkError(ValueError):
    """An SDK would not accept this; the text goes on after the setting's name."""


def _sdk_switch(text: str) -> object:
    if text.lower() not in ("true", "false"):
        raise _NotSdkError(f"is {shown(text)}; SDKs know true and false")
    return text.lower() == "true"


def _sdk_seconds(text: str) -> object:
    if not _SDK_NUMBER.fullmatch(text) or float(text) <= 0:
        raise _NotSdkError(f"is {shown(text)}; SDKs know a number of seconds, 1 or more")
    return float(text)


def _sdk_attempts(text: str) -> object:
    if not _SDK_INTEGER.fullmatch(text) or int(text) < 1:
        raise _NotSdkError(f"is {shown(text)}; SDKs know a whole number, 1 or more")
    return int(text)


def _cut(name: str, value: object, variable: str, gathered: Gathered) -> object:
    """Return *value* within the bounds of our setting *name*, with a warning where that is another value."""
    read = KEYS[name].read
    least, most = getattr(read, "least", None), getattr(read, "most", None)
    if least is None or most is None or not isinstance(value, (int, float)) or least <= value <= most:
        return value
    cut = type(value)(min(max(value, least), most))
    gathered.warnings.append(f"{variable}: {name} is at most {most:g} here, and at least {least:g}; {cut:g} is used.")
    return cut


SDK_VARIABLES: Mapping[str, tuple[str, Callable[[str], object]]] = {
    "AWS_EC2_METADATA_SERVICE_ENDPOINT": ("imds.endpoint", str),
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": ("imds.endpoint_mode", str),
    "AWS_METADATA_SERVICE_TIMEOUT": ("imds.timeout", _sdk_seconds),
    "AWS_METADATA_SERVICE_NUM_ATTEMPTS": ("imds.attempts", _sdk_attempts),
    "AWS_EC2_METADATA_DISABLED": ("imds.disabled", _sdk_switch),
}
"""The SDKs' variables: the setting of ours that each is the default of, and how SDKs read it.

AWS SDKs and Tools reference, "Amazon EC2 instance metadata" and "IMDS client"; botocore 1.44 for the cases (2026).
"""
