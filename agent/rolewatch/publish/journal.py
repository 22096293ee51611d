"""The journal publisher: writes each event once, to journald or to standard error."""

from __future__ import annotations

import json
import math
import os
import struct
import textwrap
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum
from typing import Any, Callable, Protocol

from structlog import BoundLogger
from structlog.exceptions import DropEvent
from structlog.types import EventDict, WrappedLogger

from rolewatch.faults import FAULTS, Fault
from rolewatch.publish import Event, Report
from rolewatch.publish.journald import IDENTIFIER, JOURNAL_SOCKET, PREFIX, LineWriter, NativeSocket, Sent
from rolewatch.settings import LogSettings
from rolewatch.text import bounded, rfc3339, takes_colour
from rolewatch.vocabulary import EVENT_FIELDS, EventKind, Level, Scalar

MESSAGE_IDS: Mapping[EventKind, str] = {
    EventKind.STARTED: "5bedd15998254115a90e754f5e3d9335",
    EventKind.STOPPING: "f656cb270b8c473cb844a9929985f415",
    EventKind.STATE_CHANGED: "4ee99fac9b1545a5ad7d4ad230383df0",
    EventKind.FAULT_CLEARED: "e7af341a18d74e17801d0e62c2359f54",
    EventKind.ROLE_CHANGED: "4e1635545cba4f3e95a1d51f8979f589",
    EventKind.CREDENTIALS_ROTATED: "54a2ade6c601463fbcbb2ca000e00696",
    EventKind.POLL_FAILED: "b6d35be1cd3c4ae6ac70ff044f6c4390",
    EventKind.CONFIG_WARNING: "1a7f7835e7094087b99df4794e561212",
    EventKind.CONFIG_RELOADED: "972c4d202ab94fc889c65fd12e0a2e9f",
    EventKind.CONFIG_REJECTED: "dc1bfa0b050a40e4a63889fe45dcf5ab",
    EventKind.STATE_FILE_IGNORED: "a6ac91f4470e499498e0e29cd6bf604c",
    EventKind.PUBLISHER_FAILED: "d57195c0d9d6481db53b1f9edb27889b",
}


def message_id(event: Event) -> str | None:
    """Return the MESSAGE_ID of *event*; None for a fault event without its fault."""
    own = MESSAGE_IDS.get(event.kind)
    if own is None and event.fault is not None:
        return FAULTS[event.fault].message_id
    return own


@dataclass(frozen=True)
class Entry:
    """One event reduced to what is written: the same in the journal, as JSON, and on a terminal."""

    at: datetime
    """When it was logged. Not written to the journal, which has its own clock."""
    level: Level
    kind: EventKind
    message: str
    facts: Mapping[str, Scalar]
    """The fields, by their names in `EVENT_FIELDS` and in that order."""
    fault: Fault | None = None
    message_id: str | None = None
    documentation: str | None = None


class UnknownFieldError(Exception):
    """An event has a field that is on no allow-list. Only in tests: the daemon leaves such a field out."""


def allowed(fields: Mapping[str, object], *, strict: bool) -> dict[str, Scalar]:
    """Return those of *fields* that are on the allow-list `EVENT_FIELDS`, with clean values.

    Everything else is left out or, if *strict*, raises `UnknownFieldError`. Nothing is written by its ``repr``.
    """
    values = {name: clean(fields[name]) for name in EVENT_FIELDS if name in fields}
    kept = {name: value for name, value in values.items() if value is not None}
    unknown = sorted(set(fields) - set(kept))
    if strict and unknown:
        raise UnknownFieldError(f"Not in EVENT_FIELDS, or neither text nor a number: {', '.join(unknown)}")
    return kept


