"""Files that are not regular, at a path where rolewatch expects a regular file."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Callable

import pytest

HUGE = 1 << 30
"""Bytes of a sparse file: more than a process may read into memory."""


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{_opened(path.parent)}/{path.name}")


def _opened(directory: Path) -> int:
    """Return a descriptor of *directory*, because a path to a socket has at most 107 bytes. It is never closed."""
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


SPECIAL_FILES: Mapping[str, Callable[[Path], None]] = {
    "FIFO": os.mkfifo,
    "symbolic link": _link,
    "directory": Path.mkdir,
    "device": _device,
    "socket": _socket,
    "huge file": _huge,
}
"""Functions that create one at a path. A link gets a target beside it: see `link_target_unchanged`."""


def link_target_unchanged(path: Path) -> bool:
    """Return whether the target of a link at *path* is unchanged, or there is none."""
    victim = path.with_name(f"{path.name}.victim")
    return not victim.exists() or victim.read_text() == "a file of somebody else"
