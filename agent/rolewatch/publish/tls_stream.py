"""The server's side of TLS on one connection: bytes in, bytes out, and no I/O of its own.

asyncio's own TLS tells a protocol of a connection only after the handshake, so that no pool could bound those which
never finish one: a thousand half-open handshakes cost 53 MiB with CPython 3.9 and 315 MiB with 3.13, and every file
descriptor that the unit grants (measured 2026-11). Here a connection is one before it has spoken.
"""

from __future__ import annotations

import contextlib
import ssl

_CHUNK = 1 << 14
"""Bytes of a whole TLS record."""


class TlsStream:
    """One connection's TLS. What has to be sent after each call is what `take` returns."""

    def __init__(self, context: ssl.SSLContext) -> None:
        """Wait for the client's first message."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._is_open = False

    def receive(self, data: bytes) -> bytes:
        """Return what the client says in *data*; nothing while the handshake goes on.

        Raise `ssl.SSLError` where the connection cannot go on; what `take` returns then tells the client.
        """
        self._incoming.write(data)
        plain = bytearray()
        with contextlib.suppress(ssl.SSLWantReadError):
            if not self._is_open:
                self._tls.do_handshake()
                self._is_open = True
            while chunk := self._tls.read(_CHUNK):
                plain += chunk
        return bytes(plain)

    def send(self, data: bytes) -> None:
        """Say *data* to the client, once the handshake is done."""
        self._tls.write(data)

    def end(self) -> None:
        """Say that nothing more will come.

        Not in TLS 1.2: OpenSSL keeps a session that was ended properly, up to 20,480 of them, and Python cannot tell it
        not to. The answer's length says that it is whole.
        """
        if self._tls.version() != "TLSv1.2":
            with contextlib.suppress(ssl.SSLWantReadError):  # the client has not said so itself yet
                self._tls.unwrap()

    def take(self) -> bytes:
        """Return what has to be sent to the client now."""
        return self._outgoing.read()
