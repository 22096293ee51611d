"""The control port: switch scenarios and rotate while the simulator runs.

It does not answer web pages, which a browser on this host may have from anywhere. Browsers send Origin with whatever
changes something, and the page's own host name where that resolves to this host (DNS rebinding).
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable
from http import HTTPStatus
from typing import Any, Callable

from rolewatch.authority import host_of, is_loopback, is_same_ip
from rolewatch.errors import UsageError
from rolewatch.simulator.scenarios import SCENARIOS, Scenario
from rolewatch.simulator.server import Reply, Request

HELP = """\
GET  /            this page
GET  /scenarios   every scenario, as JSON
GET  /scenario    the name of the scenario in force
PUT  /scenario    switch: the body is the name
POST /rotate      renew the credentials now
"""

_METHODS = {"/": "GET", "/scenarios": "GET", "/scenario": "GET, PUT", "/rotate": "POST"}


class Control:
    """Answers the control port."""

    def __init__(
        self, current: Callable[[], str], switch: Callable[[str], Awaitable[None]], rotate: Callable[[], None]
    ) -> None:
        """Act through *current*, *switch* and *rotate*, which run in the same event loop."""
        self._current = current
        self._switch = switch
        self._rotate = rotate

    async def handle(
        self, request: Request | None, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer *request*."""
        reply = (
            _text(HTTPStatus.BAD_REQUEST, "This is no HTTP request.\n")
            if request is None
            else _refusal(request, *_numeric(writer.get_extra_info("sockname"))) or await self.answer(request)
        )
        head_only = request is not None and request.method == "HEAD"
        writer.write(reply.head() + (b"" if head_only else reply.body))
        await writer.drain()

    async def answer(self, request: Request) -> Reply:
        """Do what *request* asks for, and return the answer."""
        path = request.plain_path
        allowed = _METHODS.get(path)
        if allowed is None:
            return _text(HTTPStatus.NOT_FOUND, f"There is nothing here. There is:\n\n{HELP}")
        method = "GET" if request.method == "HEAD" else request.method
        if method not in allowed.split(", "):
            return _text(HTTPStatus.METHOD_NOT_ALLOWED, f"Use {allowed} here.\n", Allow=allowed)
        if path == "/rotate":
            self._rotate()
            return _text(HTTPStatus.OK, "Rotated.\n")
        if path == "/scenarios":
            body = json.dumps(catalogue(), indent=2) + "\n"
            return _text(HTTPStatus.OK, body, **{"Content-Type": "application/json"})
        if method == "PUT":
            return await self._put(request.body)
        return _text(HTTPStatus.OK, HELP if path == "/" else self._current() + "\n")

    async def _put(self, body: bytes) -> Reply:
        try:
            await self._switch(body.decode("utf-8", "replace"))
        except UsageError as error:
            return _text(HTTPStatus.BAD_REQUEST, f"{error}\n")
        return _text(HTTPStatus.OK, self._current() + "\n")


def catalogue() -> list[dict[str, object]]:
    """Return every scenario as JSON can hold it."""
    return [described(each) for each in SCENARIOS]


def described(each: Scenario) -> dict[str, object]:
    """Return one scenario as JSON can hold it."""
    expect = each.expect
    return {
        "name": each.name,
        "title": each.title,
        "group": each.group.value,
        "state": expect.state.value,
        "faults": [fault.value for fault in expect.faults],
        "reason": expect.reason.value if expect.reason else None,
        "expect_role": list(expect.expect_role),
        "note": each.note,
    }


def _numeric(sockname: tuple[Any, ...]) -> tuple[str, str]:
    """Return address and port of *sockname* as text, the address with its IPv6 zone."""
    return socket.getnameinfo(sockname, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)


def _refusal(request: Request, address: str, port: str) -> Reply | None:
    """Return the answer to a request that a web page may have sent, or None if none can have sent it.

    *address* and *port* are where the request arrived. The address may be another one than loopback: --control says so.
    """
    if "origin" in request.headers:
        text = "The control port does not answer web pages. Send the request without an Origin header, as curl does.\n"
        return _text(HTTPStatus.FORBIDDEN, text)
    host = host_of(request.authority or "")
    if host is not None and (is_loopback(host) or is_same_ip(host, address)):
        return None
    literal = f"[{address}]" if ":" in address else address
    return _text(
        HTTPStatus.BAD_REQUEST if host is None else HTTPStatus.MISDIRECTED_REQUEST,
        f"The control port answers no host name, not even localhost. Send the request to http://{literal}:{port}.\n",
    )


def _text(status: HTTPStatus, text: str, **headers: str) -> Reply:
    body = text.encode()
    about = {"Content-Type": "text/plain; charset=utf-8", "Connection": "close", **headers}
    return Reply(int(status), (*about.items(), ("Content-Length", str(len(body)))), body)
