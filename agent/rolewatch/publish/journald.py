"""Where entries go: journald's native protocol, or standard error. Neither ever blocks."""

from __future__ import annotations

import array
import errno
import fcntl
import os
import select
import socket
import struct
from collections.abc import Iterator
from enum import Enum

from rolewatch.publish.journal_entry import Entry

JOURNAL_SOCKET = "/run/systemd/journal/socket"
IDENTIFIER = "rolewatch"
"""The entries' SYSLOG_IDENTIFIER: what ``journalctl -t`` selects by, whatever the process is called."""
PREFIX = "ROLEWATCH_"

_TOO_LARGE = frozenset({errno.EMSGSIZE, errno.ENOBUFS})
_LATER = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ETOOMANYREFS})
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
"""journald accepts a file only where it can no longer change under its hands."""


class Sent(Enum):
    """What became of a datagram."""

    YES = "yes"
    LATER = "later"
    """journald is there and does not take it now: its queue is full, or it is stuck."""
    NO_JOURNAL = "no journal"
    """Nobody listens, or we may not speak to who does."""


class NativeSocket:
    """The way to journald. Holds no connection: journald may come and go."""

    def __init__(self, path: str = JOURNAL_SOCKET) -> None:
        """Prepare to send to the socket at *path*; whether anybody listens there shows at each `send`."""
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)

    def send(self, payload: bytes) -> Sent:
        """Send one entry, as `encode` made it, and say what became of it. Never block, never raise `OSError`."""
        try:
            self._send(payload)
        except OSError as error:
            return Sent.LATER if error.errno in _LATER else Sent.NO_JOURNAL
        return Sent.YES

    def _send(self, payload: bytes) -> None:
        try:
            self._socket.sendto(payload, self._path)
        except OSError as error:
            if error.errno not in _TOO_LARGE:
                raise
            self._send_file(payload)

    def _send_file(self, payload: bytes) -> None:
        """Send what is too large for a datagram as a sealed file in memory."""
        descriptor = os.memfd_create(IDENTIFIER, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            rest = memoryview(payload)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))
            self._socket.sendmsg([], [rights], 0, self._path)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()


def fields(entry: Entry) -> Iterator[tuple[str, str]]:
    """Yield the names and values of *entry*'s fields, as the journal keeps them."""
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
    """Return *entry* as journald takes it."""
    return b"".join(_field(name, value) for name, value in fields(entry))


def _field(name: str, value: str) -> bytes:
    """Return one field; a value of several lines carries its length, so that it cannot pose as another field."""
    data = value.encode("utf-8", "backslashreplace")
    if b"\n" in data:
        return b"%s\n%s%s\n" % (name.encode(), struct.pack("<Q", len(data)), data)
    return b"%s=%s\n" % (name.encode(), data)


_PIECE = select.PIPE_BUF


class LineWriter:
    """Writes whole lines to a descriptor, as far as they fit just now."""

    def __init__(self, descriptor: int, encoding: str = "utf-8") -> None:
        """Write to *descriptor*, which stays open. A character that *encoding* does not have is escaped."""
        self.error: OSError | None = None
        """Why the last `write` or `flush` failed; None where it did not, or there was no room."""
        self._descriptor = descriptor
        self._encoding = encoding
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._rest = b""

    def write(self, line: str) -> bool:
        """Write *line* and say whether it was taken. Never block, never raise `OSError`.

        A line that was taken in part counts as taken: its rest is written before anything else, at the next `write` or
        `flush`.
        """
        if not self.flush():
            return False
        whole = f"{line}\n".encode(self._encoding, "backslashreplace")
        self._rest = whole
        if self.flush() or self._rest != whole:
            return True
        self._rest = b""
        return False

    def flush(self) -> bool:
        """Write what is left of a line that was taken in part; return whether nothing is left."""
        self.error = None
        try:
            while self._rest and self._has_room():
                self._rest = self._rest[os.write(self._descriptor, self._rest[:_PIECE]) :]
        except BlockingIOError:  # somebody made the open file non-blocking
            return False
        except OSError as error:
            self.error = error
            return False
        return not self._rest

    def _has_room(self) -> bool:
        return any(events == select.POLLOUT for _, events in self._poll.poll(0))
