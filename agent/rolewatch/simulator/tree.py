"""The items below a version, and their directory listings."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Dict, List, Optional

VERSIONS = (
    "1.0",
    "2007-01-19",
    "2007-03-01",
    "2007-08-29",
    "2007-10-10",
    "2007-12-15",
    "2008-02-01",
    "2008-09-01",
    "2009-04-04",
    "2011-01-01",
    "2011-05-01",
    "2012-01-12",
    "2014-02-25",
    "2014-11-05",
    "2015-10-20",
    "2016-04-19",
    "2016-06-30",
    "2016-09-02",
    "2018-03-28",
    "2018-08-17",
    "2018-09-24",
    "2019-10-01",
    "2020-10-27",
    "2021-01-03",
    "2021-03-23",
    "2021-07-15",
    "2022-09-24",
    "2024-04-11",
    "latest",
)
"""What ``GET /`` lists. Later dates exist; clients take ``latest`` or a date they know."""


@dataclass(frozen=True)
class Item:
    """One document: its bytes, and since when it stands so."""

    body: bytes = field(repr=False)
    modified: datetime
    since: str = "1.0"
    """The first version of the metadata that has it."""


class Tree:
    """Items by their path below the version, such as ``meta-data/iam/info``."""

    def __init__(self, modified: datetime) -> None:
        """Begin empty; listings bear the time *modified*."""
        self._modified = modified
        self._items: Dict[str, Item] = {}
        self._listings: Dict[str, Item] = {}

    def add(self, path: str, item: Item) -> None:
        """Add *item*; the directories above it follow from its path."""
        self._items[path] = item

    def list_as(self, path: str, body: bytes, modified: datetime, *, since: str = "1.0") -> None:
        """Answer *body* for the directory *path*, instead of the names of what is in it."""
        self._listings[path] = Item(body, modified, since)

    def find(self, path: str, version: str) -> Optional[Item]:
        """Return the item or the listing at *path*, with or without a slash at its end; None where there is none.

        A document with a slash behind it is none.
        """
        directory = path.endswith("/") or not path
        key = path.strip("/")
        item = self._listings.get(key) or (None if directory else self._items.get(key))
        if item is not None:
            return item if item.since <= version else None
        names = self._names(key + "/" if key else "", version)
        return Item("\n".join(names).encode(), self._modified) if names else None

    def _names(self, prefix: str, version: str) -> List[str]:
        """Return what is in the directory: its own directories end with a slash, except right below the version."""
        names = set()
        for path, item in [*self._items.items(), *self._listings.items()]:
            if path.startswith(prefix) and item.since <= version:
                first, slash, _ = path[len(prefix) :].partition("/")
                names.add(first + ("/" if prefix and (slash or path in self._listings) else ""))
        return sorted(names)
