"""journald's native protocol, against a socket in the place of journald."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publish.journald import Journald, parse
from rolewatch.faults import FAULTS, Fault
from rolewatch.publish.journal import Entry, encode
from rolewatch.publish.journald import NativeSocket, Sent
from rolewatch.vocabulary import EventKind, Level

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=timezone.utc)


def entry(message: str = "It happened.", **facts: str) -> Entry:
    """Return an entry that is not written down anywhere yet, and whose values nobody has cleaned."""
    return Entry(NOON, Level.NOTICE, EventKind.STARTED, message, facts)


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[Journald]:
    """Yield a journald that takes what it is sent."""
    with Journald(tmp_path / "socket") as running:
        yield running


@pytest.fixture
def native(journald: Journald) -> Iterator[NativeSocket]:
    """Yield the way to it."""
    there = NativeSocket(str(journald.path))
    yield there
    there.close()


def test_an_entry_has_the_fields_that_journalctl_knows() -> None:
    """MESSAGE, MESSAGE_ID, PRIORITY, SYSLOG_IDENTIFIER, DOCUMENTATION, ERRNO, and our own under our prefix."""
    fault = FAULTS[Fault.IMDS_UNREACHABLE]
    entry = Entry(
        NOON,
        Level.WARNING,
        EventKind.FAULT_RAISED,
        "IMDS is out of reach.",
        {"reason": "refused", "errno": 111, "age_seconds": 1.5},
        fault.fault,
        fault.message_id,
        fault.page,
    )

    assert parse(encode(entry)) == {
        "MESSAGE": "IMDS is out of reach.",
        "MESSAGE_ID": fault.message_id,
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "rolewatch",
        "DOCUMENTATION": fault.page,
        "ERRNO": "111",
        "ROLEWATCH_EVENT": "fault_raised",
        "ROLEWATCH_FAULT": "imds_unreachable",
        "ROLEWATCH_REASON": "refused",
        "ROLEWATCH_ERRNO": "111",
        "ROLEWATCH_AGE_SECONDS": "1.5",
    }


def test_the_bytes_are_those_of_the_protocol() -> None:
    """A value on one line follows an equals sign; one of several lines has its length before it, little-endian."""
    assert encode(entry("a=b", problem="one\ntwo")) == (
        b"MESSAGE=a=b\nPRIORITY=5\nSYSLOG_IDENTIFIER=rolewatch\nROLEWATCH_EVENT=started\n"
        b"ROLEWATCH_PROBLEM\n\x07\x00\x00\x00\x00\x00\x00\x00one\ntwo\n"
    )


@given(message=st.text(), problem=st.text())
def test_no_value_can_pose_as_another_field(message: str, problem: str) -> None:
    """Whatever is in a value, newlines and lone surrogates too, the fields are those of the entry and no others."""
    fields = parse(encode(entry(message, problem=problem)))

    assert set(fields) == {"MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "ROLEWATCH_EVENT", "ROLEWATCH_PROBLEM"}
    assert fields["MESSAGE"] == message.encode("utf-8", "backslashreplace").decode()
    assert fields["ROLEWATCH_PROBLEM"] == problem.encode("utf-8", "backslashreplace").decode()


def test_an_entry_arrives(journald: Journald, native: NativeSocket) -> None:
    """One entry is one datagram."""
    assert native.send(encode(entry())) is Sent.YES
    assert [fields["MESSAGE"] for fields in journald.received()] == ["It happened."]
    assert journald.files == 0


def test_half_a_megabyte_arrives_as_a_sealed_file(journald: Journald, native: NativeSocket) -> None:
    """What the kernel takes for no datagram goes as a file in memory that nobody can change any more."""
    large = "line\n" * 100_000
    assert native.send(encode(entry(problem=large))) is Sent.YES
    assert [fields["ROLEWATCH_PROBLEM"] for fields in journald.received()] == [large]
    assert journald.files == 1


def test_a_stuck_journald_is_distinguished_from_none(journald: Journald, native: NativeSocket) -> None:
    """A full queue says "later", at once, for datagrams and for files."""
    journald.stuff()

    assert native.send(encode(entry())) is Sent.LATER
    assert native.send(encode(entry("x" * 1_000_000))) is Sent.LATER
    assert journald.received() == []
    assert native.send(encode(entry())) is Sent.YES


@pytest.mark.parametrize("kind", ["nothing there", "a directory missing", "nobody listens", "not a socket"])
def test_no_journald_is_said(kind: str, tmp_path: Path) -> None:
    """Whatever there is instead of journald, nothing raises."""
    path = tmp_path / "socket"
    if kind == "a directory missing":
        path = tmp_path / "journal" / "socket"
    elif kind == "nobody listens":
        journald = Journald(tmp_path / "other")
        path.symlink_to(journald.path)
        journald._socket.close()  # noqa: SLF001 - the socket's file stays, as after a crash
    elif kind == "not a socket":
        path.write_text("")
    native = NativeSocket(str(path))
    sent = native.send(encode(entry()))
    native.close()

    assert sent is Sent.NO_JOURNAL


def test_a_path_that_is_too_long_is_no_journald(tmp_path: Path) -> None:
    """A path that no socket can have is no reason to raise, either."""
    native = NativeSocket(str(tmp_path / ("x" * 200)))
    sent = native.send(encode(entry()))
    native.close()

    assert sent is Sent.NO_JOURNAL
