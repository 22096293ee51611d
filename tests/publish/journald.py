"""A datagram socket where journald would listen, and a reader of its protocol that shares no code with ours."""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import socket
from pathlib import Path
from types import TracebackType

SEALED = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
"""What journald demands of a file that it is handed (systemd `journald-native.c`)."""

Fields = dict[str, str]

_STUFFING = b"STUFFING=\n"


class Journald:
    """Receives what is sent to journald. As long as `received` is not called, it is stuck."""

    def __init__(self, path: Path) -> None:
        """Listen at *path*."""
        self.path = path
        self.files = 0
        """How many entries came as a file."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(0)

    def received(self) -> list[Fields]:
        """Return the entries that have come since the last call."""
        entries = []
        with contextlib.suppress(BlockingIOError):
            while True:
                data = self._receive()
                if data != _STUFFING:
                    entries.append(parse(data))
        return entries

    def stuff(self) -> None:
        """Fill the queue, however long the kernel makes it, so that nothing gets in until `received` is called."""
        while True:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:  # each may only send so much
                sender.settimeout(0)
                try:
                    sender.sendto(_STUFFING, str(self.path))
                except BlockingIOError:
                    return

    def _receive(self) -> bytes:
        data, ancillary, _flags, _address = self._socket.recvmsg(1 << 22, socket.CMSG_SPACE(4))
        if not ancillary:
            return data
        assert data == b""
        descriptors = array.array("i", ancillary[0][2])
        self.files += 1
        with os.fdopen(descriptors[0], "rb") as file:
            assert fcntl.fcntl(file, fcntl.F_GET_SEALS) == SEALED
            file.seek(0)
            return file.read()

    def close(self) -> None:
        """Go away, as journald does when it is stopped together with its socket unit."""
        self._socket.close()
        self.path.unlink()

    def __enter__(self) -> Journald:
        """Be there."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Go away, where that has not happened yet."""
        if self.path.exists():
            self.close()


def parse(data: bytes) -> Fields:
    """Parse one entry, byte by byte as the protocol's page has it. Every field occurs once."""
    fields: Fields = {}
    position = 0
    while position < len(data):
        end = data.index(b"\n", position)
        name, separator, value = data[position:end].partition(b"=")
        position = end + 1
        if not separator:
            length = int.from_bytes(data[position : position + 8], "little")
            value = data[position + 8 : position + 8 + length]
            position += 8 + length
            assert data[position : position + 1] == b"\n"
            position += 1
        assert name.decode() not in fields
        fields[name.decode()] = value.decode()
    return fields
