"""Read rolewatch's entries back from the journal, with systemd-python's Reader."""

from __future__ import annotations

import contextlib
import math
import os
import pwd
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from types import ModuleType
from typing import Any, Callable

from rolewatch.errors import UnavailableError, UsageError
from rolewatch.publish.journald import IDENTIFIER, PREFIX
from rolewatch.text import bounded, rfc3339
from rolewatch.vocabulary import EVENT_FIELDS, Level, Scalar


@dataclass(frozen=True)
class PastEvent:
    """One event from the journal. Strings instead of our enums: another version of rolewatch may have written it."""

    at: datetime
    level: str
    event: str
    message: str
    fault: str
    """Empty if the event is not about a fault."""
    facts: Mapping[str, Scalar]

    @property
    def document(self) -> dict[str, Scalar]:
        """The event as a JSON object, with the keys of the daemon's own JSON lines."""
        head = {
            "time": rfc3339(self.at, "milliseconds"),
            "level": self.level,
            "event": self.event,
            "message": self.message,
        }
        return {**head, **({"fault": self.fault} if self.fault else {}), **self.facts}


_NUMBERS = frozenset({"errno", "http_status", "roles", "failures"})
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,20})?(e[+-]?[0-9]{1,3})?", re.ASCII)
_LARGEST = 1e15
"""Beyond every count, and every duration in seconds, that means something: thirty million years."""
_LEVELS = {str(level.value): level.name.lower() for level in Level}
_MICROSECONDS = 1_000_000


def read_event(entry: Mapping[str, Any]) -> PastEvent | None:
    """Return the event in the journal entry *entry*, or None if it has none.

    *entry* has the bytes of each field, and its time in microseconds. Raise `ValueError` if that time is no date.
    """
    kind = word(entry, f"{PREFIX}EVENT")
    if not kind:
        return None
    facts = {name: _scalar(name, word(entry, PREFIX + name.upper())) for name in EVENT_FIELDS}
    return PastEvent(
        at=_moment(entry["__REALTIME_TIMESTAMP"]),
        level=_LEVELS.get(word(entry, "PRIORITY"), "info"),
        event=kind,
        message=word(entry, "MESSAGE"),
        fault=word(entry, f"{PREFIX}FAULT"),
        facts={name: value for name, value in facts.items() if value is not None},
    )


def word(entry: Mapping[str, Any], name: str) -> str:
    """Return the field *name* of *entry*, safe to print: the first of several values, or the empty string."""
    value = entry.get(name, "")
    if isinstance(value, list):
        value = value[0]
    if isinstance(value, bytes):
        value = value[:_LONGEST_FIELD]
    return bounded(value.decode(errors="replace") if isinstance(value, bytes) else str(value))


def _scalar(name: str, value: str) -> Scalar | None:
    """Return *value* as the daemon sent it. None if it is empty, or no finite number in a numeric field."""
    if not value:
        return None
    if name not in _NUMBERS and not name.endswith("_seconds"):
        return value
    match = _NUMBER.fullmatch(value)
    number = float(value) if match else math.nan
    if match is None or not abs(number) <= _LARGEST:
        return None
    return number if match[1] or match[2] else int(value)


