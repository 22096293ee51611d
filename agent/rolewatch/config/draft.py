"""The values in force while they are put together, and where each comes from."""

from __future__ import annotations

from dataclasses import replace
from operator import attrgetter
from typing import Any, Dict, Set

from rolewatch.config.given import Gathered, Given, Source
from rolewatch.config.keys import KEYS, TABLES
from rolewatch.config.values import UnusableError, Value
from rolewatch.settings import Settings


class Draft:
    """A value for every setting; the defaults to begin with."""

    def __init__(self) -> None:
        """Start with the defaults."""
        self.values: Dict[str, Value] = {name: key.default for name, key in KEYS.items()}
        self.origins: Dict[str, str] = dict.fromkeys(KEYS, "default")
        self.sources: Dict[str, Source] = {}
        self.broken: Set[str] = set()
        """Settings for which something unusable was given: nothing more is to be said of them."""

    def take(self, gathered: Gathered) -> None:
        """Take what was *gathered*, the weakest source first; add what cannot be used to its problems."""
        postponed: Dict[str, str] = {}
        for given in sorted(gathered.given, key=lambda one: one.source):  # stable: files stay in their order
            try:
                self._set(given, _read(given))
            except _ComplaintError as error:
                if given.source is Source.SDK:
                    postponed[given.name] = str(error)
                else:
                    gathered.problems.append(str(error))
                    self.broken.add(given.name)
        for name, problem in postponed.items():
            if name in self.sources:
                gathered.warnings.append(f"{problem} {self.origins[name]} stands before it, and is used.")
            else:
                gathered.problems.append(problem)
                self.broken.add(name)

    def _set(self, given: Given, value: Value) -> None:
        self.values[given.name], self.origins[given.name] = value, given.origin
        self.sources[given.name] = given.source

    def unset(self, name: str) -> None:
        """Let the default of the setting *name* be in force again."""
        self.values[name], self.origins[name] = KEYS[name].default, "default"
        self.sources.pop(name, None)

    def settings(self) -> Settings:
        """Return the values as settings."""
        tables: Dict[str, Dict[str, Any]] = {table: {} for table in TABLES}
        for name, value in self.values.items():
            tables[KEYS[name].table][KEYS[name].field] = value
        settings = Settings()
        for table in reversed(TABLES):  # a table in another one is made before it
            outer, _, field = table.rpartition(".")
            made = replace(attrgetter(table)(settings), **tables[table])
            if outer:
                tables[outer][field] = made
            else:
                settings = replace(settings, **{field: made})
        return settings


class _ComplaintError(Exception):
    """A value cannot be used; the text is a whole sentence that begins with the place."""


def _read(given: Given) -> Value:
    """Return the value that *given* stands for."""
    if given.complaint:
        raise _ComplaintError(f"{given.origin}: {given.name} {given.complaint}.")
    try:
        return KEYS[given.name].read(given.value)
    except UnusableError as error:
        known = error.item is not None and error.item < len(given.item_origins)
        place = given.item_origins[error.item or 0] if known else given.origin
        raise _ComplaintError(f"{place}: {given.name} {error}.") from None