def clean(value: object) -> Scalar | None:
    """Return *value* as it may be written, or None if it is neither text nor a number."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, str):
        return bounded(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON cannot express it
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    return None


_SHOWN = ("reason", "file", "problem")
"""The fields shown after the sentence on a terminal, unless it names them. All are in the JSON form."""
_NARROWEST = 72
"""Columns of a terminal below which a sentence is not wrapped: its column would be too narrow."""
_LEVEL_WIDTH = max(len(level.name) for level in Level)
_KIND_WIDTH = max(len(kind.value) for kind in EventKind)

_COLOURS: Mapping[Level, str] = {
    Level.CRITICAL: "1;31",
    Level.ERROR: "31",
    Level.WARNING: "33",
    Level.NOTICE: "32",
    Level.INFO: "36",
    Level.DEBUG: "2",
}
"""ECMA-48: bold red, red, yellow, green, cyan, faint."""


def as_json(entry: Entry) -> str:
    """Return *entry* as one JSON object: time, level, event, message, and its fields by their names."""
    document: dict[str, Scalar] = {
        "time": rfc3339(entry.at, "milliseconds"),
        "level": entry.level.name.lower(),
        "event": entry.kind.value,
        "message": entry.message,
    }
    if entry.fault:
        document["fault"] = entry.fault.value
    document.update(entry.facts)
    if entry.documentation:
        document["documentation"] = entry.documentation
    return json.dumps(document, ensure_ascii=False, allow_nan=False)


def for_terminal(entry: Entry, *, colour: bool, width: int = 0) -> str:
    """Return *entry* for a person: time of day in UTC, level, event, sentence, and fields that the sentence lacks.

    The sentence is wrapped in its column if the terminal is *width* columns wide; 0: it stays on one line.
    """
    level = f"{entry.level.name.lower():<{_LEVEL_WIDTH}}"
    kind = f"{entry.kind.value:<{_KIND_WIDTH}}"
    time = f"{entry.at.astimezone(timezone.utc):%H:%M:%S}"
    more = " ".join(_details(entry))
    message = entry.message
    if width >= _NARROWEST:
        message, more = (
            _wrapped("  ".join(filter(None, (message, more))), len(time) + len(level) + len(kind) + 6, width),
            "",
        )
    if colour:
        level, time = _painted(level, _COLOURS[entry.level]), _painted(time, "2")
        more = _painted(more, "2") if more else ""
    return "  ".join(filter(None, (time, level, kind, message, more)))


def _details(entry: Entry) -> Iterator[str]:
    for name in _SHOWN:
        value = str(entry.facts.get(name, ""))
        if value and value not in entry.message:
            yield f"{name}={json.dumps(value, ensure_ascii=False) if ' ' in value else value}"


def _wrapped(sentence: str, column: int, width: int) -> str:
    lines = textwrap.wrap(sentence, width - column, break_long_words=False, break_on_hyphens=False)
    return ("\n" + " " * column).join(lines)


def _painted(words: str, colour: str) -> str:
    return f"\x1b[{colour}m{words}\x1b[0m"


def fields(entry: Entry) -> Iterator[tuple[str, str]]:
    """Yield the names and values of *entry*'s fields in the journal."""
    yield "MESSAGE", entry.message
    if entry.message_id:
        yield "MESSAGE_ID", entry.message_id
    yield "PRIORITY", str(entry.level.value)
    yield "SYSLOG_IDENTIFIER", IDENTIFIER
    if entry.documentation:
        yield "DOCUMENTATION", entry.documentation
    if "errno" in entry.facts:
        yield "ERRNO", str(entry.facts["errno"])  # systemd.journal-fields(7); journalctl's users know it by this name
    yield f"{PREFIX}EVENT", entry.kind.value
    if entry.fault:
        yield f"{PREFIX}FAULT", entry.fault.value
    for name, value in entry.facts.items():
        yield f"{PREFIX}{name.upper()}", str(value)


def encode(entry: Entry) -> bytes:
    """Return *entry* in journald's native format."""
    return b"".join(_field(name, value) for name, value in fields(entry))


def _field(name: str, value: str) -> bytes:
    """Return one field. A value of several lines has its length before it, so that it cannot forge another field."""
    data = value.encode("utf-8", "backslashreplace")
    if b"\n" in data:
        return b"%s\n%s%s\n" % (name.encode(), struct.pack("<Q", len(data)), data)
    return b"%s=%s\n" % (name.encode(), data)


class Sink(Protocol):
    """The end of the chain."""

    def write(self, entry: Entry) -> None:
        """Accept *entry*. Must not block."""


