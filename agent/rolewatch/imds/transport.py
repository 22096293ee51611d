"""One request on the wire: `requests` without everything that could copy a secret, or wait without end.

This is the only module that receives bytes from IMDS, and it overwrites its buffers.
"""

from __future__ import annotations

import errno
import io
import logging
import re
import socket
from http.client import HTTPException, HTTPResponse
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Callable, NamedTuple

import requests
from requests.adapters import HTTPAdapter
from urllib3 import PoolManager
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from rolewatch.observation import Failure
from rolewatch.vocabulary import Phase, Reason

SIZE = 8192
"""Bytes of the buffer; an answer of IMDS is shorter."""
_UNREAD = b"content-type:"
_ZEROS = bytes(1024)


def wipe(body: bytearray) -> None:
    """Overwrite *body* with zeros. Memory that is only freed keeps its content until it is used again."""
    with memoryview(body) as view:  # needs no memory, of which there may be none left
        for start in range(0, len(body), len(_ZEROS)):
            view[start : start + len(_ZEROS)] = _ZEROS[: len(body) - start]


MAX_BODY = 64 * 1024
"""Bytes. The largest document that we read, a credentials document, has 1.6 kB (recordings of 2021)."""
_WINDOW = 8
"""Bytes of a chunked body that are read at a time: too few to be a secret. IMDS sends no chunks."""
_DIGITS = re.compile(r"[0-9]+")
"""A Content-Length (RFC 9110, section 8.6)."""
MAX_LINE = 4 * 1024
"""Bytes of one line: status line, header, chunk size or trailer. The longest line of IMDS has some 80 bytes."""
MAX_LINES = 8 * 1024
"""Bytes of all lines of one answer: the lines of 1xx answers, chunk sizes and trailers count too. IMDS sends some 300.

The bound protects the CPU: `email.parser` takes quadratic time for some headers, folded ones too (65 kB of ``;`` in a
quoted parameter of Content-Type: 1.4 s), and `http.client` takes some 6 µs for each chunk, even of one byte."""
MAX_ANSWER = MAX_BODY + 32 * 1024
"""Bytes of one whole answer, status line and headers included."""

_CONNECT_REASONS = {
    errno.ECONNREFUSED: Reason.REFUSED,
    errno.ENETUNREACH: Reason.NO_ROUTE,
    errno.EHOSTUNREACH: Reason.HOST_UNREACHABLE,
    errno.EACCES: Reason.PROHIBITED,
    errno.EINVAL: Reason.BLACKHOLE,
    errno.EPERM: Reason.FILTERED,
    errno.EADDRNOTAVAIL: Reason.NO_FREE_PORT,
    errno.EAGAIN: Reason.NO_FREE_PORT,
    errno.ETIMEDOUT: Reason.CONNECT_TIMEOUT,
}
"""What a failed connect means, by errno: measured on Linux with routes and nftables rules of each kind."""

logging.getLogger("urllib3").propagate = False
# urllib3 logs the header lines that it cannot parse. If a server omits the blank line, those are the credentials.

Monotonic = Callable[[], float]
"""A clock in seconds that never goes backwards. It is passed in: only the loop and the CLI read one."""


class Wire:
    """What happened on the wire of the current request, noted where it happens.

    urllib3 and requests wrap errors differently from version to version; the socket knows.
    """

    def __init__(self, monotonic: Monotonic) -> None:
        """Start without time: the client sets `deadline`, by the clock *monotonic*."""
        self._monotonic = monotonic
        self.deadline = 0.0
        self.start()

    def start(self) -> None:
        """Forget the last request."""
        self.connected = False
        self.begun = False
        self.closed = False
        self.received = 0
        self.error: OSError | None = None

    def left(self) -> float:
        """Return the seconds left to the poll. Raise `TimeoutError` if there are none."""
        left = self.deadline - self._monotonic()
        if left <= 0:
            raise self.note(socket.timeout("the poll's deadline has passed"))
        return left

    def note(self, error: OSError) -> OSError:
        """Keep *error* as what ended the request, and return it."""
        self.error = error
        return error

    def headers_end(self) -> None:
        """Note that status line and headers were read. Raise `ConnectionError` if the peer closed before their end.

        `http.client` treats a close like the blank line: half a 404 would be an answer.
        """
        if self.closed:
            raise self.note(ConnectionError())
        self.begun = True

    def failure(self, phase: Phase, path: str) -> Failure:
        """Return why the request failed."""
        error = self.error
        # The kernel's own ETIMEDOUT is another class than socket.timeout before Python 3.10, and has an errno.
        timed_out = isinstance(error, (socket.timeout, TimeoutError))
        number = None if error is None else error.errno
        if not self.connected:
            if timed_out and phase is Phase.DOCUMENT and self._monotonic() >= self.deadline:
                return Failure(phase, Reason.SLOW, path)  # Earlier requests used up the poll's time.
            reason = Reason.CONNECT_TIMEOUT if timed_out else _CONNECT_REASONS.get(number or 0, Reason.CONNECT_ERROR)
            return Failure(Phase.CONNECT, reason, path, errno=number)
        if timed_out:
            return Failure(phase, Reason.SLOW if self.received else Reason.NO_ANSWER, path, errno=number)
        if isinstance(error, TooLargeError):
            return Failure(phase, Reason.TOO_LARGE, path)
        if error is not None or not self.received or (self.closed and not self.begun):
            return Failure(phase, Reason.RESET, path, errno=number)
        # Nothing is wrong with the socket: the peer closed too early, or http.client did not like what it read.
        return Failure(phase, Reason.TRUNCATED if self.closed else Reason.MALFORMED, path)


