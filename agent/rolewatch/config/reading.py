"""Read one settings file: a regular one, of a sane size, that not everybody may write."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Optional, Tuple

from rolewatch import files

_LARGEST = 64 * 1024
_BITS = {True: (stat.S_IRGRP, stat.S_IROTH), False: (stat.S_IXGRP, stat.S_IXOTH)}
"""What group and others need: to read the file itself, to pass a directory on the way to it."""


class UnreadableError(Exception):
    """A file or directory cannot be used; the text is a whole sentence that says which and why."""


def read(file: Path) -> Optional[str]:
    """Return the text of *file*; None where there is no such file. Raise `UnreadableError` where it cannot be used."""
    try:
        content = files.read(file, limit=_LARGEST, follow_links=True)
        refuse_if_anybody_may_write(file, content.status)
        refuse_if_anybody_may_write(file.parent, file.parent.stat(), sticky_will_do=True)
    except FileNotFoundError:
        return None
    except files.NotRegularError as error:
        kind = "a directory" if error.is_directory else "no regular file"
        raise UnreadableError(f"{file}: is {kind}; name a file.") from None
    except files.TooLargeError:
        message = f"{file}: is larger than {_LARGEST // 1024} KiB, which no settings file is; it is not read."
        raise UnreadableError(message) from None
    except (OSError, ValueError) as error:
        raise unreadable(file, error) from None
    return _decoded(file, content.data)


def _decoded(file: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")  # editors on Windows put a byte order mark first
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UnreadableError(f"{file}:{line}: is not UTF-8; save the file as UTF-8.") from None


def refuse_if_anybody_may_write(path: Path, status: os.stat_result, *, sticky_will_do: bool = False) -> None:
    """Raise `UnreadableError` where everybody may write to *path*, and so say what rolewatch does.

    In a directory with the sticky bit, as /tmp, nobody can replace another's file: *sticky_will_do* for a file there.
    """
    if status.st_mode & stat.S_IWOTH and not (sticky_will_do and status.st_mode & stat.S_ISVTX):
        message = f"{path}: everybody may write to it, and settings from there are refused; chmod o-w {path}"
        raise UnreadableError(message + ".")


def unreadable(path: Path, error: Exception) -> UnreadableError:
    """Return the error that says why *path* cannot be read, and who may read it where that is the reason."""
    if isinstance(error, PermissionError):
        return UnreadableError(f"{path}: may not be read by this user{_readers(path)}.")
    reason = getattr(error, "strerror", None) or "its name is impossible"
    return UnreadableError(f"{path}: cannot be read: {reason}.")


def _readers(path: Path) -> str:
    """Return who may read *path*, or the nearest directory on the way that may not be entered."""
    for place in (path, *path.parents):
        try:
            status = place.stat()
        except OSError:
            continue
        owner, group = _names(status)
        mode, for_group, for_all = status.st_mode, *_BITS[place == path]
        if mode & for_all:
            return f", although the mode of {place} allows it; a sandbox, SELinux or AppArmor does not"
        who = f"{owner} and the group {group}" if mode & for_group else owner
        return f"; {place} is open to {who} alone (mode {stat.S_IMODE(mode):04o}): run this as {owner}, as with sudo"
    return ""


def _names(status: os.stat_result) -> Tuple[str, str]:
    """Return owner and group; their numbers where they have no names."""
    import grp  # noqa: PLC0415 - only for complaints
    import pwd  # noqa: PLC0415 - likewise

    try:
        owner = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        owner = str(status.st_uid)
    try:
        group = grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        group = str(status.st_gid)
    return owner, group
