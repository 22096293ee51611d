"""structlog's part: the chain that an event goes through before it is written.

The chain is built and handed over, never configured globally: `structlog.configure` would be state that tests share.
No processor of it renders an exception, so no traceback and no local variable can get in.

`BoundLoggerBase` is ``structlog.BoundLoggerBase``, taken from where it is defined: the package's `__init__`, which the
launcher puts off until it is needed, imports all of structlog.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Callable, Protocol, Tuple

from structlog._base import BoundLoggerBase
from structlog.exceptions import DropEvent
from structlog.types import EventDict, WrappedLogger

from rolewatch.faults import FAULTS
from rolewatch.model import Event, Level
from rolewatch.publish.entries import Entry, allowed, text
from rolewatch.publish.message_ids import message_id


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
    def as_entry(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> Tuple[Tuple[Entry], EventDict]:
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