def event_logger(
    sink: Sink, *, level: str, version: str, now: Callable[[], datetime], strict: bool = False
) -> BoundLogger:
    """Return the structlog logger that passes every event of at least *level* to *sink*, as an `Entry`.

    Log with ``logger.write(event.message, record=event)``. *version* goes into every entry. If *strict*, a field that
    is on no allow-list raises `UnknownFieldError`.
    """
    least = Level[level.upper()]

    def drop_below(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
        """Drop less important events: their numbers in syslog are higher."""
        if event_dict["record"].level.value > least.value:
            raise DropEvent
        return event_dict

    def as_entry(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> tuple[tuple[Entry], dict[str, Any]]:
        """End the chain. Only the event counts: what else was bound or added is left out."""
        record: Event = event_dict["record"]
        entry = Entry(
            at=now(),
            level=record.level,
            kind=record.kind,
            message=bounded(event_dict["event"]),
            facts=allowed({"version": version, **record.fields}, strict=strict),
            fault=record.fault,
            message_id=message_id(record),
            documentation=FAULTS[record.fault].page if record.fault else None,
        )
        return (entry,), {}

    return BoundLogger(sink, [drop_below, as_entry], {})


BACKLOG = 256
"""Entries that may wait for a stuck journald: hours of them, because changes are logged and not polls."""


class Form(Enum):
    """How events are written."""

    JOURNAL = "journal"
    JSON = "json"
    CONSOLE = "console"


class Journal:
    """Writes events in order. An entry that cannot be written now waits; if too many wait, the oldest is lost."""

    name = "journal"

    def __init__(  # noqa: PLR0913 - the outside world, each part of which a test replaces
        self,
        settings: LogSettings,
        *,
        version: str,
        environ: Mapping[str, str],
        now: Callable[[], datetime],
        stderr: int = 2,
        socket_path: str = JOURNAL_SOCKET,
        strict: bool = False,
    ) -> None:
        """Write events of the level and in the form of *settings*.

        *stderr* is the descriptor for every form but the journal's, and for that too if there is no journald. If
        *strict*, an event with a field that is on no allow-list raises `UnknownFieldError`, for tests.
        """
        self._form = form_of(settings, environ, stderr)
        self._colour = takes_colour(environ, terminal=os.isatty(stderr))
        self._width = os.get_terminal_size(stderr).columns if os.isatty(stderr) else 0
        self._prefix = names_journal(environ, stderr)
        self._native = NativeSocket(socket_path) if self._form is Form.JOURNAL else None
        self._lines = LineWriter(stderr)
        self._backlog: deque[Entry] = deque()
        self._counts: dict[Level, int] = dict.fromkeys(Level, 0)
        self._dropped = 0
        self._dropped_and_logged = 0
        self._logger = event_logger(self, level=settings.level, version=version, now=now, strict=strict)

    @property
    def counts(self) -> Mapping[Level, int]:
        """How many events were logged, by level; those below `LogSettings.level` do not count."""
        return dict(self._counts)

    @property
    def dropped(self) -> int:
        """How many entries were lost because they could not be written anywhere."""
        return self._dropped

    def publish(self, report: Report) -> None:
        """Write the events of *report*, after those that still wait."""
        self.flush()
        for event in report.events:
            self._logger.write(event.message, record=event)

    def log(self, event: Event) -> None:
        """Write *event*, now or as soon as possible."""
        self._logger.write(event.message, record=event)

    def write(self, entry: Entry) -> None:
        """Accept *entry* from the end of the logger's chain. If too many wait, the oldest is lost."""
        self._counts[entry.level] += 1
        if len(self._backlog) >= BACKLOG:
            self._backlog.popleft()
            self._dropped += 1
        self._backlog.append(entry)
        self.flush()

    def flush(self) -> None:
        """Write waiting entries as far as possible without blocking. Call it every few seconds."""
        self._lines.flush()
        while self._backlog:
            entry = self._backlog[0]
            sent = self._native.send(encode(entry)) if self._native else Sent.NO_JOURNAL
            if sent is Sent.LATER or (sent is Sent.NO_JOURNAL and not self._write_line(entry)):
                return
            self._backlog.popleft()
        if self._dropped > self._dropped_and_logged:
            self._log_losses()

    def close(self) -> None:
        """Write waiting entries, to standard error if journald does not accept them; what neither accepts is lost."""
        self.flush()
        while self._backlog:
            if not self._write_line(self._backlog.popleft()):
                self._dropped += 1
        if self._native:
            self._native.close()

    def _write_line(self, entry: Entry) -> bool:
        console = self._form is Form.CONSOLE
        line = for_terminal(entry, colour=self._colour, width=self._width) if console else as_json(entry)
        # sd-daemon(3): what journald reads from a service's stderr gets its priority from such a prefix.
        return self._lines.write(f"<{entry.level.value}>{line}" if self._prefix else line)

    def _log_losses(self) -> None:
        """Log that entries are missing: nobody reads the counter at three in the morning."""
        lost = self._dropped - self._dropped_and_logged
        self._dropped_and_logged = self._dropped
        message = f"The log was stuck: {lost} entries are lost, the oldest of those that waited."
        fields = {"publisher": self.name, "problem": f"{lost} entries lost"}
        self.log(Event(EventKind.PUBLISHER_FAILED, Level.ERROR, message, fields=fields))


def form_of(settings: LogSettings, environ: Mapping[str, str], stderr: int = 2) -> Form:
    """Return the form in *settings*; ``auto`` is decided by what *stderr* is connected to."""
    if settings.format != "auto":
        return Form(settings.format)
    if names_journal(environ, stderr):
        return Form.JOURNAL
    return Form.CONSOLE if os.isatty(stderr) else Form.JSON


def names_journal(environ: Mapping[str, str], stderr: int) -> bool:
    """Return whether *stderr* is the very stream to the journal that ``$JOURNAL_STREAM`` names.

    The variable alone proves nothing: children inherit it after their stderr was redirected (systemd.exec(5)).
    """
    try:
        status = os.fstat(stderr)
    except OSError:
        return False  # closed
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
