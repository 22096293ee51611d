"""Publishers tell and never decide. Each is one small module; one that fails is counted, and the watching goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rolewatch.model import Report


class Publisher(Protocol):
    """Something that tells the outside what one turn of the loop found."""

    name: str
    """A word for metrics and logs."""

    def publish(self, report: Report) -> None:
        """Tell *report*. May raise anything; must not block for longer than a moment."""
