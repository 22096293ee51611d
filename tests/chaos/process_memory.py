"""The memory of a daemon that runs as a process of its own, as a debugger or root sees it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from daemon_process import DaemonProcess, config, daemon
from harness import utc_now
from rolewatch.simulator import Simulator

PIECE = 16
"""Bytes of a secret that count as a piece of it. The allocator overwrites the beginning of freed memory."""
BEGINNINGS = ("ASIAFAKE", "IQoJb3JpZ2luX2VjFAKE", "fake/", "AQAEA")
"""How the secrets of the simulator begin: key id, token, secret key, IMDS session token."""
_BEGINNING = re.compile(rf"\A(?:{'|'.join(BEGINNINGS)})")
_WRITABLE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) rw", re.ASCII)


def writable(pid: int) -> bytes:
    """Return the content of every mapping that the process may write to: heap, stacks, data, anonymous ones.

    Skip the test if this process has no permission to read them.
    """
    parts = []
    try:
        with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
            for line in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").splitlines():
                found = _WRITABLE.match(line)
                if found:
                    start, end = (int(number, 16) for number in found.groups())
                    with contextlib.suppress(OSError):  # unmapped since the list was read
                        memory.seek(start)
                        parts.append(memory.read(end - start))
    except PermissionError:
        pytest.skip("no permission to read the memory of another process")
    return b"\0".join(parts)


def pieces(secret: str) -> Iterator[bytes]:
    """Yield up to eight pieces of *secret*, without its beginning, which other secrets have, too."""
    data = _BEGINNING.sub("", secret, count=1).encode()
    last = max(0, len(data) - PIECE)
    yield from {data[start : start + PIECE] for start in range(0, last + 1, max(1, last // 7))}


def copies(secrets: Iterable[str], memory: bytes) -> int:
    """Return how many copies of *secrets*, whole or in pieces, are in *memory*."""
    return sum(max(memory.count(piece) for piece in pieces(secret)) for secret in secrets)


def found_in(secrets: Iterable[str], memory: bytes) -> set[str]:
    """Return the *secrets* of which a piece is in *memory*."""
    return {secret for secret in secrets if copies([secret], memory)}


ROLE = "a-role-that-is-no-secret"
"""It must be in memory: a search that finds no key must find this."""
POLLS_ON_DEMAND = "[poll]\ninterval = 240\nconfirm_interval = 240\nmax_interval = 240\n"
"""The next scheduled poll comes two minutes after the last at the soonest: none runs while memory is read."""


@dataclass
class ReadableDaemon:
    """A daemon that polls on demand, its IMDS, and its memory."""

    process: DaemonProcess
    simulator: Simulator

    def memory(self) -> bytes:
        """Return the content of its memory."""
        return writable(self.process.pid)

    @property
    def sessions(self) -> set[str]:
        """The session tokens that IMDS issued."""
        header = "x-aws-ec2-metadata-token"
        return {request.headers[header] for request in self.simulator.requests if header in request.headers}

    @property
    def keys(self) -> set[str]:
        """The key ids, secret keys and tokens that IMDS served."""
        return set(self.simulator.secrets) - self.sessions


@contextlib.contextmanager
def readable_daemon(directory: Path, text: str = "", **environ: str) -> Iterator[ReadableDaemon]:
    """Run a daemon, with *text* in its settings, on a healthy IMDS, until the block ends; it has polled once.

    Not in development mode, which wipes freed memory.
    """
    with Simulator(now=utc_now, role=ROLE) as simulator:
        settings = str(config(directory, simulator, POLLS_ON_DEMAND + text))
        with daemon("--config", settings, environ={**environ, "PYTHONDEVMODE": ""}) as process:
            yield ReadableDaemon(process.watching(), simulator)
