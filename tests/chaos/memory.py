"""What is in the memory of another process: all of it, as a debugger or root would see it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

PIECE = 16
"""Bytes of a secret that count as a piece of it. What was freed has lost its beginning to the allocator."""
BEGINNINGS = ("ASIAFAKE", "IQoJb3JpZ2luX2VjFAKE", "fake/", "AQAEA")
"""How all secrets of the simulator begin: the key id, the token, the secret key, IMDS's session token."""
_BEGINNING = re.compile(rf"\A(?:{'|'.join(BEGINNINGS)})")
_WRITABLE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) rw", re.ASCII)


def writable(pid: int) -> bytes:
    """Return what is in every mapping that the process may write to: heap, stacks, data, anonymous ones.

    Skip the test where this process may not look.
    """
    parts = []
    try:
        with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
            for line in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").splitlines():
                found = _WRITABLE.match(line)
                if found:
                    start, end = (int(number, 16) for number in found.groups())
                    with contextlib.suppress(OSError):  # gone since the list was read
                        memory.seek(start)
                        parts.append(memory.read(end - start))
    except PermissionError:
        pytest.skip("this machine lets nobody read the memory of another process")
    return b"\0".join(parts)


def pieces(secret: str) -> Iterator[bytes]:
    """Yield up to eight pieces of *secret*, from all over it but for its beginning, which others have, too."""
    data = _BEGINNING.sub("", secret, count=1).encode()
    last = max(0, len(data) - PIECE)
    yield from {data[start : start + PIECE] for start in range(0, last + 1, max(1, last // 7))}


def copies(secrets: Iterable[str], memory: bytes) -> int:
    """Return how many of *secrets* stand in *memory*, whole or in a piece, each as often as its best piece does."""
    return sum(max(memory.count(piece) for piece in pieces(secret)) for secret in secrets)


def kept(secrets: Iterable[str], memory: bytes) -> set[str]:
    """Return those of *secrets* of which a piece is in *memory*."""
    return {secret for secret in secrets if copies([secret], memory)}
