"""One request on the wire: `requests` with everything off that would carry a secret elsewhere or wait without end.

The buffered reader overwrites what it read.
"""

from __future__ import annotations

import errno
import io
import logging
import re
import socket
from http.client import HTTPException, HTTPResponse, LineTooLong
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
        end of it. So this header, which nothing here reads, is left out with the lines that continue it, and such a
        carriage return is made a blank.
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


MAX_BODY = 64 * 1024
"""Bytes. The largest document that we read, a credentials document, has 1.6 kB (recordings of 2021)."""
_WINDOW = 8
"""Bytes of a body in chunks that are read at a time: so little of a secret is none. IMDS sends no chunks."""
_DIGITS = re.compile(r"[0-9]+")
"""A Content-Length (RFC 9110, section 8.6)."""
MAX_LINE = 4 * 1024
"""Bytes of one line: status line, header, chunk size or trailer. The longest line of IMDS has some 80 bytes."""
MAX_LINES = 8 * 1024
"""Bytes of all lines of one answer: the lines of 1xx answers, chunk sizes and trailers count too. IMDS sends some 300.

The bound protects the CPU: `email.parser` takes quadratic time for some headers, folded ones too (65 kB of ``;`` in a
quoted parameter of Content-Type: 1.4 s), and `http.client` takes some 6 µs for each chunk, be it of one byte."""
MAX_ANSWER = MAX_BODY + 32 * 1024
"""Bytes of one whole answer, status line and headers included."""

_CONNECT_REASONS = {
    errno.ECONNREFUSED: Reason.REFUSED,
    errno.ENETUNREACH: Reason.NO_ROUTE,
    errno.EHOSTUNREACH: Reason.HOST_UNREACHABLE,
    errno.EACCES: Reason.PROHIBITED,
    errno.EINVAL: Reason.BLACKHOLE,
    errno.EPERM: Reason.FILTERED,
    errno.ETIMEDOUT: Reason.CONNECT_TIMEOUT,
}
"""What a failed connect means, by errno: measured on Linux with routes and nftables rules of each kind."""

logging.getLogger("urllib3").propagate = False
# urllib3 logs the header lines that it cannot parse. Where a server loses the blank line, those are the credentials.

Monotonic = Callable[[], float]
"""A clock in seconds that never goes backwards, handed in: only the loop and the CLI read one."""


class Wire:
    """What happened on the wire of the current request, noted where it happens.

    urllib3 and requests wrap errors differently from version to version; the socket knows.
    """

    def __init__(self, monotonic: Monotonic) -> None:
        """Have no time left until somebody sets `deadline`, by the clock *monotonic*."""
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
        """Return the seconds that the poll still has. Raise `TimeoutError` where there are none."""
        left = self.deadline - self._monotonic()
        if left <= 0:
            raise self.note(socket.timeout("the poll's deadline has passed"))
        return left

    def note(self, error: OSError) -> OSError:
        """Keep *error* as what ended the request, and return it."""
        self.error = error
        return error

    def headers_end(self) -> None:
        """Note that status line and headers were read. Raise `ConnectionError` where it was the peer that ended them.

        `http.client` takes a close for the blank line: half a 404 would be an answer.
        """
        if self.closed:
            raise self.note(ConnectionError())
        self.begun = True

    def failure(self, phase: Phase, path: str) -> Failure:
        """Say how the request ended, which did not end well."""
        error = self.error
        # The kernel's own ETIMEDOUT is another class than socket.timeout before Python 3.10, and has an errno.
        timed_out = isinstance(error, (socket.timeout, TimeoutError))
        number = None if error is None else error.errno
        if not self.connected:
            if timed_out and phase is Phase.DOCUMENT and self._monotonic() >= self.deadline:
                return Failure(phase, Reason.SLOW, path)  # IMDS had used up the poll's time before.
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


