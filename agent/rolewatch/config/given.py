"""What a source gives, before anybody has judged it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import List, Tuple


class Source(IntEnum):
    """Where a value comes from, the weakest first."""

    SDK = 1
    """A variable of the AWS SDKs."""
    FILE = 2
    ENVIRONMENT = 3
    """A ROLEWATCH_… variable."""
    FLAG = 4


@dataclass(frozen=True)
class Given:
    """One value that one source gives for one setting."""

    name: str
    """Of the setting: ``poll.interval``."""
    value: object
    source: Source
    origin: str
    """The place, as a complaint and ``rolewatch config show`` name it: ``FILE:LINE``, a variable, a flag."""
    item_origins: Tuple[str, ...] = ()
    """The places of a list's items, where they are known."""
    complaint: str = ""
    """Why the value cannot be used, where the source knows that already; goes on after the setting's name."""


@dataclass
class Gathered:
    """Everything that the sources give, and what was wrong with them."""

    given: List[Given] = field(default_factory=list)
    problems: List[str] = field(default_factory=list)
    warnings: List[str] = field(default_factory=list)
    files: List[str] = field(default_factory=list)
    """The files that were read, in order."""
