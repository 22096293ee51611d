"""Readers: turn a value from TOML, the environment or a flag into a setting's value, or explain why not."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Callable, Protocol, Union

from rolewatch.text import printable

_DURATION_NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
_FORM = re.compile(
    rf"(?:{_DURATION_NUMBER}h)? ?(?:{_DURATION_NUMBER}m)? ?(?:{_DURATION_NUMBER}s)? ?(?:{_DURATION_NUMBER}ms)?"
)
_SECONDS = (3600.0, 60.0, 1.0, 0.001)
_LONGEST = 40
"""Characters. Longer than any duration that makes sense, and short enough to be matched at once."""


def parse_duration(text: str) -> float | None:
    """Return the seconds that *text* stands for, the larger unit first; None where it is not a duration."""
    match = _FORM.fullmatch(text.strip()) if len(text) <= _LONGEST else None
    if match is None or not any(match.groups()):
        return None
    return sum(float(number) * unit for number, unit in zip(match.groups(), _SECONDS) if number)


def format_duration(seconds: float) -> str:
    """Return *seconds* (from 0 to a billion) as `parse_duration` reads it: ``1h30m``, ``2.5s``, ``250ms``."""
    if seconds < 1:
        return f"{seconds * 1000:.10g}ms" if seconds else "0s"
    whole, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(whole), 60)
    parts = (f"{hours}h" if hours else "", f"{minutes}m" if minutes else "", f"{rest:.10g}s" if rest else "")
    return "".join(parts)


Value = Union[str, float, bool, tuple[str, ...]]
"""What a setting may be. An ``int`` is a ``float`` to the type checker."""

_LONGEST_SHOWN = 60
_HUGE = 1e9
_HUGE_BITS = 64
_PASSWORD = re.compile(r"//[^/]*@")
_SEPARATORS = re.compile(r"[,\s]+")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(?:\.[0-9]{1,18})?")
_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


class UnusableError(ValueError):
    """A value cannot be used. The text goes on after the name of the setting: "is 2s; it must be …"."""

    def __init__(self, complaint: str, *, item: int | None = None) -> None:
        """Complain, about the whole value or about its *item*."""
        super().__init__(complaint)
        self.item = item


class Reader(Protocol):
    """Makes a setting's value of what a source gives."""

    @property
    def expects(self) -> str:
        """What is accepted, for the documentation: "duration, 5s to 1h"."""

    def from_text(self, text: str) -> object:
        """Return what *text* would be in TOML; *text* itself where that is not clear."""

    def __call__(self, given: object) -> Value:
        """Return the value. Raise `UnusableError` where *given* is no such thing."""


def shown(given: object) -> str:
    """Return *given* as a complaint may show it: on one line, not long, without a password."""
    if isinstance(given, bool):
        return str(given).lower()
    if isinstance(given, str):
        if _PASSWORD.search(given):
            return "a text that may hold a password, and is not shown for that"
        cut = given if len(given) <= _LONGEST_SHOWN else given[:_LONGEST_SHOWN] + "…"
        return f'"{printable(cut)}"'
    if isinstance(given, int):
        return str(given) if given.bit_length() <= _HUGE_BITS else "a number of many digits"
    if isinstance(given, float):
        return repr(given)
    return "a list" if isinstance(given, (list, tuple)) else "a table" if isinstance(given, dict) else "a date or time"


@dataclass(frozen=True)
class Duration:
    """A length of time between two bounds, in seconds. Numbers are seconds."""

    least: float
    most: float

    @property
    def _bounds(self) -> str:
        return f"{format_duration(self.least)} to {format_duration(self.most)}"

    @property
    def expects(self) -> str:
        """What is accepted."""
        return f"duration, {self._bounds}"

    def from_text(self, text: str) -> object:
        """Take a bare number for seconds."""
        bare = text.strip()
        return float(bare) if _NUMBER.fullmatch(bare) else text

    def __call__(self, given: object) -> float:
        """Return the seconds."""
        seconds = parse_duration(given) if isinstance(given, str) else given
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
            raise UnusableError(f'is {shown(given)}; write a duration, as in 30 (seconds), "30s", "1h30m" or "250ms"')
        if not self.least <= seconds <= self.most:
            # Huge numbers, infinite and negative ones have no form as a duration; not a number compares with nothing.
            found = format_duration(seconds) if 0 <= seconds < _HUGE else shown(given)
            raise UnusableError(f"is {found}; it must be {self._bounds}")
        return float(seconds)


@dataclass(frozen=True)
class Whole:
    """A whole number between two bounds."""

    least: int
    most: int

    @property
    def expects(self) -> str:
        """What is accepted."""
        return f"whole number, {self.least} to {self.most}"

    def from_text(self, text: str) -> object:
        """Take digits for a number."""
        bare = text.strip()
        return int(bare) if _INTEGER.fullmatch(bare) else text

    def __call__(self, given: object) -> int:
        """Return the number."""
        if isinstance(given, bool) or not isinstance(given, int):
            without_quotes = isinstance(given, str) and _INTEGER.fullmatch(given)
            hint = f" without quotes: {given}" if without_quotes else f", as in {self.least}"
            raise UnusableError(f"is {shown(given)}; write a whole number{hint}")
        if not self.least <= given <= self.most:
            raise UnusableError(f"is {shown(given)}; it must be {self.least} to {self.most}")
        return given


@dataclass(frozen=True)
class Switch:
    """True or false."""

    expects: str = "true or false"

    def from_text(self, text: str) -> object:
        """Take the words that people write in an environment."""
        return _WORDS.get(text.strip().lower(), text)

    def __call__(self, given: object) -> bool:
        """Return which."""
        if not isinstance(given, bool):
            meant = _WORDS.get(given.lower() if isinstance(given, str) else shown(given))
            hint = "true or false" if meant is None else str(meant).lower()
            raise UnusableError(f"is {shown(given)}; write {hint}, without quotes")
        return given


@dataclass(frozen=True)
class Text:
    """A text that *parse* accepts, in the form in which it is used."""

    expects: str
    parse: Callable[[str], str]
    optional: bool = False
    """Whether the empty text is accepted, as it is."""

    def from_text(self, text: str) -> object:
        """Take the text as it is."""
        return text

    def __call__(self, given: object) -> str:
        """Return the text in its form."""
        if not isinstance(given, str):
            raise UnusableError(f"is {shown(given)}; write a text in quotes")
        return given if self.optional and not given else self.parse(given)


@dataclass(frozen=True)
class Several:
    """A list of texts. A single text stands for a list of one; what is said twice counts once."""

    item: Text

    @property
    def expects(self) -> str:
        """What is accepted."""
        return f"list: {self.item.expects}"

    def from_text(self, text: str) -> object:
        """Split *text* at commas and white space."""
        return [word for word in _SEPARATORS.split(text) if word]

    def __call__(self, given: object) -> tuple[str, ...]:
        """Return the items, each in its form."""
        items = [given] if isinstance(given, str) else given
        if not isinstance(items, (list, tuple)):
            raise UnusableError(f'is {shown(given)}; write a list of texts, as in ["one", "two"]')
        values = []
        for number, item in enumerate(items):
            try:
                values.append(self.item(item))
            except UnusableError as error:
                raise UnusableError(str(error), item=number) from None
        return tuple(dict.fromkeys(values))