class AnswerReader(Reader):
    """Reader of one answer that bounds its lines before any parser gets them, and checks the poll's deadline.

    Buffered bytes need no receive, so the deadline of `BoundedSocket` alone would not end the work on them.
    """

    def __init__(self, raw: io.RawIOBase, wire: Wire) -> None:
        """Read from *raw*, within the deadline of *wire*. An error is noted there."""
        super().__init__(raw)
        self._wire = wire
        self._lines = 0

    def _line(self, limit: int) -> bytes:
        """Return one line as it came. Raise `TooLargeError` if it or all lines together are too long.

        Lines that `readline` leaves out count too. A line that the end of the stream cuts off is no line: ``0`` may be
        the first half of the chunk size ``0a``.
        """
        self._wire.left()
        bounded = MAX_LINE + 1 if limit < 0 else min(limit, MAX_LINE + 1)
        line = super()._line(bounded)
        self._lines += len(line)
        if len(line) > MAX_LINE or self._lines > MAX_LINES:
            raise self._wire.note(TooLargeError())
        return line if line.endswith(b"\n") or len(line) == bounded else b""

    def readinto(self, target: Any) -> int:  # noqa: ANN401 - any buffer that can be written
        """Fill *target* as `Reader.readinto` does. Raise `TimeoutError` once the poll's deadline has passed."""
        self._wire.left()
        return super().readinto(target)


class BoundedSocket(socket.socket):
    """A connected socket that obeys the poll's deadline and a bound on what it receives."""

    wire: Wire
    patience: float

    def makefile(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - five types, by the mode; `http.client` asks for one
        """Return a reader that leaves nothing behind and bounds the lines of the answer."""
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
    """A response of `http.client` that says in one way how long its body is."""

    def begin(self) -> None:
        """Read status line and headers. Raise `HTTPException` if parsers read other lengths of the body from them.

        `http.client`, urllib3 and requests each accept other forms of Content-Length, and fall back to a body that
        lasts until the connection closes: one that is cut off would be whole. RFC 9112, section 6.3, allows to refuse
        all of these. A defect is a line that is no header, behind which `email` ignores all headers.
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
    """Somebody may set that of `http.client`'s own class, which then prints what it sends: the session token."""

    def _new_conn(self) -> socket.socket:
        """Connect. The one hook that urllib3 1.25 to 2.x have in common (read in 1.25.10, 1.26, 2.8)."""
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
    """Let requests use `_Connection`, never a retry of its own, never a proxy."""

    def __init__(self, wire: Wire) -> None:
        self._connection: type[_Connection] = type("_WiredConnection", (_Connection,), {"wire": wire})
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pool manager as requests does, with our kind of connection."""
        super().init_poolmanager(*args, **kwargs)
        pool = type("_WiredPool", (_Pool,), {"ConnectionCls": self._connection})
        manager: PoolManager = self.poolmanager
        manager.pool_classes_by_scheme = {"http": pool}

    def build_response(self, req: Any, resp: Any) -> requests.Response:  # noqa: ANN401 - requests has no types of its own
        """Make the response as requests does, but for the cookies: it parses them even where no jar takes one."""
        original = resp._original_response  # noqa: SLF001 - where requests looks for them, if there is one (2.25.1, 2.34)
        for name in ("Set-Cookie", "Set-Cookie2"):
            if original and name in original.msg:
                del original.msg[name]
        return super().build_response(req, resp)


class BoundedRequests(requests.Session):
    """A session of requests that goes to IMDS and nowhere else, within bounds."""

    def __init__(self, wire: Wire) -> None:
        """Note what happens on *wire*, and keep to its deadline. Nothing is sent yet."""
        super().__init__()
        self.trust_env = False
        self.mount("http://", _Adapter(wire))
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        self.headers.clear()
        self.headers.update({"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "rolewatch"})

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Say that no answer is a redirect. Asked not to follow one, requests reads its body nevertheless, unpacked."""


class Body(NamedTuple):
    """The body of one answer."""

    content: bytearray
    """As it came, at most a byte longer than `MAX_BODY`. It may be a secret."""
    reason: Reason | None
    """Why *content* is not the whole of a body that IMDS could have sent. None if it is the whole."""


def read_body(response: requests.Response) -> Body:
    """Return the body of *response*, in memory that can be wiped.

    It is read below urllib3, which would make copies of it, and a decoder for each encoding named, be it ten thousand.
    Of chunks that are cut off `http.client` makes an error with a copy of what it has read in this call: so it reads
    but a few bytes in each.
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
