"""Where the daemon keeps its state, and what it has learned: for the daemon, and for commands that look once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Mapping, Optional

from rolewatch.errors import StateFileError
from rolewatch.memory import Memory
from rolewatch.settings import Settings
from rolewatch.state_file import StateFile

INSTALLED = "/var/lib/rolewatch"
"""The StateDirectory of the unit, for those that systemd does not tell."""


def state_file(settings: Settings, environ: Mapping[str, str]) -> Optional[StateFile]:
    """Return the state file of a daemon; None where nothing is to be kept. systemd may name several: the first."""
    directory = settings.state.directory or environ.get("STATE_DIRECTORY", "").split(":")[0]
    return StateFile(Path(directory)) if directory else None


def confirmation_request(settings: Settings, environ: Mapping[str, str]) -> Optional[Path]:
    """Return the file that a daemon touches to ask for a confirmation; None where it has no place for one."""
    if settings.confirm.request:
        return Path(settings.confirm.request)
    directory = environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    return Path(directory, "confirm") if directory else None


def boot_id() -> str:
    """Return what the kernel calls this boot; empty where it does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def learned(settings: Settings) -> Memory:
    """Return what the daemon of this instance has learned: the cadence, the names. Without it, or unreadable: nothing.

    So that a look by hand says what the daemon says. Faults are left out: a look tells what it sees.
    An IMDS that was named to us is not that of this instance, and what the daemon knows is not of it.
    """
    file = state_file(settings, os.environ)
    if file is None and not settings.imds.endpoint:
        file = StateFile(Path(INSTALLED))
    try:
        return Memory() if file is None else file.load(boot_id=boot_id())
    except StateFileError:
        return Memory()
