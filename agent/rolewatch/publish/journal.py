"""The journal publisher: writes each event once, to journald or to standard error."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any, Callable, Protocol

from structlog._base import BoundLoggerBase
from structlog.exceptions import DropEvent
from structlog.types import EventDict, WrappedLogger

from rolewatch.faults import FAULTS
from rolewatch.publish import Event, Report
from rolewatch.publish.journal_entry import Entry, allowed, as_json, for_terminal, text
from rolewatch.publish.journald import JOURNAL_SOCKET, LineWriter, NativeSocket, Sent, encode
from rolewatch.settings import LogSettings
from rolewatch.text import takes_colour
from rolewatch.vocabulary import EventKind, Level

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
    """Return the MESSAGE_ID of *event*; None for a raised or persisting fault that does not say which it is."""
    own = MESSAGE_IDS.get(event.kind)
    if own is None and event.fault is not None:
        return FAULTS[event.fault].message_id
    return own


class Sink(Protocol):
    """Where the chain ends."""

    def write(self, entry: Entry) -> None:
        """Take *entry*. Must not block."""


class EventLogger(BoundLoggerBase):
    """A structlog logger of events: it takes nothing else, so that nothing else can be logged."""

    def tell(self, event: Event) -> None:
        """Send *event* through the chain."""
        self._proxy_to_logger("write", event.message, told=event)


def event_logger(
    sink: Sink, *, level: str, version: str, now: Callable[[], datetime], strict: bool = False
) -> EventLogger:
    """Return the logger that hands every event of at least *level* to *sink*, as an `Entry`.

    *version* goes into every entry. If *strict*, a field that is on no allow-list raises `UnknownFieldError`.
    """
    return EventLogger(sink, [_at_least(Level[level.upper()]), _as_entry(version, now, strict=strict)], {})


def _at_least(least: Level) -> Callable[[WrappedLogger, str, EventDict], EventDict]:
    def drop_below(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
        """Drop what matters less: syslog's numbers grow as things matter less."""
        if event_dict["told"].level.value > least.value:
            raise DropEvent
        return event_dict

    return drop_below


def _as_entry(version: str, now: Callable[[], datetime], *, strict: bool) -> Callable[..., Any]:
    def as_entry(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> tuple[tuple[Entry], EventDict]:
        """End the chain: what was bound or added besides the event's own fields is not looked at."""
        told: Event = event_dict["told"]
        entry = Entry(
            at=now(),
            level=told.level,
            kind=told.kind,
            message=text(event_dict["event"]),
            facts=allowed({"version": version, **told.fields}, strict=strict),
            fault=told.fault,
            message_id=message_id(told),
            documentation=FAULTS[told.fault].page if told.fault else None,
        )
        return (entry,), {}

    return as_entry


BACKLOG = 256
"""Entries that may wait for a stuck journald. Hours of them: changes are told, not polls."""


class Form(Enum):
    """How events are written."""

    JOURNAL = "journal"
    JSON = "json"
    CONSOLE = "console"


class Journal:
    """Tells events, in order. An entry that cannot be written now waits; only when too many wait is one lost."""

    name = "journal"

    def __init__(  # noqa: PLR0913 - the doors to the outside, each of which a test replaces
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
        """Tell what *settings* let through, in the form that they ask for.

        *stderr* is the descriptor for every form but the journal's, and for that too where there is no journald.
        If *strict*, an event with a field that is on no allow-list raises, which is for tests.
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
        self._dropped_and_told = 0
        self._logger = event_logger(self, level=settings.level, version=version, now=now, strict=strict)

    @property
    def counts(self) -> Mapping[Level, int]:
        """How many events were told, by level; those that `LogSettings.level` holds back are not among them."""
        return dict(self._counts)

    @property
    def dropped(self) -> int:
        """How many of them could not be written anywhere, and are lost."""
        return self._dropped

    def publish(self, report: Report) -> None:
        """Tell the events of *report*, after those that still wait."""
        self.flush()
        for event in report.events:
            self.log(event)

    def log(self, event: Event) -> None:
        """Write *event*, now or as soon as possible."""
        self._logger.tell(event)

    def write(self, entry: Entry) -> None:
        """Take *entry* from the end of the logger's chain. Where too many wait, the oldest is lost."""
        self._counts[entry.level] += 1
        if len(self._backlog) >= BACKLOG:
            self._backlog.popleft()
            self._dropped += 1
        self._backlog.append(entry)
        self.flush()

    def flush(self) -> None:
        """Write what waits, as far as that goes without blocking. To be called every few seconds."""
        self._lines.flush()
        while self._backlog and self._deliver(self._backlog[0]):
            self._backlog.popleft()
        if not self._backlog and self._dropped > self._dropped_and_told:
            self._tell_losses()

    def close(self) -> None:
        """Write what still waits, to standard error if journald does not take it; what neither takes is lost."""
        self.flush()
        while self._backlog:
            if not self._write_line(self._backlog.popleft()):
                self._dropped += 1
        if self._native:
            self._native.close()

    def _deliver(self, entry: Entry) -> bool:
        """Write *entry* and return True, or return False where it has to wait."""
        sent = self._native.send(encode(entry)) if self._native else Sent.NO_JOURNAL
        return sent is Sent.YES or (sent is Sent.NO_JOURNAL and self._write_line(entry))

    def _write_line(self, entry: Entry) -> bool:
        console = self._form is Form.CONSOLE
        line = for_terminal(entry, colour=self._colour, width=self._width) if console else as_json(entry)
        # sd-daemon(3): what journald reads from a service's stderr gets its priority from such a prefix.
        return self._lines.write(f"<{entry.level.value}>{line}" if self._prefix else line)

    def _tell_losses(self) -> None:
        """Say in the log itself that entries are missing from it: a counter is not read at three in the morning."""
        lost = self._dropped - self._dropped_and_told
        self._dropped_and_told = self._dropped
        message = f"The log was stuck: {lost} entries are lost, the oldest of those that waited."
        fields = {"publisher": self.name, "problem": f"{lost} entries lost"}
        self.log(Event(EventKind.PUBLISHER_FAILED, Level.ERROR, message, fields=fields))


def form_of(settings: LogSettings, environ: Mapping[str, str], stderr: int = 2) -> Form:
    """Return the form that *settings* ask for; ``auto`` is decided by what *stderr* is connected to."""
    if settings.format != "auto":
        return Form(settings.format)
    if names_journal(environ, stderr):
        return Form.JOURNAL
    return Form.CONSOLE if os.isatty(stderr) else Form.JSON


def names_journal(environ: Mapping[str, str], stderr: int) -> bool:
    """Return whether *stderr* is the very stream to the journal that ``$JOURNAL_STREAM`` names.

    The variable alone says nothing: children inherit it after their stderr was redirected (systemd.exec(5)).
    """
    try:
        status = os.fstat(stderr)
    except OSError:
        return False  # closed
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
