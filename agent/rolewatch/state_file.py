"""Keep what must survive a restart: one small JSON file, without a secret.

Not synced: after a power cut the file may be empty, which is a file to ignore, and an fsync on a hung disk would hold
the watching up.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Dict, Optional, Tuple, Union

from rolewatch import files
from rolewatch.documents import timestamp
from rolewatch.errors import StateFileError
from rolewatch.faults import Fault
from rolewatch.memory import Attached, Memory, Served, Watched
from rolewatch.model import EVIDENCE_KEYS, Moment, Scalar, rfc3339
from rolewatch.text import is_printable

VERSION = 1
NAME = "state.json"
MAX_SIZE = 64 * 1024
"""Bytes; ours has about one kB."""
MODE = 0o600
KEEP_FRESH = 120.0
"""Seconds after which the file is written although nothing happened: `Served.seen` must stay younger than
`cadence.UNWATCHED`, or an interval between two rotations is not counted after a restart."""


class StateFile:
    """The state file in one directory."""

    name = "state_file"

    def __init__(self, directory: Path) -> None:
        """Keep the state in *directory*, which must exist and be writable when something is saved."""
        self.path = directory / NAME
        self._written: Optional[str] = None
        self._written_at = -math.inf

    def load(self, *, boot_id: str) -> Memory:
        """Return what was remembered; an empty memory where there is no file.

        Raise `StateFileError` where the file cannot be used. What another boot left behind of faults is dropped, for a
        stop and start refreshes the credentials; cadence, role and the last set are kept.
        """
        try:
            text = files.read(self.path, limit=MAX_SIZE, follow_links=False).data.decode("utf-8")
        except FileNotFoundError:
            return Memory(boot_id=boot_id)
        except (OSError, UnicodeDecodeError) as error:
            message = f"{self.path}: cannot be read ({getattr(error, 'strerror', None) or 'not UTF-8'})"
            raise StateFileError(message) from None
        try:
            memory = _decode(json.loads(text))
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
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
        text = json.dumps(_encode(memory), indent=1, sort_keys=True)
        files.replace(self.path, f"{text}\n".encode(), mode=MODE)
        self._written, self._written_at = stable, now.uptime


def _encode(memory: Memory) -> Dict[str, Any]:
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


def _decode(state: Any) -> Memory:  # noqa: ANN401 - whatever JSON held
    """Return the memory that *state* describes. Raise `ValueError`, `TypeError` or `KeyError` where it is none."""
    if state["version"] != VERSION:
        raise ValueError
    served = state["served"]
    return Memory(
        instance_id=_optional_text(state["instance_id"]),
        boot_id=_text(state["boot_id"]),
        faults={Fault(name): _watched(watched) for name, watched in _object(state["faults"]).items()},
        served=None
        if served is None
        else Served(
            role=_text(served["role"]),
            fingerprint=_optional_text(served["fingerprint"]),
            last_updated=timestamp(_optional_text(served["last_updated"])),
            expiration=timestamp(_optional_text(served["expiration"])),
            seen=_time(served["seen"]),
        ),
        current=state["current"] is True and served is not None,
        newest=timestamp(_optional_text(state["newest"])),
        settled=Attached(
            role=_optional_text(state["settled"]["role"]),
            instance_profile=_optional_text(state["settled"]["instance_profile"]),
            instance_profile_id=_optional_text(state["settled"]["instance_profile_id"]),
        ),
        intervals=_intervals(state["intervals"]),
        credentials_seen=state["credentials_seen"] is True,
    )


def _watched(state: Any) -> Watched:  # noqa: ANN401 - whatever JSON held
    evidence: Dict[str, Scalar] = {}
    for key, value in _object(state["evidence"]).items():
        if key not in EVIDENCE_KEYS:
            raise ValueError
        evidence[key] = _number(value) if key in _NUMBERS else _text(value)
    return Watched(since=_time(state["since"]), evidence=evidence, active=True)


def _intervals(values: Any) -> Tuple[float, ...]:  # noqa: ANN401 - whatever JSON held
    if not isinstance(values, list):
        raise TypeError
    intervals = tuple(float(_number(value)) for value in values)
    if not all(value > 0 for value in intervals):
        raise ValueError
    return intervals


_NUMBERS = {"errno", "http_status", "roles", *(key for key in EVIDENCE_KEYS if key.endswith("_seconds"))}
"""The pieces of evidence that are numbers, and are counted with."""


def _number(value: Any) -> Union[int, float]:  # noqa: ANN401 - whatever JSON held
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError
    if not math.isfinite(value):  # raises OverflowError for an integer that is no float
        raise ValueError
    return value


def _object(value: Any) -> Dict[str, Any]:  # noqa: ANN401 - whatever JSON held
    if not isinstance(value, dict):
        raise TypeError
    return value


def _time(value: Any) -> datetime:  # noqa: ANN401 - whatever JSON held
    moment = timestamp(_text(value))
    if moment is None:
        raise ValueError
    return moment


def _text(value: Any) -> str:  # noqa: ANN401 - whatever JSON held
    if not isinstance(value, str):
        raise TypeError
    if not is_printable(value):  # nothing of ours has a line break or half a character in it
        raise ValueError
    return value


def _optional_text(value: Any) -> Optional[str]:  # noqa: ANN401 - whatever JSON held
    return None if value is None else _text(value)
