"""Keep what must survive a restart: one small JSON file, without a secret; and `Fields`, which reads such files.

Not synced: an fsync on a hung disk would block the daemon. After a power cut the file may be empty, and is ignored.

The state file may be corrupt, and the evidence of a confirmation is written by another user. So each value has a type
and a range: a number that is not bounded here would overflow somewhere else, at every start.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Callable, Union

from rolewatch import files
from rolewatch.errors import StateFileError
from rolewatch.faults import Fault
from rolewatch.monitor import track
from rolewatch.monitor.memory import BindingHistory, CredentialHistory, CredentialSet, FaultState, Instance, Memory
from rolewatch.observation import Moment, RoleBinding
from rolewatch.text import is_printable, rfc3339, timestamp
from rolewatch.vocabulary import EVIDENCE_KEYS, Scalar

VERSION = 1
NAME = "state.json"
MAX_SIZE = 64 * 1024
"""Bytes; ours has about one kB."""
MODE = 0o600
KEEP_FRESH = 120.0
"""Seconds after which the file is written although nothing happened: `CredentialSet.seen` must stay younger than
`track.UNWATCHED`, or an interval between two rotations is not counted after a restart."""


class StateFile:
    """The state file in one directory."""

    name = "state_file"

    def __init__(self, directory: Path, endpoint: str = "") -> None:
        """Keep the state in *directory*, which must exist and be writable when `save` is called.

        *endpoint* is the URL of the IMDS that the state is of.
        """
        self.path = directory / NAME
        self._endpoint = endpoint
        self._written: str | None = None
        self._written_at = -math.inf

    def load(self, *, boot_id: str, instance_id: str | None = None) -> Memory:
        """Return the saved memory; an empty one if there is no file.

        The faults of another boot, or of another endpoint, are dropped: a stop and start refreshes the credentials, and
        in an image made of a running instance they are another's. The rotation interval, the role and the last set are
        kept, and not published before IMDS answers. Raise `StateFileError` if the file cannot be used, or if it belongs
        to another instance than *instance_id*, the one that the firmware names.
        """
        try:
            content = files.read(self.path, limit=MAX_SIZE, follow_links=False).data.decode("utf-8")
        except FileNotFoundError:
            return Memory(boot_id=boot_id)
        except (OSError, UnicodeDecodeError) as error:
            message = f"{self.path}: cannot be read ({getattr(error, 'strerror', None) or 'not UTF-8'})"
            raise StateFileError(message) from None
        try:
            state = Fields.parse(content)
            memory, endpoint = _decode(state), state.optional_text("endpoint") if state.has("endpoint") else None
        except (ValueError, RecursionError):
            message = f"{self.path}: not a state file of version {VERSION}"
            raise StateFileError(message) from None
        if instance_id and memory.instance.id not in (None, instance_id):
            raise StateFileError(f"{self.path}: belongs to another instance ({memory.instance.id})")
        if not boot_id or memory.boot_id != boot_id or endpoint not in (None, self._endpoint):
            credentials = replace(memory.credentials, usable_seen=False, served=False)
            return replace(memory, boot_id=boot_id, faults={}, credentials=credentials)
        return memory

    def save(self, memory: Memory, now: Moment) -> None:
        """Write *memory* if it differs from what the file contains. Raise `OSError` if that fails."""
        without_set = replace(memory, credentials=replace(memory.credentials, last=None))
        stable = json.dumps(_encode(without_set, self._endpoint), sort_keys=True)
        if stable == self._written and now.uptime - self._written_at < KEEP_FRESH:
            return
        content = json.dumps(_encode(memory, self._endpoint), indent=1, sort_keys=True)
        files.replace(self.path, f"{content}\n".encode(), mode=MODE)
        self._written, self._written_at = stable, now.uptime


def _encode(memory: Memory, endpoint: str) -> dict[str, Any]:
    history, confirmed = memory.credentials, memory.binding.confirmed
    last = history.last
    return {
        "version": VERSION,
        "instance_id": memory.instance.id,
        "boot_id": memory.boot_id,
        "endpoint": endpoint,
        "faults": {
            fault.value: {"since": rfc3339(state.since), "evidence": dict(state.evidence)}
            for fault, state in memory.faults.items()
            if state.active
        },
        "served": None
        if last is None
        else {
            "role": last.role,
            "fingerprint": last.fingerprint,
            "last_updated": rfc3339(last.last_updated) if last.last_updated else None,
            "expiration": rfc3339(last.expiration) if last.expiration else None,
            "seen": rfc3339(last.seen),
        },
        "current": history.served,
        "newest": rfc3339(history.newest) if history.newest else None,
        "settled": {
            "role": confirmed.role,
            "instance_profile": confirmed.instance_profile,
            "instance_profile_id": confirmed.instance_profile_id,
        },
        "intervals": list(history.intervals),
        "credentials_seen": history.usable_seen,
    }


def _decode(state: Fields) -> Memory:
    """Return the memory that *state* describes. Raise `ValueError` if it describes none."""
    state.number("version", (VERSION, VERSION))
    last, confirmed = state.optional_fields("served"), state.fields("settled")
    faults = state.fields("faults")
    return Memory(
        boot_id=state.text("boot_id"),
        instance=Instance(id=state.optional_text("instance_id")),
        faults={Fault(name): _fault_state(faults.fields(name)) for name, _ in faults.items()},
        binding=BindingHistory(
            confirmed=RoleBinding(
                role=confirmed.optional_text("role"),
                instance_profile=confirmed.optional_text("instance_profile"),
                instance_profile_id=confirmed.optional_text("instance_profile_id"),
            )
        ),
        credentials=CredentialHistory(
            last=None
            if last is None
            else CredentialSet(
                role=last.text("role"),
                fingerprint=last.optional_text("fingerprint"),
                last_updated=last.optional_time("last_updated"),
                expiration=last.optional_time("expiration"),
                seen=last.time("seen"),
            ),
            newest=state.optional_time("newest"),
            intervals=state.numbers("intervals", track.INTERVALS, most=track.KEPT),
            usable_seen=state.flag("credentials_seen"),
            served=state.flag("current") and last is not None,
        ),
    )


def _fault_state(state: Fields) -> FaultState:
    return FaultState(since=state.time("since"), evidence=state.evidence("evidence", text), active=True)


Number = Union[int, float]
Range = tuple[Number, Number]
"""The lowest and the highest value that are accepted."""

_ALL_TIME = 10_000 * 366 * 86_400
"""The most seconds between two values of `datetime`."""
EVIDENCE_RANGES: Mapping[str, Range] = {
    "errno": (-4095, 4095),
    "http_status": (0, 999),
    "roles": (0, 1_000_000),
    "route_table": (0, 2**32),
    "hop_limit": (0, 255),
    "needed_hop_limit": (0, 255),
    **{key: (-_ALL_TIME, _ALL_TIME) for key in EVIDENCE_KEYS if key.endswith("_seconds")},
}
"""The pieces of evidence that are numbers. All others are text."""


class Fields:
    """The members of a JSON object. Every method raises `ValueError` if the member is missing or out of range."""

    def __init__(self, value: object) -> None:
        """Wrap *value*, as `json.loads` returned it. Raise `ValueError` if it is not an object."""
        if not isinstance(value, dict):
            raise ValueError("not an object")  # noqa: TRY004 - the callers handle one kind of error
        self._members: dict[str, object] = value

    @classmethod
    def parse(cls, content: str) -> Fields:
        """Return the JSON object *content*. Raise `ValueError` or `RecursionError` if it is none."""
        return cls(json.loads(content, parse_int=_whole_number))

    def has(self, key: str) -> bool:
        """Return whether there is a member *key*."""
        return key in self._members

    def get(self, key: str) -> object:
        """Return the member *key*, of any type."""
        if key not in self._members:
            raise ValueError("a member is missing")
        return self._members[key]

    def fields(self, key: str) -> Fields:
        """Return the object *key*."""
        return Fields(self.get(key))

    def optional_fields(self, key: str) -> Fields | None:
        """Return the object *key*, or None for null."""
        return None if self.get(key) is None else self.fields(key)

    def objects(self, key: str) -> list[Fields]:
        """Return the list of objects *key*."""
        values = self.get(key)
        if not isinstance(values, list):
            raise ValueError("not a list")  # noqa: TRY004 - as above
        return [Fields(value) for value in values]

    def items(self) -> list[tuple[str, object]]:
        """Return all members, of any type."""
        return list(self._members.items())

    def text(self, key: str) -> str:
        """Return the printable text *key*."""
        return text(self.get(key))

    def optional_text(self, key: str) -> str | None:
        """Return the printable text *key*, or None for null."""
        return None if self.get(key) is None else self.text(key)

    def flag(self, key: str) -> bool:
        """Return the truth value *key*."""
        value = self.get(key)
        if not isinstance(value, bool):
            raise ValueError("not true or false")  # noqa: TRY004 - as above
        return value

    def number(self, key: str, allowed: Range) -> Number:
        """Return the number *key*."""
        return number(self.get(key), allowed)

    def numbers(self, key: str, allowed: Range, *, most: int) -> tuple[float, ...]:
        """Return the list of at most *most* numbers *key*."""
        values = self.get(key)
        if not isinstance(values, list) or len(values) > most:
            raise ValueError("not a list, or too long")
        return tuple(float(number(value, allowed)) for value in values)

    def time(self, key: str) -> datetime:
        """Return the time *key*."""
        moment = timestamp(self.text(key))
        if moment is None:
            raise ValueError("not a time")
        return moment

    def optional_time(self, key: str) -> datetime | None:
        """Return the time *key*, or None for null."""
        return None if self.get(key) is None else self.time(key)

    def evidence(self, key: str, as_text: Callable[[object], str]) -> dict[str, Scalar]:
        """Return the evidence *key*: known keys only, each number in its range, each text passed through *as_text*."""
        kept: dict[str, Scalar] = {}
        for name, value in self.fields(key).items():
            if name not in EVIDENCE_KEYS:
                raise ValueError("unknown evidence")
            allowed = EVIDENCE_RANGES.get(name)
            kept[name] = as_text(value) if allowed is None else number(value, allowed)
        return kept


def number(value: object, allowed: Range) -> Number:
    """Return *value* if it is a number within *allowed*. Raise `ValueError` otherwise, also for NaN and booleans."""
    lowest, highest = allowed
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not lowest <= value <= highest:
        raise ValueError("not a number, or out of range")
    return value


def text(value: object) -> str:
    """Return *value* if it is printable text on one line. Raise `ValueError` otherwise."""
    if not isinstance(value, str) or not is_printable(value):
        raise ValueError("not printable text")
    return value


_MOST_DIGITS = 20


def _whole_number(digits: str) -> int:
    """Return the JSON number *digits*. Raise `ValueError` if it has more than 20 digits.

    The time in which Python before 3.9.14 reads a number grows with the square of its length.
    """
    if len(digits) > _MOST_DIGITS:
        raise ValueError
    return int(digits)
