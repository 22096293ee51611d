"""Read a regular file, or replace a file, so that nothing at the path can block or mislead the caller.

A local user may be able to put a FIFO, a symbolic link, a socket or an endless file where rolewatch expects a file of
its own. Opening a FIFO blocks until its other end is opened; a link names another file. So every file that the daemon
reads or writes is opened here.

Symbolic links, by `read`'s *follow_links*: followed in the files of the administrator (settings, certificates, keys),
because configuration management, certbot and Kubernetes put links there, and a user who can write to those directories
can write the file itself. Not followed in files that a process writes (state, evidence of a confirmation): their
writers rename a file into place, so a link there is not theirs.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from errno import EFBIG, EINVAL, ELOOP
from itertools import islice
from pathlib import Path
from typing import NamedTuple

LEFTOVER_AGE = 60.0
"""Seconds after which the temporary of a replacement is a leftover of a process that was killed: to write one takes
milliseconds, and another process may be replacing the same file."""
_LEFTOVER = re.compile(r"[0-9a-f]{16}\.new")
"""What follows the name of the file in that of its temporary."""
_LONGEST_PREFIX = 200
"""Bytes of the file's name in that of its temporary. Linux allows 255 in a name (NAME_MAX)."""
_MOST_ENTRIES = 1000
"""How many entries of a directory are searched for leftovers: other users may fill the directory."""
_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class NotRegularError(OSError):
    """The path is not a regular file; `strerror` is what it is."""

    def __init__(self, path: Path, mode: int) -> None:
        """Name *path*, and its kind by *mode*."""
        kind = _KINDS.get(stat.S_IFMT(mode), "an object of the kernel")  # such as an epoll instance, in /proc
        super().__init__(EINVAL, f"it is {kind}, not a regular file", str(path))


class TooLargeError(OSError):
    """The file is larger than any that rolewatch reads there."""

    def __init__(self, path: Path, limit: int) -> None:
        """Name *path*, which has more than *limit* bytes."""
        super().__init__(EFBIG, f"it is larger than {limit // 1024} KiB", str(path))


class Content(NamedTuple):
    """The content of a file, and the status of that same file."""

    data: bytes
    status: os.stat_result


def read(path: Path, *, limit: int, follow_links: bool) -> Content:
    """Return the content of the regular file *path*, *limit* bytes at most. Never block on a FIFO or a device.

    Raise `NotRegularError`, `TooLargeError` or another `OSError`.
    """
    # Checked before opening, because opening a device may have effects; and after, because it may have been replaced.
    _refuse_unless_regular(path, path.stat() if follow_links else path.lstat())
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | (0 if follow_links else os.O_NOFOLLOW)
    descriptor = os.open(path, flags)
    try:
        status = os.fstat(descriptor)
        _refuse_unless_regular(path, status)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(limit + 1)
    finally:
        os.close(descriptor)
    if len(data) > limit:
        raise TooLargeError(path, limit)
    return Content(data, status)


def read_below(directory: Path, name: Path, *, limit: int) -> Content:
    """Return the content of the file *name* below *directory* as `read` does, and follow no link below *directory*.

    Nor go up with ``..``: it and a link raise `OSError`, also where another process exchanges a part meanwhile.
    """
    with contextlib.ExitStack() as stack:
        descriptor = os.open(directory, os.O_PATH | os.O_CLOEXEC)
        stack.callback(os.close, descriptor)
        for part in name.parts[:-1]:
            descriptor = os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=descriptor)
            stack.callback(os.close, descriptor)
            if part == ".." or stat.S_ISLNK(os.fstat(descriptor).st_mode):
                raise OSError(ELOOP, "it may lead out of the directory", part)
        return read(Path(f"/proc/self/fd/{descriptor}", name.name), limit=limit, follow_links=False)


def replace(path: Path, data: bytes, *, mode: int, sync: bool = False) -> None:
    """Replace the file *path* with *data* and *mode* atomically: a reader sees the old file or the new one.

    The new file is written beside *path* under a random name, and then renamed. It replaces a link or a FIFO, but no
    directory and no device. With *sync* the data is on the disk before the rename. Without, the file may be empty after
    a power cut, and a hung disk blocks the caller for less time.

    Temporary files that killed processes of this user left are removed, if they are among the first thousand entries of
    the directory. Raise `OSError`.
    """
    _refuse_device(path)
    temporary = path.with_name(f"{_temporary_prefix(path)}{os.urandom(8).hex()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            _remove_leftovers(path, os.fstat(descriptor))
            os.fchmod(descriptor, mode)  # whatever the umask
            file.write(data)
            file.flush()
            if sync:
                os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def refuse_unless_replaceable(path: Path) -> None:
    """Raise `NotRegularError` if *path* exists and is not a regular file.

    For a path that a person typed: replacing ``/dev/null`` would break the host.
    """
    with contextlib.suppress(FileNotFoundError):
        _refuse_unless_regular(path, path.lstat())


def _refuse_unless_regular(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise NotRegularError(path, status.st_mode)


def _refuse_device(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        mode = path.lstat().st_mode
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            raise NotRegularError(path, mode)


def _temporary_prefix(path: Path) -> str:
    """Return what the names of the temporaries of *path* begin with, cut so that they are no longer than NAME_MAX."""
    name = os.fsencode(path.name)[:_LONGEST_PREFIX]
    # Half a character at the cut would make an invalid name on some file systems.
    return f".{name.decode(errors='ignore') if len(name) == _LONGEST_PREFIX else path.name}."


def _remove_leftovers(path: Path, new: os.stat_result) -> None:
    """Remove the temporaries of *path* that are regular files of the owner of *new*, and older by `LEFTOVER_AGE`.

    Both times are of the file system's clock. Files that cannot be listed or removed stay, and those after the first
    `_MOST_ENTRIES`.
    """
    begin = _temporary_prefix(path)
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:
        for entry in islice(entries, _MOST_ENTRIES):
            if entry.name.startswith(begin) and _LEFTOVER.fullmatch(entry.name[len(begin) :]):
                status = entry.stat(follow_symlinks=False)
                is_ours = stat.S_ISREG(status.st_mode) and status.st_uid == new.st_uid
                if is_ours and new.st_mtime - status.st_mtime > LEFTOVER_AGE:
                    Path(entry.path).unlink()
