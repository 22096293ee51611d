"""Send a response, whole or with one of the network's faults."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import replace
from http import HTTPStatus

from rolewatch.simulator.conditions import Effect, NetworkFault
from rolewatch.simulator.server import Headers, Response

HUGE = 10 * 1024 * 1024
"""Bytes that `Effect.HUGE` adds to the body."""
SILENCE = 600.0
"""Seconds after which the simulator closes a silent connection."""
ELSEWHERE = "/elsewhere/never-ask-here"
"""Path that `Effect.REDIRECT` points to, on the same host."""
_HTML: Headers = (("Content-Type", "text/html"),)
_PLAIN: Headers = (("Content-Type", "text/plain"),)
_ABORT = struct.pack("ii", 1, 0)
"""SO_LINGER with a time of 0: close by RST."""


def error_page(status: int) -> bytes:
    """Return the XHTML page of an error; 339 bytes for 404 (recorded 2021). No recording has the other bodies."""
    title = f"{int(status)} - {HTTPStatus(status).phrase}"
    return (
        '<?xml version="1.0" encoding="iso-8859-1"?>\n'
        '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"\n'
        '\t\t "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">\n'
        '<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">\n'
        f" <head>\n  <title>{title}</title>\n </head>\n"
        f" <body>\n  <h1>{title}</h1>\n </body>\n"
        "</html>\n"
    ).encode("ascii")


_OF_PROXY: Headers = (("Server", "squid/5.7"), ("Via", "1.1 proxy (squid/5.7)"))


def changed(response: Response, fault: NetworkFault) -> Response:
    """Return *response* with the status, the body and the headers that *fault* gives it, if it changes any."""
    body, middle = response.body, len(response.body) // 2
    changes: dict[Effect, tuple[int, bytes, Headers]] = {
        Effect.STATUS: (fault.status, error_page(fault.status), _HTML),
        Effect.PROXY: (response.status, body, _OF_PROXY)
        if fault.status == HTTPStatus.OK
        else (fault.status, error_page(fault.status), (*_HTML, *_OF_PROXY)),
        Effect.ROLE_PROXY: (HTTPStatus.NOT_FOUND, b"Unable to find role for IP 10.0.87.108\n", _PLAIN),
        Effect.REDIRECT: (HTTPStatus.FOUND, b"", (("Location", ELSEWHERE),)),
        Effect.EMPTY: (HTTPStatus.OK, b"", ()),
        Effect.HTML: (HTTPStatus.OK, error_page(HTTPStatus.OK), _HTML),
        Effect.MALFORMED: (HTTPStatus.OK, body.rstrip(b"\n}") + b",", ()),
        Effect.INVALID_UTF8: (HTTPStatus.OK, body[:middle] + b"\xff\xfe" + body[middle:], ()),
        Effect.GZIP: (HTTPStatus.OK, b"\x1f\x8b\x08" + body, (("Content-Encoding", "gzip"),)),
    }
    if fault.effect not in changes:
        return response
    status, body, headers = changes[fault.effect]
    kept = () if fault.effect is Effect.ROLE_PROXY else response.headers
    return Response(int(status), _replaced(kept, *headers, ("Content-Length", str(len(body)))), body)


def _replaced(headers: Headers, *new: tuple[str, str]) -> Headers:
    """Return *headers* with each of *new* in place of the one of the same name."""
    names = {name for name, _ in new}
    return (*new, *(each for each in headers if each[0] not in names))


def limit_hops(writer: asyncio.StreamWriter, limit: int) -> None:
    """Let everything from now on travel *limit* hops."""
    connection = writer.get_extra_info("socket")
    if connection.family == socket.AF_INET6:
        connection.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, limit)
    else:
        connection.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, limit)


async def send(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    response: Response,
    fault: NetworkFault | None,
    *,
    head_only: bool,
) -> None:
    """Write *response* with the effect of *fault*. With *head_only*, which a HEAD asks for, write no body."""
    if head_only:
        response = replace(response, body=b"")
    if fault is None:
        writer.write(response.head() + response.body)
    elif fault.effect is Effect.SILENCE:
        await asyncio.wait_for(_hang_up(reader), SILENCE)
    elif fault.effect is Effect.RESET:
        _reset(writer)
    elif fault.effect is Effect.DRIP:
        await _drip(writer, response, fault.seconds)
    elif fault.effect is Effect.TRUNCATED:
        writer.write(response.head() + response.body[: len(response.body) // 2])
    elif fault.effect is Effect.NOT_HTTP:
        writer.write(_one_line(response.body) + b"\r\n\r\n")
    elif fault.effect is Effect.HUGE:
        await _huge(writer, response)
    elif fault.effect is Effect.ENDLESS_HEADERS:
        await _endless_headers(writer, response)
    else:
        response = changed(response, fault)
        writer.write(response.head() + response.body)
    await writer.drain()


def _one_line(body: bytes) -> bytes:
    return body.replace(b"\n", b" ")


async def _hang_up(reader: asyncio.StreamReader) -> None:
    """Return when the client closes the connection."""
    while await reader.read(1024):
        pass


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
    writer.transport.abort()


async def _drip(writer: asyncio.StreamWriter, response: Response, seconds: float) -> None:
    whole = response.head() + response.body
    for index in range(len(whole)):
        writer.write(whole[index : index + 1])
        await writer.drain()
        await asyncio.sleep(seconds)


async def _huge(writer: asyncio.StreamWriter, response: Response) -> None:
    headers = _replaced(response.headers, ("Content-Length", str(len(response.body) + HUGE)))
    writer.write(replace(response, headers=headers).head() + response.body)
    chunk = b" " * 65536
    for _ in range(HUGE // len(chunk)):
        writer.write(chunk)
        await writer.drain()


async def _endless_headers(writer: asyncio.StreamWriter, response: Response) -> None:
    """Write a megabyte of headers: more than any client accepts, and an end for one that accepts everything."""
    writer.write(response.head()[:-2])
    line = _one_line(response.body)[:4096]
    for number in range(HUGE // 10 // (len(line) + 1)):
        writer.write(b"X-More-%d: %s\r\n" % (number, line))
        await writer.drain()
