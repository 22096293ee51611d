"""Decode what is kept in JSON files: each value has a type and a range, whatever the file holds.

The state file may be corrupt, and the evidence of a confirmation is written by another user. A number that is not
bounded here is one that overflows somewhere else, at every start.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Callable, Union

from rolewatch.text import is_printable, timestamp
from rolewatch.vocabulary import EVIDENCE_KEYS, Scalar

Number = Union[int, float]
Range = tuple[Number, Number]
"""The lowest and the highest value that are accepted."""

_ALL_TIME = 10_000 * 366 * 86_400
"""Seconds between any two times that a `datetime` can hold, at most."""
EVIDENCE_RANGES: Mapping[str, Range] = {
    "errno": (-4095, 4095),
    "http_status": (0, 999),
    "roles": (0, 1_000_000),
    **{key: (-_ALL_TIME, _ALL_TIME) for key in EVIDENCE_KEYS if key.endswith("_seconds")},
}
"""The pieces of evidence that are numbers, which are calculated with. All others are text."""


class Fields:
    """The members of a JSON object. Every method raises `ValueError` where the member is missing or out of range."""

    def __init__(self, value: object) -> None:
        """Take *value*, as `json.loads` returned it. Raise `ValueError` where it is no object."""
        if not isinstance(value, dict):
            raise ValueError("not an object")  # noqa: TRY004 - the callers have one kind of error
        self._members: dict[str, object] = value

    def get(self, key: str) -> object:
        """Return the member *key*, whatever it is."""
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
        """Return all members, whatever they are."""
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
        """Return the evidence *key*: of the closed vocabulary, each number in its range, each text by *as_text*."""
        kept: dict[str, Scalar] = {}
        for name, value in self.fields(key).items():
            if name not in EVIDENCE_KEYS:
                raise ValueError("unknown evidence")
            allowed = EVIDENCE_RANGES.get(name)
            kept[name] = as_text(value) if allowed is None else number(value, allowed)
        return kept


def number(value: object, allowed: Range) -> Number:
    """Return *value* where it is a number within *allowed*. Raise `ValueError` otherwise, for NaN and booleans too."""
    lowest, highest = allowed
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not lowest <= value <= highest:
        raise ValueError("not a number, or out of range")
    return value


def text(value: object) -> str:
    """Return *value* where it is printable text: nothing of ours has a line break or half a character in it."""
    if not isinstance(value, str) or not is_printable(value):
        raise ValueError("not printable text")
    return value
