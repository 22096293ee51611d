"""Only fields on the allow-list are written, without control characters."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog import BoundLogger

from rolewatch.faults import DAEMON_FAULTS, FAULTS, Fault
from rolewatch.publish import Event
from rolewatch.publish.journal import (
    MESSAGE_IDS,
    Entry,
    UnknownFieldError,
    allowed,
    clean,
    event_logger,
    message_id,
)
from rolewatch.text import LONGEST_VALUE, bounded
from rolewatch.vocabulary import EVENT_FIELDS, EventKind, Level, State

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=timezone.utc)
CANARY = "wJalrCANARYtnFEMI"


class Kept:
    """A sink that keeps what comes."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.entries: list[Entry] = []

    def write(self, entry: Entry) -> None:
        """Keep *entry*."""
        self.entries.append(entry)


def logger(sink: Kept, level: str = "debug", *, strict: bool = False) -> BoundLogger:
    """Return the chain that ends in *sink*."""
    return event_logger(sink, level=level, version="1.2.3", now=lambda: NOON, strict=strict)


def entry_of(event: Event, *, strict: bool = False) -> Entry:
    """Return what becomes of *event*."""
    sink = Kept()
    logger(sink, strict=strict).write(event.message, record=event)
    return sink.entries[0]


def test_every_field_of_the_model_comes_out() -> None:
    """All of `EVENT_FIELDS` are written, in that order, and the version with every event."""
    fields = {name: f"<{name}>" for name in reversed(EVENT_FIELDS)}

    entry = entry_of(Event(EventKind.STARTED, Level.NOTICE, "It started.", fields=fields), strict=True)

    assert list(entry.facts.items()) == [(name, f"<{name}>") for name in EVENT_FIELDS]
    assert entry_of(Event(EventKind.STOPPING, Level.NOTICE, "It stops.")).facts == {"version": "1.2.3"}


@pytest.mark.parametrize("name", ["token", "SecretAccessKey", "event", "exc_info", "stack_info", "told", "ROLE"])
def test_what_is_on_no_allow_list_does_not_come_out(name: str) -> None:
    """A field that slipped in is left out by the daemon, and raises in a test."""
    event = Event(EventKind.STARTED, Level.NOTICE, "It started.", fields={name: CANARY})

    assert CANARY not in repr(entry_of(event))
    with pytest.raises(UnknownFieldError, match=name):
        entry_of(event, strict=True)


def test_what_is_bound_to_the_logger_does_not_come_out() -> None:
    """The context of a structlog logger is a side entrance: it is closed."""
    sink, event = Kept(), Event(EventKind.STOPPING, Level.NOTICE, "It stops.")
    logger(sink).bind(role=CANARY, token=CANARY).write("It stops.", record=event)

    assert CANARY not in repr(sink.entries)


@pytest.mark.parametrize(
    "value",
    [object(), ValueError(CANARY), [CANARY], {"token": CANARY}, b"CANARY", None, True],
    ids=lambda value: type(value).__name__,
)
def test_nothing_is_written_by_its_repr(value: object) -> None:
    """Only text and numbers are values; an exception or a document in a field's place is left out."""
    assert clean(value) is None
    assert allowed({"problem": value}, strict=False) == {}
    with pytest.raises(UnknownFieldError):
        allowed({"problem": value}, strict=True)


def test_a_member_of_an_enumeration_is_written_by_its_value() -> None:
    """The contract's word, and not Python's."""
    assert clean(State.OK) == "ok"


def test_numbers_stay_numbers_where_json_has_them() -> None:
    """What JSON cannot say becomes a word."""
    assert [clean(value) for value in (1, 1.5, float("inf"))] == [1, 1.5, "inf"]
    assert clean(float("nan")) == "nan"


