"""Keep what must survive a restart: one small JSON file, without a secret.

Not synced: after a power cut the file may be empty, which is a file to ignore, and an fsync on a hung disk would hold
the watching up.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from rolewatch import files
from rolewatch.errors import StateFileError
from rolewatch.faults import Fault
from rolewatch.imds.documents import whole_number
from rolewatch.monitor import rotation
from rolewatch.monitor.decoding import Fields, text
from rolewatch.monitor.memory import Memory, Served, Watched
from rolewatch.observation import Moment, RoleBinding
from rolewatch.text import rfc3339

VERSION = 1
NAME = "state.json"
MAX_SIZE = 64 * 1024
"""Bytes; ours has about one kB."""
MODE = 0o600
KEEP_FRESH = 120.0
"""Seconds after which the file is written although nothing happened: `Served.seen` must stay younger than
`rotation.UNWATCHED`, or an interval between two rotations is not counted after a restart."""


class StateFile:
    """The state file in one directory."""

    name = "state_file"

    def __init__(self, directory: Path) -> None:
        """Keep the state in *directory*, which must exist and be writable when something is saved."""
        self.path = directory / NAME
        self._written: str | None = None
        self._written_at = -math.inf

    def load(self, *, boot_id: str) -> Memory:
        """Return what was remembered; an empty memory where there is no file.

        Raise `StateFileError` where the file cannot be used. What another boot left behind of faults is dropped, for a
        stop and start refreshes the credentials; cadence, role and the last set are kept.
        """
        try:
            content = files.read(self.path, limit=MAX_SIZE, follow_links=False).data.decode("utf-8")
        except FileNotFoundError:
            return Memory(boot_id=boot_id)
        except (OSError, UnicodeDecodeError) as error:
            message = f"{self.path}: cannot be read ({getattr(error, 'strerror', None) or 'not UTF-8'})"
            raise StateFileError(message) from None
        try:
            memory = _decode(Fields(json.loads(content, parse_int=whole_number)))
        except (ValueError, RecursionError):
            message = f"{self.path}: not a state file of version {VERSION}"
            raise StateFileError(message) from None
        if memory.boot_id != boot_id:
            return replace(memory, boot_id=boot_id, faults={}, credentials_seen=False, current=False)
        return memory

    def save(self, memory: Memory, now: Moment) -> None:
        """Write *memory* where it differs from what stands there. Raise `OSError` where that fails."""
        stable = json.dumps(_encode(replace(memory, served=None)), sort_keys=True)
        if stable == self._written and now.uptime - self._written_at < KEEP_FRESH:
            return
        content = json.dumps(_encode(memory), indent=1, sort_keys=True)
        files.replace(self.path, f"{content}\n".encode(), mode=MODE)
        self._written, self._written_at = stable, now.uptime


def _encode(memory: Memory) -> dict[str, Any]:
    served = memory.served
    return {
        "version": VERSION,
        "instance_id": memory.instance_id,
        "boot_id": memory.boot_id,
        "faults": {
            fault.value: {"since": rfc3339(watched.since), "evidence": dict(watched.evidence)}
            for fault, watched in memory.faults.items()
            if watched.active
        },
        "served": None
        if served is None
        else {
            "role": served.role,
            "fingerprint": served.fingerprint,
            "last_updated": rfc3339(served.last_updated) if served.last_updated else None,
            "expiration": rfc3339(served.expiration) if served.expiration else None,
            "seen": rfc3339(served.seen),
        },
        "current": memory.current,
        "newest": rfc3339(memory.newest) if memory.newest else None,
        "settled": {
            "role": memory.settled.role,
            "instance_profile": memory.settled.instance_profile,
            "instance_profile_id": memory.settled.instance_profile_id,
        },
        "intervals": list(memory.intervals),
        "credentials_seen": memory.credentials_seen,
    }


def _decode(state: Fields) -> Memory:
    """Return the memory that *state* describes. Raise `ValueError` where it describes none."""
    state.number("version", (VERSION, VERSION))
    served, settled = state.optional_fields("served"), state.fields("settled")
    faults = state.fields("faults")
    return Memory(
        instance_id=state.optional_text("instance_id"),
        boot_id=state.text("boot_id"),
        faults={Fault(name): _watched(faults.fields(name)) for name, _ in faults.items()},
        served=None
        if served is None
        else Served(
            role=served.text("role"),
            fingerprint=served.optional_text("fingerprint"),
            last_updated=served.optional_time("last_updated"),
            expiration=served.optional_time("expiration"),
            seen=served.time("seen"),
        ),
        current=state.flag("current") and served is not None,
        newest=state.optional_time("newest"),
        settled=RoleBinding(
            role=settled.optional_text("role"),
            instance_profile=settled.optional_text("instance_profile"),
            instance_profile_id=settled.optional_text("instance_profile_id"),
        ),
        intervals=state.numbers("intervals", rotation.INTERVALS, most=rotation.KEPT),
        credentials_seen=state.flag("credentials_seen"),
    )


def _watched(state: Fields) -> Watched:
    return Watched(since=state.time("since"), evidence=state.evidence("evidence", text), active=True)
