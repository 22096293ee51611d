"""``rolewatch run`` that polls five times a second: the daemon as it is, but for the pause between two polls.

``python hasty.py FILE``: started by `test_scrapers`, never by hand.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from rolewatch import config
from rolewatch.cli import signals
from rolewatch.cli.daemon import Daemon
from rolewatch.monitor.loop import Wake

PAUSE = 0.2
"""Seconds between two polls."""


def pause(seconds: float) -> Wake:
    """Wait as `run` does, and not as long."""
    woken = signals.pause(min(seconds, PAUSE))
    return Wake.POLL if woken is Wake.TIMER else woken


if __name__ == "__main__":
    signals.block()
    loaded = config.load(Path(sys.argv[1]), environ={}, flags={})
    Daemon(loaded.settings, lambda: (loaded.settings, ()), os.environ, min_gap=0).run(pause)
