"""What answers in the field table: `python responder.py [HOST]` in a network namespace of the bed.

It reads names of situations from its standard input and prints ``ready`` when the answers are those of that situation.
It ends with its standard input. IMDS is the simulator; everything else is a server of a few lines.
"""

from __future__ import annotations

import http.client
import socket
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from field.situations import SITUATIONS, Answer, Forwarder, Responder
from rolewatch.simulator import Simulator
from rolewatch.simulator.conditions import HEALTHY, Conditions

ADDRESSES = ("169.254.169.254", "fd00:ec2::254")
BEHIND = "127.0.0.1"
"""Where the IMDS is that a `Forwarder` asks."""


class Server(ThreadingHTTPServer):
    """A server that answers as *responder* says, until `close`."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, host: str, responder: Answer | Forwarder) -> None:
        """Bind port 80 of the IPv4 address *host*, and serve in a thread."""
        self.responder = responder
        super().__init__((host, 80), Handler)
        Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def server_bind(self) -> None:
        """Bind without asking the name servers for a name, as `HTTPServer` does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "imds", 80

    def close(self) -> None:
        """Stop serving, and release the address."""
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """Serve one connection."""

    server: Server
    protocol_version = "HTTP/1.0"

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def do_PUT(self) -> None:
        """Answer the request for a token."""
        self._answer()

    def do_GET(self) -> None:
        """Answer a request for a document."""
        self._answer()

    def _answer(self) -> None:
        responder = self.server.responder
        if isinstance(responder, Forwarder):
            self._forward(responder)
            return
        time.sleep(responder.delay)
        self._send(responder.status, responder.headers, responder.body.encode())

    def _forward(self, forwarder: Forwarder) -> None:
        """Pass the request to the IMDS behind, and its answer back."""
        behind = http.client.HTTPConnection(BEHIND, 80)
        behind.request(self.command, self.path, headers={**dict(self.headers.items()), **dict(forwarder.adds)})
        answer = behind.getresponse()
        self._send(answer.status, (*answer.getheaders(), *forwarder.shows), answer.read())
        behind.close()

    def _send(self, status: int, headers: tuple[tuple[str, str], ...], body: bytes) -> None:
        self.send_response_only(status)
        names = {name.lower() for name, _ in headers}
        for name, value in (*headers, *([] if "content-length" in names else [("Content-Length", str(len(body)))])):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def main(hosts: tuple[str, ...]) -> None:
    """Serve at *hosts* what each situation named on standard input says."""
    nobody = replace(HEALTHY, listening=False)
    with ExitStack() as stack:
        here = [
            stack.enter_context(Simulator(now=lambda: datetime.now(timezone.utc), host=host, port=80)) for host in hosts
        ]
        behind = stack.enter_context(Simulator(now=lambda: datetime.now(timezone.utc), host=BEHIND, port=80))
        server: Server | None = None
        for line in sys.stdin:
            situation = SITUATIONS[line.strip()]
            answers: Responder = situation.answers if len(hosts) > 1 else situation.answers_on_host or HEALTHY
            if server is not None:
                server.close()
                server = None
            for simulator in here:
                simulator.enter(answers if isinstance(answers, Conditions) else nobody)
            if not isinstance(answers, Conditions):
                behind.enter(HEALTHY)
                server = Server(hosts[0], answers)
            print("ready", flush=True)  # noqa: T201 - the reader is `bed.answer_as`


if __name__ == "__main__":
    main(tuple(sys.argv[1:]) or ADDRESSES)
