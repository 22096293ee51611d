"""A daemon as a process among failing surroundings: its figures are asked for, and polls are asked of it."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from dataclasses import dataclass

from harness import get, sample_of
from process import LIMIT, Process

BREATH = 0.02
"""Seconds between two looks."""


@dataclass
class Living:
    """One daemon that listens at *address*."""

    popen: subprocess.Popen[str]
    address: str
    log: Process | None = None
    """What it says on standard error, where that can be read."""

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.popen.pid

    @property
    def process(self) -> Process:
        """The same, as the reader of its log."""
        assert self.log is not None
        return self.log

    def metric(self, name: str, **labels: str) -> float | None:
        """Return one figure of the metrics."""
        return sample_of(get(f"http://{self.address}/metrics")[1], name, labels)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.popen.send_signal(number)

    def polls(self) -> float:
        """Return how many polls have ended."""
        return self.metric("rolewatch_polls_total") or 0.0

    def poll(self, count: int = 1) -> float:
        """Let it poll *count* times, which takes a second each, and return the seconds that the slowest took."""
        slowest = 0.0
        for _ in range(count):
            before, begun = self.polls(), time.monotonic()
            self.signal(signal.SIGUSR1)
            self.wait_for_polls(before + 1)
            slowest = max(slowest, time.monotonic() - begun)
        return slowest

    def wait_for_polls(self, count: float) -> None:
        """Return when so many polls have ended. At the start nobody answers yet."""
        end = time.monotonic() + LIMIT
        ended = 0.0
        while ended < count:
            with contextlib.suppress(OSError):
                ended = self.polls()
            assert time.monotonic() < end, (
                f"no poll within {LIMIT:g} s: {self.log and (self.log.entries, self.log.other)}"
            )
            time.sleep(BREATH)


def living(process: Process) -> Living:
    """Return *process* once it has polled."""
    address = str(process.wait_for("started")["listen"]).split(", ", maxsplit=1)[0]
    alive = Living(process.popen, address, process)
    alive.wait_for_polls(1)
    return alive
