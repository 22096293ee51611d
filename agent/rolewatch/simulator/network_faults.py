"""Send a response, whole or with one of the network's faults."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable
from dataclasses import replace
from datetime import datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import Callable

from rolewatch.simulator.conditions import Harm, Wire
from rolewatch.simulator.server import Reply


def page(status: int) -> bytes:
    """Return the XHTML page of an error; 339 bytes for 404 (recorded 2021). The others' bodies are not on record."""
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


def http_date(moment: datetime) -> str:
    """Write *moment*, which is UTC, as HTTP does."""
    return format_datetime(moment, usegmt=True)


HUGE = 10 * 1024 * 1024
"""Bytes that HUGE adds."""
SILENCE = 600.0
"""Seconds after which even a silent connection is given up."""
ELSEWHERE = "/elsewhere/never-ask-here"
"""Where REDIRECT points to, on the same host."""
_ABORT = struct.pack("ii", 1, 0)
"""SO_LINGER with a time of 0: close by RST."""

Send = Callable[[asyncio.StreamReader, asyncio.StreamWriter, Reply, Wire], Awaitable[None]]


async def send(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, reply: Reply, wire: Wire | None, *, head_only: bool
) -> None:
    """Write *reply*, with the harm of *wire* done to it. *head_only*: it answers a HEAD."""
    if head_only:
        reply = replace(reply, body=b"")
    if wire is None:
        writer.write(reply.head() + reply.body)
    else:
        await _SENDS[wire.harm](reader, writer, reply, wire)
    await writer.drain()


def changed(reply: Reply, wire: Wire) -> Reply:
    """Return *reply* with another status or body, where the harm is that; else as it is."""
    change = _CHANGES.get(wire.harm)
    return reply if change is None else change(reply, wire)


def _with(reply: Reply, status: int, body: bytes, header: tuple[str, str] | None = None) -> Reply:
    name = header[0] if header else ""
    kept = tuple(each for each in reply.headers if each[0] not in ("Content-Length", name))
    added = (*([header] if header else []), ("Content-Length", str(len(body))))
    return replace(reply, status=int(status), body=body, headers=(*added, *kept))


def _status(reply: Reply, wire: Wire) -> Reply:
    return _with(reply, wire.status, page(wire.status), ("Content-Type", "text/html"))


def _redirect(reply: Reply, _wire: Wire) -> Reply:
    return _with(reply, HTTPStatus.FOUND, b"", ("Location", ELSEWHERE))


def _empty(reply: Reply, _wire: Wire) -> Reply:
    return _with(reply, HTTPStatus.OK, b"")


def _html(reply: Reply, _wire: Wire) -> Reply:
    return _with(reply, HTTPStatus.OK, page(HTTPStatus.OK), ("Content-Type", "text/html"))


def _malformed(reply: Reply, _wire: Wire) -> Reply:
    return _with(reply, HTTPStatus.OK, reply.body.rstrip(b"\n}") + b",")


def _invalid_utf8(reply: Reply, _wire: Wire) -> Reply:
    middle = len(reply.body) // 2
    return _with(reply, HTTPStatus.OK, reply.body[:middle] + b"\xff\xfe" + reply.body[middle:])


def _gzip(reply: Reply, _wire: Wire) -> Reply:
    return _with(reply, HTTPStatus.OK, b"\x1f\x8b\x08" + reply.body, ("Content-Encoding", "gzip"))


_CHANGES: dict[Harm, Callable[[Reply, Wire], Reply]] = {
    Harm.STATUS: _status,
    Harm.REDIRECT: _redirect,
    Harm.EMPTY: _empty,
    Harm.HTML: _html,
    Harm.MALFORMED: _malformed,
    Harm.INVALID_UTF8: _invalid_utf8,
    Harm.GZIP: _gzip,
}


async def _changed(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, reply: Reply, wire: Wire) -> None:
    harmed = changed(reply, wire)
    writer.write(harmed.head() + harmed.body)


async def _silence(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter, _reply: Reply, _wire: Wire) -> None:
    """Wait until the client has gone."""
    await asyncio.wait_for(_gone(reader), SILENCE)


async def _gone(reader: asyncio.StreamReader) -> None:
    while await reader.read(1024):
        pass


async def _reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _reply: Reply, _wire: Wire) -> None:
    connection = writer.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
    writer.transport.abort()


async def _drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, reply: Reply, wire: Wire) -> None:
    whole = reply.head() + reply.body
    for index in range(len(whole)):
        writer.write(whole[index : index + 1])
        await writer.drain()
        await asyncio.sleep(wire.seconds)


async def _truncated(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, reply: Reply, _wire: Wire) -> None:
    writer.write(reply.head() + reply.body[: len(reply.body) // 2])


async def _not_http(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, reply: Reply, _wire: Wire) -> None:
    writer.write(reply.body.replace(b"\n", b" ") + b"\r\n\r\n")


async def _huge(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, reply: Reply, _wire: Wire) -> None:
    whole = _with(reply, reply.status, reply.body)
    length = str(len(reply.body) + HUGE)
    headers = tuple((name, length if name == "Content-Length" else value) for name, value in whole.headers)
    writer.write(replace(whole, headers=headers).head() + reply.body)
    chunk = b" " * 65536
    for _ in range(HUGE // len(chunk)):
        writer.write(chunk)
        await writer.drain()


async def _endless_headers(
    _reader: asyncio.StreamReader, writer: asyncio.StreamWriter, reply: Reply, _wire: Wire
) -> None:
    """Write a megabyte of headers at most: enough for anybody to give up, and an end for those who do not."""
    writer.write(reply.head()[:-2])
    line = reply.body.replace(b"\n", b" ")[:4096]
    for number in range(HUGE // 10 // (len(line) + 1)):
        writer.write(b"X-More-%d: %s\r\n" % (number, line))
        await writer.drain()


_SENDS: dict[Harm, Send] = {
    **dict.fromkeys(_CHANGES, _changed),
    Harm.SILENCE: _silence,
    Harm.RESET: _reset,
    Harm.DRIP: _drip,
    Harm.TRUNCATED: _truncated,
    Harm.NOT_HTTP: _not_http,
    Harm.HUGE: _huge,
    Harm.ENDLESS_HEADERS: _endless_headers,
}
