"""Where entries are written: journald's socket, or standard error. Neither ever blocks."""

from __future__ import annotations

import array
import errno
import fcntl
import os
import select
import socket
from enum import Enum

JOURNAL_SOCKET = "/run/systemd/journal/socket"
IDENTIFIER = "rolewatch"
"""The entries' SYSLOG_IDENTIFIER: what ``journalctl -t`` selects by, whatever the process is called."""
PREFIX = "ROLEWATCH_"

_TOO_LARGE = frozenset({errno.EMSGSIZE, errno.ENOBUFS})
_LATER = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ETOOMANYREFS})
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
"""journald accepts a file only if it can no longer change."""


class Sent(Enum):
    """The result of sending a datagram."""

    YES = "yes"
    LATER = "later"
    """journald does not accept it now: its queue is full, or it is stuck."""
    NO_JOURNAL = "no journal"
    """Nothing listens at the socket, or it may not be used."""


class NativeSocket:
    """Sends entries to journald. It has no connection: journald may stop and start."""

    def __init__(self, path: str = JOURNAL_SOCKET) -> None:
        """Prepare to send to the socket at *path*, which may not exist."""
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)

    def send(self, payload: bytes) -> Sent:
        """Send one entry in the native format, and return the result. Never block, never raise `OSError`."""
        try:
            try:
                self._socket.sendto(payload, self._path)
            except OSError as error:
                if error.errno not in _TOO_LARGE:
                    raise
                self._send_file(payload)
        except OSError as error:
            return Sent.LATER if error.errno in _LATER else Sent.NO_JOURNAL
        return Sent.YES

    def _send_file(self, payload: bytes) -> None:
        """Send an entry that is too large for a datagram as a sealed file in memory."""
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
        """Close the socket."""
        self._socket.close()


_PIECE = select.PIPE_BUF


class LineWriter:
    """Writes whole lines to a descriptor without blocking."""

    def __init__(self, descriptor: int, encoding: str = "utf-8") -> None:
        """Write to *descriptor*, and never close it. Characters that *encoding* lacks are escaped."""
        self.error: OSError | None = None
        """Why the last `write` or `flush` failed; None if it did not, or if there was no room."""
        self._descriptor = descriptor
        self._encoding = encoding
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._rest = b""

    def write(self, line: str) -> bool:
        """Write *line* and return whether it was accepted. Never block, never raise `OSError`.

        A line that was written in part counts as accepted: the next `write` or `flush` writes its rest first.
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
        """Write the rest of a line that was written in part; return whether nothing is left."""
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