def _moment(microseconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(microseconds / _MICROSECONDS, timezone.utc)
    except (OverflowError, OSError) as error:
        raise ValueError(str(error)) from None


JOURNALS = (Path("/var/log/journal"), Path("/run/log/journal"))
"""The directories of journald, persistent and volatile, each with a subdirectory for each machine id."""
UNIT = "rolewatch.service"
USER = "rolewatch"
"""The unit and the user of the daemon, as the packages install it."""
ROOT = 0

_MAX_DAMAGED = 1000
"""Damaged entries after which reading stops: it must end even if the reader makes no progress."""
MAX_FOREIGN = 100
"""Foreign entries that are counted."""
_MAX_READ = 20_000
"""Entries that are read to count foreign ones."""
_LONGEST_FIELD = 64 * 1024
"""Bytes of a field that are read. The daemon sends 4096 characters at most."""


@dataclass(frozen=True)
class Source:
    """Which journal to read: *files*, the files in *directory*, or this machine's own journal."""

    files: tuple[Path, ...] = ()
    directory: Path | None = None

    @property
    def is_live(self) -> bool:
        """Whether it is this machine's own journal."""
        return not self.files and self.directory is None


WRITER_FIELDS = ("_TRANSPORT", "_SYSTEMD_UNIT", "_UID")
"""The fields that `Writer.wrote` reads."""


@dataclass(frozen=True)
class Writer:
    """The unit and the user whose entries are read. journald adds both fields: no process can forge them."""

    units: tuple[str, ...] = (UNIT,)
    uids: tuple[int, ...] | None = None
    """None: any user. The uid of rolewatch on another machine is not known here."""

    @property
    def matches(self) -> Iterator[str]:
        """The matches of sd_journal_add_match(3): values of the same field are alternatives."""
        yield "_TRANSPORT=journal"
        yield from (f"_SYSTEMD_UNIT={unit}" for unit in self.units)
        yield from (f"_UID={uid}" for uid in self.uids or ())

    def wrote(self, entry: Mapping[str, Any]) -> bool:
        """Return whether this writer sent *entry*."""
        return (
            word(entry, "_TRANSPORT") == "journal"
            and word(entry, "_SYSTEMD_UNIT") in self.units
            and (self.uids is None or word(entry, "_UID") in map(str, self.uids))
        )


def daemon_uids() -> tuple[int, ...]:
    """Return the uids that the daemon can have on this machine: of root, and of the user rolewatch if it exists."""
    with contextlib.suppress(KeyError):
        return (ROOT, pwd.getpwnam(USER).pw_uid)
    return (ROOT,)


@dataclass
class Past:
    """The events that were read."""

    events: list[PastEvent] = field(default_factory=list)
    """The oldest first."""
    damaged: int = 0
    """Entries that could not be read."""
    foreign: int = 0
    """Entries with rolewatch's identifier and fields of another writer. `MAX_FOREIGN` means at least that many."""


def read_past(source: Source, *, since: float | None = None, writer: Writer | None) -> Past:
    """Return the events of *writer* in *source* from *since* on.

    *since* is in seconds of the epoch; None means all events. A *writer* of None means every writer. Raise
    `UsageError` if there is no such file, and `UnavailableError` if it cannot be read.
    """
    past = Past()
    with contextlib.closing(_open(source, since, list(writer.matches) if writer else [])) as reader:
        for entry in _readable(reader.get_next, past):
            try:
                event = read_event(entry)
            except ValueError:
                past.damaged += 1
            else:
                past.events += [event] if event else []
    if writer is not None:
        with contextlib.closing(_open(source, since, [])) as reader:
            past.foreign = _count_foreign(reader, writer)
    if not past.events:
        _complain_of_permissions(source)
    return past


def _module() -> ModuleType:
    try:
        import systemd.journal  # noqa: PLC0415 - compiled, and only this command needs it
    except ImportError as error:
        raise UnavailableError(
            "the journal cannot be read without systemd's Python module: install the package python3-systemd, or "
            "systemd-python from PyPI. Without it: journalctl -u rolewatch -o json"
        ) from error
    module: ModuleType = systemd.journal
    return module


def _open(source: Source, since: float | None, matches: Sequence[str]) -> Any:  # noqa: ANN401 - it has no types
    journal = _module()
    options: dict[str, Any] = {}
    if source.files:
        options["files"] = [str(path) for path in source.files]
    elif source.directory is not None:
        options["path"] = str(source.directory)
    try:
        reader = journal.Reader(**options)
    except PermissionError as error:
        raise UnavailableError(_forbidden(_named(source))) from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(f"{_named(source)}: {error.strerror}") from error
    except OSError as error:
        raise UnavailableError(f"{_named(source)} cannot be read as a journal: {error.strerror}") from error
    # Its own converters raise OverflowError for a date out of range, in fields that any local user can write.
    reader.converters = dict.fromkeys(
        ("__REALTIME_TIMESTAMP", "__MONOTONIC_TIMESTAMP", "__CURSOR"), lambda value: value
    )
    reader.data_threshold = _LONGEST_FIELD
    for match in (f"SYSLOG_IDENTIFIER={IDENTIFIER}", *matches):
        reader.add_match(match)
    if source.is_live:
        with contextlib.suppress(OSError):  # a container may have no machine id, and then no other machine's files
            reader.this_machine()
    if since is not None:
        reader.seek_realtime(since)
    return reader


def _readable(read_next: Callable[[], Mapping[str, Any]], past: Past) -> Iterator[Mapping[str, Any]]:
    """Yield the entries that can be read. A damaged one is counted and skipped: the newest entries matter most."""
    while past.damaged < _MAX_DAMAGED:
        try:
            entry = read_next()
        except (OSError, ValueError):  # ValueError: a field's name that is no text
            past.damaged += 1
            continue
        if not entry:
            return
        yield entry


def _count_foreign(reader: Any, writer: Writer) -> int:  # noqa: ANN401 - likewise
    """Return how many events *writer* did not send, `MAX_FOREIGN` at most.

    Only the fields that are needed are read: any local user can send an entry with hundreds of megabytes in others.
    """

    def read_next() -> Mapping[str, Any]:
        # The methods of systemd-python's base class: Reader itself has only get_next, which reads every field.
        if not reader._next():  # noqa: SLF001
            return {}
        entry = {"__CURSOR": b""}  # never empty
        for name in (f"{PREFIX}EVENT", *WRITER_FIELDS):
            with contextlib.suppress(KeyError):
                entry[name] = reader._get(name)  # noqa: SLF001
        return entry

    found = 0
    for number, entry in enumerate(_readable(read_next, Past())):
        found += bool(word(entry, f"{PREFIX}EVENT")) and not writer.wrote(entry)
        if found == MAX_FOREIGN or number == _MAX_READ:
            break
    return found


def _complain_of_permissions(source: Source) -> None:
    """Raise `UnavailableError` if a journal file is not readable: libsystemd leaves those out silently."""
    directories = [source.directory] if source.directory else []
    if source.is_live:
        directories = [child for parent in JOURNALS if parent.is_dir() for child in parent.iterdir()]
    for directory in directories:
        if not _is_readable(directory):
            raise UnavailableError(_forbidden(str(directory)))


def _is_readable(directory: Path) -> bool:
    try:
        return all(os.access(path, os.R_OK) for path in list(directory.iterdir()) if path.suffix == ".journal")
    except OSError:
        return False


def _forbidden(place: str) -> str:
    return (
        f"this user may not read the journal in {place}: run rolewatch with sudo, or as a member of the group "
        "systemd-journal or adm."
    )


def _named(source: Source) -> str:
    return ", ".join(str(path) for path in source.files) or str(source.directory or "the journal")
