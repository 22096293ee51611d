"""A server on loopback for tests."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from rolewatch.http.request import Request, Response
from rolewatch.http.server import Handler, Server

LOOPBACK = ("127.0.0.1:0",)


def echo(request: Request) -> Response:
    """Respond with the request."""
    return Response(200, repr((request.method, request.path, request.query)).encode())


@contextlib.contextmanager
def serving(handler: Handler = echo, **options: Any) -> Iterator[Server]:
    """Run a server, by default on loopback."""
    server = Server(handler, **{"addresses": LOOPBACK, **options})
    server.start()
    try:
        yield server
    finally:
        server.stop()
