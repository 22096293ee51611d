"""Standard error is written, and never waited for."""

from __future__ import annotations

import contextlib
import errno
import os
import pty
import select
import socket
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from rolewatch.publish.journald import LineWriter

Pair = tuple[int, int]
"""What to read from, and what to write to."""


@contextlib.contextmanager
def pair(kind: str) -> Iterator[Pair]:
    """Yield the two ends of a pipe, a socket or a terminal."""
    if kind == "pipe":
        ends = os.pipe()
    elif kind == "terminal":
        ends = pty.openpty()
        tty.setraw(ends[1])
    else:
        reader, writer = socket.socketpair()
        ends = (reader.detach(), writer.detach())
    try:
        yield ends
    finally:
        for end in ends:
            with contextlib.suppress(OSError):
                os.close(end)


def read(descriptor: int) -> str:
    """Return all that can be read without waiting."""
    data = b""
    while select.select([descriptor], [], [], 0)[0]:
        piece = os.read(descriptor, 1 << 20)
        if not piece:
            break
        data += piece
    return data.decode()


KINDS = pytest.mark.parametrize("kind", ["pipe", "socket", "terminal"])


@KINDS
def test_a_line_arrives(kind: str) -> None:
    """Whole, and with its end."""
    with pair(kind) as (reader, descriptor):
        assert LineWriter(descriptor).write("It happened.")
        assert read(reader) == "It happened.\n"


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_nobody_is_waited_for(kind: str) -> None:
    """Where nobody reads, a line is refused at once; what was taken arrives whole and in order, and then it goes on."""
    with pair(kind) as (reader, descriptor):
        writer = LineWriter(descriptor)
        taken = 0
        while writer.write(f"{taken} " + "x" * 1000):
            taken += 1
        refused = [writer.write("lost"), writer.write("lost")]
        lines = read(reader).splitlines()
        assert writer.write("again")
        lines += read(reader).splitlines()

    assert taken > 10
    assert refused == [False, False]
    assert [line.split()[0] for line in lines] == [*map(str, range(taken)), "again"]


def test_a_character_that_the_encoding_does_not_have_is_escaped() -> None:
    """A line is never lost for its characters."""
    with pair("pipe") as (reader, descriptor):
        assert LineWriter(descriptor, "ascii").write("── ok")
        assert read(reader) == "\\u2500\\u2500 ok\n"


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_line_that_fits_only_in_part_is_ended_before_the_next(kind: str) -> None:
    """It counts as taken; the rest of it follows when there is room, and no other line gets in between."""
    with pair(kind) as (reader, descriptor):
        writer = LineWriter(descriptor)
        long = "x" * 10_000_000
        assert writer.write(long)
        assert not writer.write("too early")
        received = ""
        while not writer.flush():
            received += read(reader)
        assert writer.write("after")
        received += read(reader)

    assert received.splitlines() == [long, "after"]


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_reader_that_has_gone_is_no_reason_to_raise(kind: str) -> None:
    """No SIGPIPE, no EPIPE: the line was not taken."""
    with pair(kind) as (reader, descriptor):
        os.close(reader)
        assert not LineWriter(descriptor).write("It happened.")


def test_a_closed_descriptor_is_no_reason_to_raise() -> None:
    """A daemon may be started without standard error."""
    with pair("pipe") as (_, descriptor):
        writer = LineWriter(descriptor)
        os.close(descriptor)
        assert not writer.write("It happened.")


def test_a_descriptor_that_cannot_be_written_is_no_reason_to_raise() -> None:
    """Poll finds room in it, and the write fails."""
    descriptor = os.open(os.devnull, os.O_RDONLY)
    writer = LineWriter(descriptor)
    taken = writer.write("It happened.")
    os.close(descriptor)

    assert not taken
    assert writer.error is not None
    assert writer.error.errno == errno.EBADF


def test_a_file_takes_everything(tmp_path: Path) -> None:
    """``2>file`` works as ever."""
    path = tmp_path / "log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    writer = LineWriter(descriptor)
    assert all(writer.write("x" * 100_000) for _ in range(10))
    os.close(descriptor)

    assert path.stat().st_size == 10 * 100_001


def test_the_open_file_is_left_as_it_is() -> None:
    """It is shared with the shell: nobody else's writes become non-blocking."""
    with pair("pipe") as (_, descriptor):
        LineWriter(descriptor).write("It happened.")
        assert os.get_blocking(descriptor)
