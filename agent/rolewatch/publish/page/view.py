"""What one look at the page is made of. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from rolewatch.model import Snapshot, State
from rolewatch.publish.page.recent import Recent


@dataclass(frozen=True)
class View:
    """The last report, and when it is looked at."""

    snapshot: Optional[Snapshot]
    """None before the first poll has ended."""
    age: float
    """Seconds since the last poll ended; without one since the start."""
    stuck: bool = False
    """Whether the next poll is so late that what is shown may be wrong."""
    recent: Recent = field(default_factory=Recent)
    refresh: Optional[int] = None
    """Seconds until the browser asks again; None where the reader has stopped that."""
    version: str = ""
    runbooks: str = ""
    """URL below which every fault has its page, by its name. Empty: there are none."""
    homepage: str = ""
    uid: Optional[int] = None
    """User that asked IMDS: firewall rules may be for single users."""

    @property
    def state(self) -> State:
        """The state that is shown."""
        return self.snapshot.state if self.snapshot else State.STARTING