class TooLargeError(OSError):
    """The peer sent more than any answer of IMDS has."""


class AnswerReader(io.BufferedIOBase):
    """Reads one answer from an unbuffered stream, as `http.client` wants it, and overwrites its buffer when closed.

    It bounds the lines before any parser gets them, and checks the poll's deadline: what is buffered needs no receive,
    so the deadline of `BoundedSocket` alone would not end the work on it.
    """

    def __init__(self, raw: io.RawIOBase, wire: Wire) -> None:
        """Read from *raw* within the deadline of *wire*, note errors there, and close *raw* in the end."""
        self._raw = raw
        self._wire = wire
        self._lines = 0
        self._buffer = bytearray(SIZE)
        self._start = self._end = 0

    def readable(self) -> bool:
        """Return True: this can be read."""
        return True

    def readline(self, size: Any = -1) -> bytes:  # noqa: ANN401 - as `io` has it
        """Return one line with its end, *size* bytes at most; empty at the end of the stream.

        `http.client` passes the lines to the e-mail parser. Its work for a ``Content-Type`` grows with the square of
        the length, so this header, which nothing here reads, is left out with the lines that continue it. It also
        treats a carriage return within a line as the end of the line; here that becomes a space. Raise `TooLargeError`
        beyond `MAX_LINE` or `MAX_LINES`, `TimeoutError` once the deadline has passed.
        """
        limit = -1 if size is None else int(size)
        line = self._line(limit)
        while line[: len(_UNREAD)].lower() == _UNREAD:
            line = self._line(limit)
            while line[:1] in (b" ", b"\t"):
                line = self._line(limit)
        end = b"\r\n" if line.endswith(b"\r\n") else b"\n" if line.endswith(b"\n") else b""
        return line[: len(line) - len(end)].replace(b"\r", b" ") + end

    def _line(self, limit: int) -> bytes:
        """Return one line as received, *limit* bytes at most unless that is negative.

        A line that the end of the stream cuts off counts as the end: ``0`` may be the first half of the chunk size
        ``0a``. Lines that `readline` leaves out count towards `MAX_LINES`.
        """
        self._wire.left()
        most = MAX_LINE + 1 if limit < 0 else min(limit, MAX_LINE + 1)
        line = bytearray()
        while not line.endswith(b"\n") and len(line) < most:
            if self._start == self._end:
                self._start, self._end = 0, self._raw.readinto(self._buffer) or 0
                if not self._end:
                    break
            newline = self._buffer.find(b"\n", self._start, self._end)
            stop = min(self._end if newline < 0 else newline + 1, self._start + most - len(line))
            line += self._buffer[self._start : stop]
            self._start = stop
        self._lines += len(line)
        if len(line) > MAX_LINE or self._lines > MAX_LINES:
            raise self._wire.note(TooLargeError())
        return bytes(line) if line.endswith(b"\n") or len(line) == most else b""

    def readinto(self, target: Any) -> int:  # noqa: ANN401 - any buffer that can be written
        """Fill *target* and return the number of bytes: fewer only at the end of the stream.

        Raise `TimeoutError` once the poll's deadline has passed.
        """
        self._wire.left()
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
        """Return *size* bytes; fewer only at the end of the stream. `http.client` reads no body with this."""
        if size is None or size < 0:
            return b"".join(iter(lambda: self.read(SIZE), b""))
        read = bytearray(size)
        count = self.readinto(read)
        return bytes(read[:count])

    def close(self) -> None:
        """Overwrite what was received, and close the stream."""
        if not self.closed:
            wipe(self._buffer)
            self._start = self._end = 0
            self._raw.close()
        super().close()


