"""A buffered reader that leaves nothing of what it read behind.

`io.BufferedReader` frees its buffer as it is, and gives `bytes`, which nobody can overwrite: what IMDS answered would
stay in the process's memory until something else happens to need the place. Here the buffer is ours, and is overwritten
when the reader is closed; a body goes past it, into memory of the caller's.
"""

from __future__ import annotations

import io
from http.client import LineTooLong
from typing import Any

SIZE = 8192
"""Bytes of the buffer: an answer of IMDS comes whole."""
LONGEST_LINE = 8192
"""Bytes of a status line, a header line or the line before a chunk. IMDS's have 100."""
_UNREAD = b"content-type:"
_ZEROS = bytes(1024)


def wipe(body: bytearray) -> None:
    """Overwrite *body*: freed memory is not, and would be found in it until it is needed again."""
    with memoryview(body) as view:  # takes no memory, for it may be that there is none
        for start in range(0, len(body), len(_ZEROS)):
            view[start : start + len(_ZEROS)] = _ZEROS[: len(body) - start]


class Reader(io.BufferedIOBase):
    """Reads from an unbuffered stream, as `http.client` wants it."""

    def __init__(self, raw: io.RawIOBase) -> None:
        """Read from *raw*, and close it in the end."""
        self._raw = raw
        self._buffer = bytearray(SIZE)
        self._start = self._end = 0

    def readable(self) -> bool:
        """Say that this can be read."""
        return True

    def readline(self, size: Any = -1) -> bytes:  # noqa: ANN401 - as `io` has it
        """Return one line with its end, of *size* bytes at most; less at the end of the stream.

        Raise `LineTooLong` beyond `LONGEST_LINE`. `http.client` hands the lines to the parser of e-mail, whose work for
        a ``Content-Type`` grows with the square of its length, and which takes a carriage return within a line for the
        end of it. So this header, which nothing here reads, is left out, and such a carriage return is made a blank.
        """
        limit = -1 if size is None else int(size)
        line = self._line(limit)
        while line[: len(_UNREAD)].lower() == _UNREAD:
            line = self._line(limit)
        end = b"\r\n" if line.endswith(b"\r\n") else b"\n" if line.endswith(b"\n") else b""
        return line[: len(line) - len(end)].replace(b"\r", b" ") + end

    def _line(self, limit: int) -> bytes:
        """Return one line as it came, of *limit* bytes at most unless that is negative."""
        line = bytearray()
        while not line.endswith(b"\n") and len(line) != limit and self._filled():
            newline = self._buffer.find(b"\n", self._start, self._end)
            stop = self._end if newline < 0 else newline + 1
            if limit >= 0:
                stop = min(stop, self._start + limit - len(line))
            line += self._buffer[self._start : stop]
            self._start = stop
            if len(line) > LONGEST_LINE:
                raise LineTooLong("line")
        return bytes(line)

    def readinto(self, target: Any) -> int:  # noqa: ANN401 - any buffer that can be written
        """Fill *target*, and return how many bytes that took: fewer only at the end of the stream."""
        count = 0
        with memoryview(target) as wanted, memoryview(self._buffer) as buffer:
            while count < len(wanted):
                if self._start == self._end:
                    received = self._raw.readinto(wanted[count:]) or 0
                    if not received:
                        break
                    count += received
                    continue
                taken = min(len(wanted) - count, self._end - self._start)
                wanted[count : count + taken] = buffer[self._start : self._start + taken]
                self._start += taken
                count += taken
        return count

    def read(self, size: Any = -1) -> bytes:  # noqa: ANN401 - as `io` has it
        """Return *size* bytes; fewer only at the end of the stream. Nothing that is secret goes this way."""
        if size is None or size < 0:
            return b"".join(iter(lambda: self.read(SIZE), b""))
        read = bytearray(size)
        count = self.readinto(read)
        return bytes(read[:count])

    def close(self) -> None:
        """Overwrite what was read, and close the stream."""
        if not self.closed:
            wipe(self._buffer)
            self._start = self._end = 0
            self._raw.close()
        super().close()

    def _filled(self) -> bool:
        """Receive where nothing is left. Say whether there is anything now."""
        if self._start == self._end:
            self._start = 0
            self._end = self._raw.readinto(self._buffer) or 0
        return self._start < self._end
