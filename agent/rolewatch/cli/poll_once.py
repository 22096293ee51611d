"""Poll once and judge as the daemon does, with the daemon's state: for `check` and `diagnose`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rolewatch import monitor
from rolewatch.errors import StateFileError
from rolewatch.imds import Questions, observe
from rolewatch.imds.client import Client
from rolewatch.monitor.classify import Verdict, classify
from rolewatch.monitor.clock import keep_time
from rolewatch.monitor.loop import clock
from rolewatch.monitor.memory import Memory
from rolewatch.monitor.state_file import StateFile
from rolewatch.observation import Observation
from rolewatch.publish import Snapshot
from rolewatch.settings import Settings

INSTALLED = "/var/lib/rolewatch"
"""The StateDirectory of the unit, for those that systemd does not tell."""


def state_file(settings: Settings, environ: Mapping[str, str]) -> StateFile | None:
    """Return the state file of a daemon; None where nothing is to be kept. systemd may name several: the first."""
    directory = settings.state.directory or environ.get("STATE_DIRECTORY", "").split(":")[0]
    return StateFile(Path(directory)) if directory else None


def confirmation_request(settings: Settings, environ: Mapping[str, str]) -> Path | None:
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


@dataclass(frozen=True)
class Once:
    """What one look saw, what that means, and what may be told of it."""

    seen: Observation
    verdict: Verdict
    snapshot: Snapshot


def look(client: Client, settings: Settings) -> Once:
    """Ask *client* once. A look cannot debounce; what the daemon has learned of this instance counts."""
    memory = learned(settings)
    tags = bool(settings.expect.role_tag or settings.expect.instance_profile_tag)
    seen = observe(client, settings.expect, Questions(identity=True, tags=tags))
    now = clock()
    memory, _ = monitor.recognise(memory, seen, now, at_once=True)
    memory = keep_time(memory, seen, now)
    verdict = classify(seen, monitor.known(memory, seen, settings, now), settings.limits, now)
    return Once(seen, verdict, monitor.look(memory, seen, verdict, settings, now))
