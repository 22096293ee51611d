"""A clock that several processes share, and that one of them puts forward: so a month passes in minutes.

It is the machine's clock and what was skipped, eight bytes in a file that all of them map.
"""

from __future__ import annotations

import mmap
import struct
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

from rolewatch.observation import Moment

_SKIPPED = struct.Struct("d")


class SharedClock:
    """The machine's clock, and the seconds that were skipped. An aligned double is read and written at once."""

    def __init__(self, path: Path) -> None:
        """Share what is skipped with everybody who has *path*; where it is not there yet, nothing was skipped."""
        if not path.exists():
            path.write_bytes(_SKIPPED.pack(0.0))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _SKIPPED.size)

    @property
    def skipped(self) -> float:
        """The seconds by which this clock is ahead of the machine's."""
        return float(_SKIPPED.unpack_from(self._memory)[0])

    def skip(self, seconds: float) -> None:
        """Put the clock forward. For one process only."""
        _SKIPPED.pack_into(self._memory, 0, self.skipped + seconds)

    def utc(self) -> datetime:
        """Return the time."""
        return datetime.now(timezone.utc) + timedelta(seconds=self.skipped)

    def __call__(self) -> Moment:
        """Return what the clocks say, as the daemon wants it."""
        return Moment(self.utc(), time.clock_gettime(time.CLOCK_BOOTTIME) + self.skipped)
