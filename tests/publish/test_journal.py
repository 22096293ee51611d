"""The journal publisher: every event once and in order, to where it can be read, without ever waiting."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import socket
import tty
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable

import pytest

from promises import Area, promise
from publish.journald import Journald
from publish.snapshots import OK
from rolewatch.faults import Fault
from rolewatch.publish import Event, Report
from rolewatch.publish.journal import BACKLOG, Form, Journal, UnknownFieldError, form_of
from rolewatch.settings import LogSettings
from rolewatch.vocabulary import EVENT_FIELDS, EventKind, Level

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=timezone.utc)


def event(number: int = 0, level: Level = Level.NOTICE) -> Event:
    """Return an event with a sentence of its own."""
    return Event(EventKind.STOPPING, level, f"event {number}")


class Stderr:
    """A pipe or a socket in standard error's place."""

    def __init__(self) -> None:
        """Create it, without a reader."""
        self._reader, writer = socket.socketpair()
        self.descriptor = writer.detach()

    @property
    def stream(self) -> str:
        """What systemd would set JOURNAL_STREAM to, if this were the stream to the journal."""
        status = os.fstat(self.descriptor)
        return f"{status.st_dev}:{status.st_ino}"

    def lines(self) -> list[str]:
        """Return the lines that have come since the last call."""
        data = b""
        while select.select([self._reader], [], [], 0)[0]:
            data += self._reader.recv(1 << 20)
        return data.decode().splitlines()

    def fill(self) -> None:
        """Leave no room in it."""
        os.set_blocking(self.descriptor, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(self.descriptor, b"\n" * 4096)
        os.set_blocking(self.descriptor, True)

    def close(self) -> None:
        """Close both ends."""
        self._reader.close()
        os.close(self.descriptor)


@pytest.fixture
def stderr() -> Iterator[Stderr]:
    """Yield standard error, as a test reads it."""
    there = Stderr()
    yield there
    there.close()


Make = Callable[..., Journal]


@pytest.fixture
def make(tmp_path: Path, stderr: Stderr) -> Iterator[Make]:
    """Return what makes a publisher; by default for the journal at ``socket``, from debug on, and strict."""
    made: list[Journal] = []

    def journal(form: str = "journal", level: str = "debug", **environ: str) -> Journal:
        made.append(
            Journal(
                LogSettings(form, level),
                version="1.2.3",
                environ=environ,
                now=lambda: NOON,
                stderr=stderr.descriptor,
                socket_path=str(tmp_path / "socket"),
                strict=True,
            )
        )
        return made[-1]

    yield journal
    for each in made:
        each.close()


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[Journald]:
    """Yield a journald at ``socket``."""
    with Journald(tmp_path / "socket") as running:
        yield running


def messages(entries: list[dict[str, str]]) -> list[str]:
    """Return the sentences of *entries*."""
    return [entry["MESSAGE"] for entry in entries]


def test_the_events_of_a_report_are_written_in_order(make: Make, journald: Journald) -> None:
    """Each once; a report without events writes nothing."""
    journal = make()
    journal.publish(Report(OK))
    journal.publish(Report(OK, tuple(event(number) for number in range(5))))
    journal.publish(Report(OK))

    assert messages(journald.received()) == [f"event {number}" for number in range(5)]


def test_only_fields_of_the_allow_list_reach_journald(make: Make, journald: Journald) -> None:
    """With every field of the model in one event, nothing comes that the page of the journal does not name."""
    fields = {name: f"<{name}>" for name in EVENT_FIELDS}
    make().log(Event(EventKind.FAULT_RAISED, Level.ERROR, "It is so.", Fault.ROLE_MISMATCH, fields))
    own = {"MESSAGE", "MESSAGE_ID", "PRIORITY", "SYSLOG_IDENTIFIER", "DOCUMENTATION", "ERRNO"}
    ours = {f"ROLEWATCH_{name.upper()}" for name in (*EVENT_FIELDS, "event", "fault")}

    assert set(journald.received()[0]) == own | ours


def test_a_strict_publisher_refuses_an_unknown_field(make: Make) -> None:
    """So that a test finds it, and the daemon does not leave it out for years."""
    with pytest.raises(UnknownFieldError, match="token"):
        make().log(Event(EventKind.STARTED, Level.NOTICE, "It started.", fields={"token": "CANARY"}))


def test_the_daemon_leaves_an_unknown_field_out(stderr: Stderr) -> None:
    """And goes on."""
    journal = Journal(
        LogSettings("json"), version="1", environ={}, now=lambda: NOON, stderr=stderr.descriptor, socket_path=""
    )
    journal.log(Event(EventKind.STARTED, Level.NOTICE, "It started.", fields={"token": "CANARY", "role": "web"}))
    journal.close()
    (line,) = stderr.lines()

    assert "CANARY" not in line
    assert json.loads(line)["role"] == "web"


def test_messages_are_counted_by_level(make: Make, journald: Journald) -> None:
    """What the level suppresses is not; every level has its figure from the start."""
    journal = make(level="info")
    before = journal.counts
    for level in (*Level, Level.ERROR):
        journal.log(event(level=level))

    assert before == dict.fromkeys(Level, 0)
    assert journal.counts == {**dict.fromkeys(Level, 1), Level.ERROR: 2, Level.DEBUG: 0}
    assert journal.dropped == 0
    assert len(journald.received()) == 6


# A stuck journald


def drained(journal: Journal, journald: Journald) -> list[str]:
    """Let journald read, and the publisher flush, until nothing more comes; return the sentences that came."""
    received = messages(journald.received())
    while True:
        journal.flush()
        news = messages(journald.received())
        if not news:
            return received
        received += news


@promise(
    Area.SURROUNDINGS,
    "journald is stuck",
    "The watching goes on; the entries wait, and arrive in their order once it takes them",
)
def test_a_stuck_journald_is_not_waited_for_and_gets_all_in_order(
    make: Make, journald: Journald, stderr: Stderr
) -> None:
    """What its queue does not take waits, and follows as soon as it is flushed; nothing goes to stderr meanwhile."""
    journal = make()
    journal.log(event(0))
    journald.stuff()
    for number in range(1, BACKLOG + 1):
        journal.log(event(number))
    first = messages(journald.received())

    assert first == ["event 0"]
    assert drained(journal, journald) == [f"event {number}" for number in range(1, BACKLOG + 1)]
    assert journal.dropped == 0
    assert stderr.lines() == []


def test_what_waits_goes_before_what_is_new(make: Make, journald: Journald) -> None:
    """The next report flushes first."""
    journal = make()
    journald.stuff()
    journal.log(event(0))
    assert journald.received() == []
    journal.publish(Report(OK, (event(1),)))

    assert messages(journald.received()) == ["event 0", "event 1"]


def test_where_too_many_wait_the_oldest_are_lost_and_that_is_said(make: Make, journald: Journald) -> None:
    """The counter has the number at once, and the log itself once it can be written again."""
    journal = make()
    journald.stuff()
    total = 1000
    for number in range(total):
        journal.log(event(number))
    lost = total - BACKLOG
    assert journal.dropped == lost

    *received, last = drained(journal, journald)

    assert received == [f"event {number}" for number in range(lost, total)]
    assert f"{lost} entries are lost" in last
    assert journal.counts[Level.NOTICE] == total
    assert journal.counts[Level.ERROR] == 1


def test_every_loss_is_reported_once(make: Make, journald: Journald) -> None:
    """A second stuck spell is reported with its own number."""
    journal = make()
    said: list[str] = []
    for extra in (3, 5):
        journald.stuff()
        for number in range(BACKLOG + extra):
            journal.log(event(number))
        said += [message.split(":")[1].split()[0] for message in drained(journal, journald) if ":" in message]

    assert said == ["3", "5"]
    assert journal.dropped == 8


def test_at_the_end_what_a_stuck_journald_does_not_take_goes_to_stderr(
    make: Make, journald: Journald, stderr: Stderr
) -> None:
    """Rather there than nowhere."""
    journal = make()
    journal.log(event(0))
    journald.stuff()
    for number in range(1, 30):
        journal.log(event(number))
    journal.close()

    assert messages(journald.received()) == ["event 0"]
    assert [json.loads(line)["message"] for line in stderr.lines()] == [f"event {number}" for number in range(1, 30)]


def test_at_the_end_what_nobody_takes_is_counted(make: Make, journald: Journald, stderr: Stderr) -> None:
    """And the end is not held up."""
    journal = make()
    stderr.fill()
    journald.stuff()
    for number in range(30):
        journal.log(event(number))
    journal.close()

    assert journal.dropped == 30
    assert journald.received() == []


# No journald


def test_without_a_journald_stderr_has_it_and_afterwards_journald_again(
    make: Make, tmp_path: Path, stderr: Stderr
) -> None:
    """A journald may be restarted, or come later than we: each entry is somewhere, and once."""
    journal = make()
    journal.log(event(0))
    with Journald(tmp_path / "socket") as journald:
        journal.log(event(1))
        first = messages(journald.received())
    journal.log(event(2))
    with Journald(tmp_path / "socket") as journald:
        journal.log(event(3))
        second = messages(journald.received())

    assert (first, second) == (["event 1"], ["event 3"])
    assert [json.loads(line)["message"] for line in stderr.lines()] == ["event 0", "event 2"]
    assert journal.dropped == 0


def test_on_the_journals_own_stream_a_line_has_its_priority_before_it(make: Make, stderr: Stderr) -> None:
    """Where only the native socket is gone, journald reads the priority from ``<4>``."""
    make(JOURNAL_STREAM=stderr.stream).log(event(level=Level.WARNING))
    (line,) = stderr.lines()

    assert line.startswith('<4>{"time": ')


def test_with_nothing_to_write_to_entries_wait(make: Make, tmp_path: Path, stderr: Stderr) -> None:
    """Neither journald nor room on stderr: what waits goes to whichever comes first."""
    journal = make()
    stderr.fill()
    journal.log(event(1))
    journal.log(event(2))
    with Journald(tmp_path / "socket") as journald:
        journal.flush()
        received = messages(journald.received())

    assert received == ["event 1", "event 2"]
    assert journal.dropped == 0


# The other forms


@pytest.mark.parametrize("form", ["json", "console"])
def test_the_other_forms_leave_journald_alone(form: str, make: Make, journald: Journald, stderr: Stderr) -> None:
    """One line each, on stderr."""
    make(form).publish(Report(OK, (event(1), event(2))))

    assert len(stderr.lines()) == 2
    assert journald.received() == []


def test_a_reader_of_stderr_that_is_stuck_is_not_waited_for(make: Make, stderr: Stderr) -> None:
    """A container's log driver may hang: entries wait, are lost from the oldest on, and are counted."""
    journal = make("json")
    stderr.fill()
    for number in range(BACKLOG + 7):
        journal.log(event(number))
    assert journal.dropped == 7
    stderr.lines()
    received: list[str] = []
    for _ in range(20):
        journal.flush()
        received += [json.loads(line)["message"] for line in stderr.lines()]

    assert received[:-1] == [f"event {number}" for number in range(7, BACKLOG + 7)]
    assert "7 entries are lost" in received[-1]


def terminal() -> contextlib.AbstractContextManager[int]:
    """Return a terminal, as stderr."""

    @contextlib.contextmanager
    def opened() -> Iterator[int]:
        outer, inner = pty.openpty()
        tty.setraw(inner)
        try:
            yield inner
        finally:
            os.close(inner)
            os.close(outer)

    return opened()


def test_the_form_follows_from_what_stderr_is(stderr: Stderr) -> None:
    """The journal where stderr is the journal's stream, console on a terminal, JSON elsewhere."""
    with terminal() as descriptor:
        assert form_of(LogSettings(), {}, descriptor) is Form.CONSOLE
    assert form_of(LogSettings(), {}, stderr.descriptor) is Form.JSON
    assert form_of(LogSettings(), {"JOURNAL_STREAM": stderr.stream}, stderr.descriptor) is Form.JOURNAL


@pytest.mark.parametrize("stream", ["", "0:0", "8:12345", "nonsense"])
def test_an_inherited_variable_is_no_journal(stream: str, stderr: Stderr) -> None:
    """JOURNAL_STREAM counts only where it names the very stderr: a child's may have been redirected."""
    assert form_of(LogSettings(), {"JOURNAL_STREAM": stream}, stderr.descriptor) is Form.JSON


def test_a_closed_stderr_is_no_journal() -> None:
    """And nothing raises."""
    closed = os.open(os.devnull, os.O_WRONLY)
    os.close(closed)

    assert form_of(LogSettings(), {"JOURNAL_STREAM": "0:0"}, closed) is Form.JSON


@pytest.mark.parametrize("form", Form)
def test_the_form_that_is_asked_for_is_taken(form: Form, stderr: Stderr) -> None:
    """Whatever stderr is."""
    assert form_of(LogSettings(form.value), {"JOURNAL_STREAM": stderr.stream}, stderr.descriptor) is form


@pytest.mark.parametrize(
    ("environ", "coloured"),
    [
        ({}, True),
        ({"NO_COLOR": ""}, True),
        ({"NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
        ({"TERM": "xterm-256color"}, True),
    ],
    ids=str,
)
def test_a_terminal_has_colour_unless_it_is_not_wanted(environ: Mapping[str, str], coloured: bool) -> None:  # noqa: FBT001 - a column of the table
    """NO_COLOR as no-color.org has it: present and not empty."""
    outer, inner = pty.openpty()
    tty.setraw(inner)
    settings: dict[str, Any] = {"version": "1", "environ": environ, "now": lambda: NOON, "stderr": inner}
    journal = Journal(LogSettings("console"), **settings)
    journal.log(event())
    written = os.read(outer, 10_000)
    journal.close()
    os.close(inner)
    os.close(outer)

    assert (b"\x1b[" in written) is coloured


def test_a_file_has_no_colour(make: Make, stderr: Stderr) -> None:
    """Nor has anything else that is no terminal."""
    make("console").log(event())

    assert stderr.lines() == ["12:00:00  notice    stopping             event 0"]