@pytest.mark.parametrize(
    ("value", "clean_text"),
    [
        ("plain, with ünïcödé", "plain, with ünïcödé"),
        ("one\ntwo\r", "one\\ntwo\\r"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("left\u202eright", "left\\u202eright"),
        ("\udce4", "\\udce4"),
    ],
    ids=["plain", "lines", "terminal", "bidi", "surrogate"],
)
def test_what_a_terminal_would_obey_is_escaped(value: str, clean_text: str) -> None:
    """A name that IMDS serves cannot paint the terminal, start a line, or turn text around."""
    assert bounded(value) == clean_text


@given(st.text())
def test_any_text_becomes_one_line(value: str) -> None:
    """Printable, of bounded length, and writable as UTF-8, whatever it was."""
    made = bounded(value)

    assert made.isprintable()
    assert len(made) <= LONGEST_VALUE
    assert made.encode().decode() == made


@pytest.mark.parametrize("value", ["x" * 10_000_000, "\x00" * LONGEST_VALUE], ids=["long", "long once escaped"])
def test_a_long_text_is_cut(value: str) -> None:
    """Nothing that IMDS sends makes an entry grow without bound, and a cut shows."""
    assert len(bounded(value)) == LONGEST_VALUE
    assert bounded(value).endswith("…")


def test_a_text_that_just_fits_is_not_cut() -> None:
    """The bound belongs to what is allowed."""
    assert bounded("x" * LONGEST_VALUE) == "x" * LONGEST_VALUE


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("error", [Level.CRITICAL, Level.ERROR]),
        ("warning", [Level.CRITICAL, Level.ERROR, Level.WARNING]),
        ("notice", [Level.CRITICAL, Level.ERROR, Level.WARNING, Level.NOTICE]),
        ("info", [Level.CRITICAL, Level.ERROR, Level.WARNING, Level.NOTICE, Level.INFO]),
        ("debug", list(Level)),
    ],
)
def test_the_level_suppresses_less_important_messages(level: str, expected: list[Level]) -> None:
    """A message at the configured level is written."""
    sink = Kept()
    for each in Level:
        logger(sink, level).write("It stops.", record=Event(EventKind.STOPPING, each, "It stops."))

    assert [entry.level for entry in sink.entries] == expected


def test_every_kind_of_event_has_an_id_of_its_own() -> None:
    """32 hex digits each, and none of them a fault's."""
    ids = [*MESSAGE_IDS.values(), *(FAULTS[fault].message_id for fault in DAEMON_FAULTS)]

    assert set(MESSAGE_IDS) == set(EventKind) - {EventKind.FAULT_RAISED, EventKind.FAULT_PERSISTS}
    assert len(set(ids)) == len(ids)
    assert all(len(each) == 32 and int(each, 16) for each in ids)


@pytest.mark.parametrize("kind", [EventKind.FAULT_RAISED, EventKind.FAULT_PERSISTS])
@pytest.mark.parametrize("fault", DAEMON_FAULTS)
def test_an_active_fault_has_its_own_id_and_page(kind: EventKind, fault: Fault) -> None:
    """So that ``journalctl -x`` explains it, and links AWS's page."""
    entry = entry_of(Event(kind, Level.ERROR, "It is so.", fault))

    assert (entry.message_id, entry.documentation) == (FAULTS[fault].message_id, FAULTS[fault].page)


def test_a_fault_that_is_over_has_the_id_of_that() -> None:
    """What there was to do is done; the field still names the fault."""
    entry = entry_of(Event(EventKind.FAULT_CLEARED, Level.NOTICE, "It is over.", Fault.CLOCK_SKEW))

    assert (entry.message_id, entry.fault) == (MESSAGE_IDS[EventKind.FAULT_CLEARED], Fault.CLOCK_SKEW)


@pytest.mark.parametrize("fault", [None, Fault.IMDS_ERROR])
def test_an_id_is_never_invented(fault: Fault | None) -> None:
    """A raised fault that does not say which it is has none, and raises nothing."""
    expected = FAULTS[fault].message_id if fault else None

    assert message_id(Event(EventKind.FAULT_RAISED, Level.ERROR, "Something is wrong.", fault)) == expected


def test_an_entry_is_json_at_any_time() -> None:
    """Whatever number is in a field."""
    entry = entry_of(Event(EventKind.STARTED, Level.NOTICE, "It started.", fields={"age_seconds": float("nan")}))

    assert json.dumps(dict(entry.facts), allow_nan=False)
