"""Read what rolewatch told back from the journal, by way of systemd-python's Reader. The only reader of the journal."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

from rolewatch.cli.timeline import PastEvent
from rolewatch.errors import UnavailableError, UsageError
from rolewatch.model import EVENT_FIELDS, Level, Scalar
from rolewatch.publish.entries import text
from rolewatch.publish.native import IDENTIFIER, PREFIX

JOURNALS = (Path("/var/log/journal"), Path("/run/log/journal"))
"""Where journald keeps its files, each machine's in a directory of its own: lasting, and until the next boot."""

_NUMBERS = frozenset({"errno", "http_status", "roles", "failures"})
_LEVELS = {level.value: level.name.lower() for level in Level}
_MICROSECONDS = 1_000_000
_MOST_DAMAGED = 1000
"""With so many damaged entries there is no journal left to read; and a reader that does not get on must end."""


@dataclass(frozen=True)
class Source:
    """Which journal to read: the files given, or those of a directory, or this machine's own."""

    files: Tuple[Path, ...] = ()
    directory: Optional[Path] = None

    @property
    def is_live(self) -> bool:
        """Whether it is this machine's own journal."""
        return not self.files and self.directory is None


@dataclass
class Past:
    """What was read."""

    events: List[PastEvent] = field(default_factory=list)
    """The oldest first."""
    damaged: int = 0
    """Entries that could not be read, and are left out."""


def read_past(source: Source, *, since: Optional[float] = None) -> Past:
    """Return the events in *source* from *since* on (seconds of the epoch; None: all of them).

    Raise `UsageError` where there is no such file, and `UnavailableError` where it cannot be read.
    """
    past = Past()
    with contextlib.closing(_open(source)) as reader:
        if since is not None:
            reader.seek_realtime(since)
        for entry in _entries(reader, past):
            event = _event(entry)
            if event is not None:
                past.events.append(event)
    if not past.events:
        _complain_of_permissions(source)
    return past


def _module() -> ModuleType:
    try:
        import systemd.journal  # noqa: PLC0415 - compiled, and only this command needs it
    except ImportError as error:
        raise UnavailableError(
            "the journal cannot be read without systemd's Python module: install the package python3-systemd, or "
            "systemd-python from PyPI. Without it: journalctl -t rolewatch -o json"
        ) from error
    module: ModuleType = systemd.journal
    return module


def _open(source: Source) -> Any:  # noqa: ANN401 - systemd-python has no types
    journal = _module()
    options: Dict[str, Any] = {"converters": {"__REALTIME_TIMESTAMP": _moment}}
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
    reader.add_match(SYSLOG_IDENTIFIER=IDENTIFIER)
    if source.is_live:
        with contextlib.suppress(OSError):  # a container may have no machine id, and then no other machine's files
            reader.this_machine()
    return reader


def _entries(reader: Any, past: Past) -> Iterator[Mapping[str, Any]]:  # noqa: ANN401 - likewise
    """Yield what can be read. A damaged entry is counted, and the next one is tried: the newest matter most."""
    while past.damaged < _MOST_DAMAGED:
        try:
            entry: Mapping[str, Any] = reader.get_next()
        except (OSError, ValueError):  # ValueError: a field's name that is no text
            past.damaged += 1
            continue
        if not entry:
            return
        yield entry


def _event(entry: Mapping[str, Any]) -> Optional[PastEvent]:
    """Return what *entry* tells; None where it is no event: anybody may write under our identifier."""
    kind = _word(entry, f"{PREFIX}EVENT")
    if not kind:
        return None
    values = {name: _word(entry, PREFIX + name.upper()) for name in EVENT_FIELDS}
    priority = _word(entry, "PRIORITY")
    return PastEvent(
        at=entry["__REALTIME_TIMESTAMP"],
        level=_LEVELS.get(int(priority), "info") if priority.isdecimal() else "info",
        event=kind,
        message=_word(entry, "MESSAGE"),
        fault=_word(entry, f"{PREFIX}FAULT"),
        facts={name: _scalar(name, value) for name, value in values.items() if value},
    )


def _word(entry: Mapping[str, Any], name: str) -> str:
    """Return a field of *entry*, safe to print, the first where there are several; empty where there is none."""
    value = entry.get(name, "")
    if isinstance(value, list):
        value = value[0]
    return text(value.decode(errors="replace") if isinstance(value, bytes) else str(value))


def _scalar(name: str, value: str) -> Scalar:
    """Return *value* as the daemon had it: what was a number is one again."""
    if name in _NUMBERS or name.endswith("_seconds"):
        for kind in (int, float):
            with contextlib.suppress(ValueError):
                return kind(value)
    return value


def _moment(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / _MICROSECONDS, timezone.utc)


def _complain_of_permissions(source: Source) -> None:
    """Raise `UnavailableError` where there are files that we may not read: libsystemd leaves those out silently."""
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


def _forbidden(where: str) -> str:
    return (
        f"the journal in {where} may not be read by this user: run it with sudo, or as a member of the group "
        "systemd-journal or adm."
    )


def _named(source: Source) -> str:
    return ", ".join(str(path) for path in source.files) or str(source.directory or "the journal")
