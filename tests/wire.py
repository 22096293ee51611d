"""A scripted server: the test decides each byte that it sends, when, and how it closes the connection.

An HTTP library cannot misbehave like this. Each connection plays a script: a sequence of steps, which are bytes to
send, an event to wait for, or one of `AT_ONCE`, `RESET`, `HOLD`, `Pause` and `Drip`. A script reads the
request first, unless it begins with `AT_ONCE`. A script that ends closes the connection (FIN).
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Callable, Union

TOKEN = "AQAEAExampleSessionTokenForTestsOnlyAAAAAAAAAAAAAAAAAA=="  # noqa: S105 - as long as a real one, and none
DATE = "Mon, 23 Nov 2026 17:31:25 GMT"
TOKEN_PATH = "/latest/api/token"  # noqa: S105 - a path
INFO_PATH = "/latest/meta-data/iam/info"
ROLES_PATH = "/latest/meta-data/iam/security-credentials/"


class Act(Enum):
    """A step that is not bytes."""

    AT_ONCE = "do not wait for the request"
    RESET = "send RST instead of FIN"
    HOLD = "stay connected and silent until the peer hangs up"


AT_ONCE, RESET, HOLD = Act.AT_ONCE, Act.RESET, Act.HOLD


@dataclass(frozen=True)
class Pause:
    """Send nothing for *seconds*."""

    seconds: float


@dataclass(frozen=True)
class Drip:
    """Send one byte every *every* seconds, until the peer closes the connection."""

    data: bytes
    every: float


Step = Union[bytes, Act, Pause, Drip, threading.Event]
Script = Sequence[Step]


@dataclass(frozen=True)
class Request:
    """One request, as received."""

    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    raw: bytes = field(repr=False)


Play = Callable[[Request], Script]


class Wire:
    """A server on loopback with a script, or a function from request to script, per connection; the last repeats."""

    def __init__(self, *scripts: Script | Play, host: str = "127.0.0.1") -> None:
        """Listen on a free port of *host*."""
        self._scripts = scripts
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._open: dict[int, socket.socket] = {}
        self.connections = 0
        self.hung_up = threading.Event()
        """Set when this side has closed a connection."""
        self.requests: list[Request] = []
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        self._listener.bind((host, 0))
        self._listener.listen(64)
        self.port: int = self._listener.getsockname()[1]
        self.endpoint = f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def __enter__(self) -> Wire:
        """Accept connections from now on."""
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        """Close all connections, and wait for the threads."""
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open.values():
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    @property
    def seen(self) -> list[tuple[str, str]]:
        """Method and path of each request."""
        return [(request.method, request.path) for request in self.requests]

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        thread.start()
        self._threads = [*(other for other in self._threads if other.is_alive()), thread]

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                connection = self._listener.accept()[0]
            except OSError:
                return
            number, self.connections = self.connections, self.connections + 1
            with self._lock:
                self._open[number] = connection
            self._start(self._serve, number, connection)

    def _serve(self, number: int, connection: socket.socket) -> None:
        script = self._scripts[min(number, len(self._scripts) - 1)]
        try:
            self._play(connection, script)
        except OSError:
            pass  # The peer closed the connection first, as many tests expect.
        finally:
            with self._lock:
                del self._open[number]
            connection.close()
            self.hung_up.set()

    def _play(self, connection: socket.socket, script: Script | Play) -> None:
        steps = script if isinstance(script, Sequence) else ()
        if AT_ONCE not in steps:
            request = self._read(connection)
            if request is None:
                return
            if not isinstance(script, Sequence):
                steps = script(request)
        for step in steps:
            self._take(connection, step)

    def _take(self, connection: socket.socket, step: Step) -> None:
        if isinstance(step, bytes):
            connection.sendall(step)
        elif isinstance(step, Pause):
            self._stopping.wait(step.seconds)
        elif isinstance(step, threading.Event):
            step.wait(10.0)
        elif isinstance(step, Drip):
            for number in range(len(step.data)):
                connection.sendall(step.data[number : number + 1])
                if self._stopping.wait(step.every):
                    return
        elif step is RESET:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif step is HOLD:
            while connection.recv(4096):
                pass

    def _read(self, connection: socket.socket) -> Request | None:
        """Read one request, and note it. None where the peer hung up instead."""
        raw = b""
        while b"\r\n\r\n" not in raw:
            more = connection.recv(65536)
            if not more:
                return None
            raw += more
        lines = raw.decode("latin-1").split("\r\n")
        method, path, _ = lines[0].split(" ")
        pairs = (line.split(":", 1) for line in lines[1:] if line)
        request = Request(method, path, {name.lower(): value.strip() for name, value in pairs}, raw)
        self.requests.append(request)
        return request


def answer(
    body: bytes | str = b"",
    status: str = "200 OK",
    *,
    headers: Mapping[str, str] = {},
    length: int | None = None,
) -> bytes:
    """Return one whole answer as IMDS gives it. *length* is what Content-Length claims, where that is not the truth."""
    content = body.encode() if isinstance(body, str) else body
    fields = {
        "Content-Type": "text/plain",
        "Accept-Ranges": "none",
        "Content-Length": str(len(content) if length is None else length),
        "Date": DATE,
        "Server": "EC2ws",
        "Connection": "close",
        **headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode("latin-1") + content


EC2_404 = {"Content-Type": "text/html", "X-aws-ec2-metadata-token-ttl-seconds": "60"}
NOT_FOUND = answer("<html><h1>404 - Not Found</h1></html>\n", "404 Not Found", headers=EC2_404)
GRANT = answer(TOKEN, headers={"X-aws-ec2-metadata-token-ttl-seconds": "60"})
"""The answer to the PUT."""


def imds(documents: Mapping[str, bytes | Script], *, token: bytes | Script = GRANT) -> Play:
    """Play an IMDS with *documents* (by path below the root): whole answers, or scripts. 404 for anything else.

    It answers a GET without a token, too: a fallback to IMDSv1 is not stopped here, and is seen in `requests`.
    """

    def play(request: Request) -> Script:
        what = token if request.path == TOKEN_PATH else documents.get(request.path, NOT_FOUND)
        return [what] if isinstance(what, bytes) else what

    return play


@contextlib.contextmanager
def not_listening() -> Iterator[str]:
    """Yield an endpoint where nothing listens: bound, and never listening, so that no process can take the port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
