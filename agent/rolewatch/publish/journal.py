"""The journal publisher: tells every event once, to journald or to standard error.

It never blocks, and counts what it loses.
"""

from __future__ import annotations

import os
from collections import deque
from datetime import datetime
from enum import Enum
from typing import Callable, Deque, Dict, Mapping

from rolewatch.model import Event, EventKind, Level, Report
from rolewatch.publish.entries import Entry
from rolewatch.publish.lines import as_json, for_terminal
from rolewatch.publish.logs import event_logger
from rolewatch.publish.native import JOURNAL_SOCKET, NativeSocket, Sent, encode
from rolewatch.publish.stderr import LineWriter
from rolewatch.settings import LogSettings

__all__ = ["BACKLOG", "JOURNAL_SOCKET", "Form", "Journal", "form_of"]

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
        self._colour = os.isatty(stderr) and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
        self._width = os.get_terminal_size(stderr).columns if os.isatty(stderr) else 0
        self._prefix = names_journal(environ, stderr)
        self._native = NativeSocket(socket_path) if self._form is Form.JOURNAL else None
        self._lines = LineWriter(stderr)
        self._backlog: Deque[Entry] = deque()
        self._counts: Dict[Level, int] = dict.fromkeys(Level, 0)
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
            self.tell(event)

    def tell(self, event: Event) -> None:
        """Tell *event*, now or as soon as it can be written."""
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
        self.tell(Event(EventKind.PUBLISHER_FAILED, Level.ERROR, message, fields=fields))


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
