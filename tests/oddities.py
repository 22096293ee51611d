"""What may lie at a path where a regular file is expected."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Callable

import pytest

HUGE = 1 << 30
"""Bytes, all of them a hole: more than anybody may read into memory."""


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{_opened(path.parent)}/{path.name}")


def _opened(directory: Path) -> int:
    """Return a descriptor of *directory*: a path to a socket has at most 107 bytes. It stays open with the process."""
    return os.open(directory, os.O_PATH)


def _device(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make a device")
    os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 5))  # /dev/zero, which has no end


def _huge(path: Path) -> None:
    path.touch()
    os.truncate(path, HUGE)


def _link(path: Path) -> None:
    path.symlink_to(path.with_name(f"{path.name}.victim"))
    path.with_name(f"{path.name}.victim").write_text("a file of somebody else")


ODDITIES: Mapping[str, Callable[[Path], None]] = {
    "FIFO": os.mkfifo,
    "symbolic link": _link,
    "directory": Path.mkdir,
    "device": _device,
    "socket": _socket,
    "huge file": _huge,
}
"""Each makes one at a path. Beside a link lies the file that it names: see `untouched`."""


def untouched(path: Path) -> bool:
    """Return whether the file that a link at *path* names, if there is one, is as it was."""
    victim = path.with_name(f"{path.name}.victim")
    return not victim.exists() or victim.read_text() == "a file of somebody else"