class BoundedSocket(socket.socket):
    """A connected socket that obeys the poll's deadline and a bound on what it receives."""

    wire: Wire
    patience: float

    def makefile(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - five types, by the mode; `http.client` uses one
        """Return the reader of the answer."""
        del args, kwargs
        return AnswerReader(super().makefile("rb", buffering=0), self.wire)

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        """Receive, within the poll's deadline."""
        self.settimeout(min(self.patience, self.wire.left()))
        try:
            count = super().recv_into(*args, **kwargs)
        except OSError as error:
            raise self.wire.note(error) from None
        self.wire.received += count
        self.wire.closed = count == 0
        if self.wire.received > MAX_ANSWER:
            raise self.wire.note(TooLargeError())
        return count

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        """Send, within the poll's deadline."""
        self.settimeout(min(self.patience, self.wire.left()))
        try:
            super().sendall(*args, **kwargs)
        except OSError as error:
            raise self.wire.note(error) from None


class _Response(HTTPResponse):
    """A response of `http.client` whose body has one length for every parser."""

    def begin(self) -> None:
        """Read status line and headers. Raise `HTTPException` if the length of the body is ambiguous.

        `http.client`, urllib3 and requests each accept other forms of Content-Length, and fall back to a body that
        lasts until the connection closes, so that a truncated one would seem whole. RFC 9112, section 6.3, allows to
        refuse all of these. A defect is a line that is no header, after which `email` ignores all headers.
        """
        super().begin()
        lengths: list[str] = self.msg.get_all("Content-Length", [])
        encodings: list[str] = self.msg.get_all("Transfer-Encoding", [])
        once = len(lengths) + len(encodings) <= 1 and not self.msg.defects
        digits = all(_DIGITS.fullmatch(each.strip(" \t")) for each in lengths)
        if not once or not digits or self.chunked is not bool(encodings):
            raise HTTPException


class _Connection(HTTPConnection):
    """A connection whose socket is bounded. `wire` is set on the subclass that `_Adapter` makes."""

    wire: Wire
    response_class = _Response
    debuglevel = 0
    """If somebody sets that of `http.client`'s own class, it prints what it sends: the session token."""

    def _new_conn(self) -> socket.socket:
        """Connect. This hook is the same in urllib3 1.25 to 2.x (read in 1.25.10, 1.26, 2.8)."""
        wire = self.wire
        patience = float(self.timeout) if isinstance(self.timeout, (int, float)) else 1.0
        try:
            plain = socket.create_connection((self.host.strip("[]"), self.port), min(patience, wire.left()))
        except OSError as error:
            raise wire.note(error) from None
        bounded = BoundedSocket(plain.family, plain.type, plain.proto, fileno=plain.detach())
        bounded.wire, bounded.patience = wire, patience
        wire.connected = True
        return bounded


class _Pool(HTTPConnectionPool):
    """A pool that keeps nothing: IMDS closes after every answer, and a kept connection would hide a new refusal."""

    def _put_conn(self, conn: Any) -> None:  # noqa: ANN401 - its type has another name in each urllib3
        """Close *conn* instead of keeping it (the same hook in urllib3 1.25.10, 1.26 and 2.8)."""
        if conn is not None:
            conn.close()


class _Adapter(HTTPAdapter):
    """Makes requests use `_Connection`, without retries and without a proxy."""

    def __init__(self, wire: Wire) -> None:
        self._connection: type[_Connection] = type("_WiredConnection", (_Connection,), {"wire": wire})
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Create the pool manager as requests does, with our kind of connection."""
        super().init_poolmanager(*args, **kwargs)
        pool = type("_WiredPool", (_Pool,), {"ConnectionCls": self._connection})
        manager: PoolManager = self.poolmanager
        manager.pool_classes_by_scheme = {"http": pool}

    def build_response(self, req: Any, resp: Any) -> requests.Response:  # noqa: ANN401 - requests has no types of its own
        """Create the response as requests does, without cookies: requests parses them even if no jar accepts one."""
        original = resp._original_response  # noqa: SLF001 - where requests finds them, if there is one (2.25.1, 2.34)
        for name in ("Set-Cookie", "Set-Cookie2"):
            if original and name in original.msg:
                del original.msg[name]
        return super().build_response(req, resp)


class BoundedRequests(requests.Session):
    """A session of requests that contacts IMDS only, within bounds."""

    def __init__(self, wire: Wire) -> None:
        """Note what happens on *wire*, and obey its deadline. Sends nothing yet."""
        super().__init__()
        self.trust_env = False
        self.mount("http://", _Adapter(wire))
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        self.headers.clear()
        self.headers.update({"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "rolewatch"})

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return None: no answer is a redirect. For one, requests would decode the body even without following it."""


class Body(NamedTuple):
    """The body of one answer."""

    content: bytearray
    """As received, at most a byte longer than `MAX_BODY`. It may be a secret."""
    reason: Reason | None
    """Why *content* is not a whole body of IMDS; None if it is."""


def read_body(response: requests.Response) -> Body:
    """Return the body of *response*, in memory that can be wiped.

    It is read below urllib3, which would copy it, and create a decoder for each of the encodings in a header. If a
    chunk is truncated, the error of `http.client` holds a copy of what this call has read: so each call reads only a
    few bytes of a chunked body.
    """
    length: int | None = response.raw.length_remaining  # as `http.client` has it, after `_Response`
    stream: Any = response.raw._fp  # noqa: SLF001 - the answer of `http.client`, in urllib3 1.25 to 2.8
    body = bytearray(MAX_BODY + 1 if length is None else min(length, MAX_BODY + 1))
    count = 0
    window = _WINDOW if getattr(stream, "chunked", False) else len(body)
    try:
        with memoryview(body) as room:
            while count < len(room) and (read := stream.readinto(room[count : count + window])):
                count += read
    except BaseException:
        wipe(body)
        raise
    del body[count:]
    if count > MAX_BODY:
        return Body(body, Reason.TOO_LARGE)
    return Body(body, Reason.TRUNCATED if length is not None and count < length else None)
