"""Read what rolewatch wrote back from the journal, by way of systemd-python's Reader. The only reader of the journal.

Every local user may write to the journal, with our identifier and our fields. What nobody but journald writes are the
fields that begin with an underscore (systemd.journal-fields(7), "Trusted Journal Fields"): an entry counts as
rolewatch's where those say that a process of its unit, with its user, sent it.
"""

from __future__ import annotations

import contextlib
import os
import pwd
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from rolewatch.cli.journal_entry import read_event, word
from rolewatch.cli.timeline import PastEvent
from rolewatch.errors import UnavailableError, UsageError
from rolewatch.publish.native import IDENTIFIER, PREFIX

JOURNALS = (Path("/var/log/journal"), Path("/run/log/journal"))
"""Where journald keeps its files, each machine's in a directory of its own: lasting, and until the next boot."""
UNIT = "rolewatch.service"
USER = "rolewatch"
"""The unit and the user of the daemon, as the packages install it."""
ROOT = 0

_MOST_DAMAGED = 1000
"""With so many damaged entries there is no journal left to read; and a reader that does not get on must end."""
MOST_STRANGERS = 100
"""Entries of other writers that are counted."""
_MOST_READ = 20_000
"""Entries that are read to count those."""
_LONGEST_FIELD = 64 * 1024
"""Bytes of a field that are read. The daemon writes 4096 characters at most."""


@dataclass(frozen=True)
class Source:
    """Which journal to read: the files given, or those of a directory, or this machine's own."""

    files: Tuple[Path, ...] = ()
    directory: Optional[Path] = None

    @property
    def is_live(self) -> bool:
        """Whether it is this machine's own journal."""
        return not self.files and self.directory is None


@dataclass(frozen=True)
class Writer:
    """Whose entries are read. journald attests both: no process can write them itself."""

    units: Tuple[str, ...] = (UNIT,)
    uids: Optional[Tuple[int, ...]] = None
    """None: those of any user. Of a journal from another machine nobody here knows which uid rolewatch had."""

    @property
    def matches(self) -> Iterator[str]:
        """The matches of sd_journal_add_match(3). Of one field any, of several fields each must be met."""
        yield "_TRANSPORT=journal"
        yield from (f"_SYSTEMD_UNIT={unit}" for unit in self.units)
        yield from (f"_UID={uid}" for uid in self.uids or ())

    def wrote(self, entry: Mapping[str, Any]) -> bool:
        """Return whether *entry* is one of this writer."""
        return (
            word(entry, "_TRANSPORT") == "journal"
            and word(entry, "_SYSTEMD_UNIT") in self.units
            and (self.uids is None or word(entry, "_UID") in map(str, self.uids))
        )


def uids_of_the_daemon() -> Tuple[int, ...]:
    """Return the uids that the daemon may have on this machine: of root, and of its user where there is one."""
    with contextlib.suppress(KeyError):
        return (ROOT, pwd.getpwnam(USER).pw_uid)
    return (ROOT,)


@dataclass
class Past:
    """What was read."""

    events: List[PastEvent] = field(default_factory=list)
    """The oldest first."""
    damaged: int = 0
    """Entries that could not be read, and are left out."""
    strangers: int = 0
    """Entries with rolewatch's identifier and fields that another writer sent, and that are left out.
    `MOST_STRANGERS` means so many or more."""


def read_past(source: Source, *, since: Optional[float] = None, writer: Optional[Writer]) -> Past:
    """Return the events in *source* from *since* on (seconds of the epoch; None: all of them).

    Only those of *writer*; where it is None, those of everybody. Raise `UsageError` where there is no such file, and
    `UnavailableError` where it cannot be read.
    """
    past = Past()
    with contextlib.closing(_open(source, since, list(writer.matches) if writer else [])) as reader:
        for entry in _entries(reader, past):
            try:
                event = read_event(entry)
            except ValueError:
                past.damaged += 1
            else:
                past.events += [event] if event else []
    if writer is not None:
        with contextlib.closing(_open(source, since, [])) as reader:
            past.strangers = _count_strangers(reader, writer)
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


def _open(source: Source, since: Optional[float], matches: Sequence[str]) -> Any:  # noqa: ANN401 - it has no types
    journal = _module()
    options: Dict[str, Any] = {}
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
    # Its own converters raise OverflowError for a date that is out of range, in any field that a stranger may write.
    reader.converters = dict.fromkeys(("__REALTIME_TIMESTAMP", "__MONOTONIC_TIMESTAMP", "__CURSOR"), _as_it_is)
    reader.data_threshold = _LONGEST_FIELD
    for match in (f"SYSLOG_IDENTIFIER={IDENTIFIER}", *matches):
        reader.add_match(match)
    if source.is_live:
        with contextlib.suppress(OSError):  # a container may have no machine id, and then no other machine's files
            reader.this_machine()
    if since is not None:
        reader.seek_realtime(since)
    return reader


def _as_it_is(value: object) -> object:
    return value


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


def _count_strangers(reader: Any, writer: Writer) -> int:  # noqa: ANN401 - likewise
    """Return how many events *writer* did not write, `MOST_STRANGERS` at most."""
    found = 0
    for number, entry in enumerate(_entries(reader, Past())):
        found += bool(word(entry, f"{PREFIX}EVENT")) and not writer.wrote(entry)
        if found == MOST_STRANGERS or number == _MOST_READ:
            break
    return found


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
