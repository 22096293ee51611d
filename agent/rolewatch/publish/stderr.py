"""Standard error, written without ever waiting for who reads it.

`O_NONBLOCK` is not for us to set: it belongs to the open file, which the shell and our siblings share. So the kernel is
asked first whether there is room. A pipe that says so takes `PIPE_BUF` bytes at once (pipe(7), poll(2)), and a stream
socket says so only while most of its buffer is free; hence pieces of that size. What could still make us wait is
another process that fills the very same pipe between the question and the write.
"""

from __future__ import annotations

import os
import select

_PIECE = select.PIPE_BUF


class LineWriter:
    """Writes whole lines to a descriptor, as far as they fit just now."""

    def __init__(self, descriptor: int) -> None:
        """Write to *descriptor*, which stays open."""
        self._descriptor = descriptor
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
        whole = line.encode("utf-8", "backslashreplace") + b"\n"
        self._rest = whole
        if self.flush() or self._rest != whole:
            return True
        self._rest = b""
        return False

    def flush(self) -> bool:
        """Write what is left of a line that was taken in part; return whether nothing is left."""
        try:
            while self._rest and self._has_room():
                self._rest = self._rest[os.write(self._descriptor, self._rest[:_PIECE]) :]
        except OSError:
            return False
        return not self._rest

    def _has_room(self) -> bool:
        return any(events == select.POLLOUT for _, events in self._poll.poll(0))
