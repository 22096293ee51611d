"""The daemon of a soak, as a process: ``daemon.py LAUNCHER CONFIG CLOCK JOURNAL``.

LAUNCHER is the packaged one whose libraries are taken, or ``-``: those of the caller. CLOCK is the file of a shared
clock, which this process puts forward instead of waiting; with ``-`` the clock is the machine's, and it waits. Signals,
settings, state and sockets are those of `rolewatch run`. It prints a line of JSON when it answers, and one after each
poll; under a shared clock it goes on when a line comes in.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
if sys.argv[1] != "-":
    runpy.run_path(sys.argv[1])["set_paths"](Path(sys.argv[1]), "run")
sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # as `run` does

from rolewatch import config  # noqa: E402 - after the paths
from rolewatch.cli import signals  # noqa: E402 - likewise
from rolewatch.cli.daemon import Daemon  # noqa: E402 - likewise
from rolewatch.monitor.loop import Wake  # noqa: E402 - likewise
from rolewatch.monitor.loop import clock as machine_clock  # noqa: E402 - likewise
from rolewatch.publish import Report  # noqa: E402 - likewise
from rolewatch.settings import Settings  # noqa: E402 - likewise
from rolewatch.vocabulary import FailureLabel  # noqa: E402 - likewise
from soak.shared_clock import SharedClock  # noqa: E402 - likewise


def say(**facts: object) -> None:
    """Print a line of JSON for the parent process."""
    print(json.dumps(facts), flush=True)


class Tally:
    """Pauses for the daemon, and prints of each poll when it was, and when it was due."""

    name = "tally"

    def __init__(self, shared: SharedClock | None, settings: Settings) -> None:
        """Wait by *shared*, or really where it is None."""
        self._shared = shared
        self.clock = shared or machine_clock
        self._poll = settings.poll
        self._due: float | None = None
        self._last: float | None = None
        self._throttled = 0
        self._most = 0.0
        self._new = False

    def publish(self, report: Report) -> None:
        """Print the poll that has ended."""
        snapshot = report.snapshot
        now = snapshot.moment.uptime
        say(
            polls=snapshot.polls.ended,
            state=snapshot.state.value,
            late=0.0 if self._due is None else now - snapshot.polls.duration - self._due,
            over=0.0 if self._last is None else now - snapshot.polls.duration - self._last - self._most,
        )
        throttled = snapshot.polls.failures.get(FailureLabel.THROTTLED, 0)
        # `schedule`: on a grid, so up to one and a half intervals; longer only where IMDS throttles.
        self._most = self._poll.max_interval if throttled > self._throttled else 1.5 * self._poll.interval
        self._last, self._throttled, self._new = now, throttled, True

    def pause(self, seconds: float) -> Wake:
        """Wait, as `rolewatch run` does, or put the clock forward."""
        if self._shared is None:
            self._due = self.clock().uptime + seconds
            return signals.pause(seconds)
        if self._new:
            self._new = False
            if not sys.stdin.readline():
                return Wake.STOP
        self._due = self.clock().uptime + seconds
        wake = signals.pause(0)
        if wake is Wake.TIMER:
            self._shared.skip(seconds)
        return wake


def main(file: Path, clock: str, journal: str) -> None:
    """Run until a signal, or the end of standard input."""
    signals.block()

    def load() -> tuple[Settings, Sequence[str]]:
        loaded = config.load(file, environ={}, flags={})
        return loaded.settings, loaded.warnings

    settings, _ = load()
    tally = Tally(None if clock == "-" else SharedClock(Path(clock)), settings)
    daemon = Daemon(
        settings, load, os.environ, clock=tally.clock, journal_socket=journal, extra_publishers=(tally,), min_gap=0
    )
    daemon.run(tally.pause, ready=lambda endpoint: say(listen=endpoint.addresses[0]))


if __name__ == "__main__":
    main(Path(sys.argv[2]), *sys.argv[3:5])
