"""How long this machine stands still: what nothing that runs on it can be blamed for.

A virtual machine that shares its host does so now and then, for half a second or two.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import Optional

import pytest
from _pytest.runner import runtestprotocol

_LOOK = 0.005


class Stalls:
    """The longest time, in seconds, for which a thread with something to do was kept waiting while this was entered."""

    longest = 0.0

    def __enter__(self) -> Stalls:
        """Begin to look."""
        self._end = threading.Event()
        self._looked = time.monotonic()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Look no more."""
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        ended = False
        while not ended:
            ended = self._end.wait(_LOOK)
            now = time.monotonic()
            self.longest, self._looked = max(self.longest, now - self._looked - _LOOK), now


STALL = 0.2
"""Seconds. Clients and servers of the tests have time-outs of this order."""
REPLAYS = 2
LONGEST = 20.0
"""Seconds. What took longer is not played again: pytest-timeout has one time-out for all times together."""


def pytest_runtest_protocol(item: pytest.Item, nextitem: Optional[pytest.Item]) -> bool:
    """Play a test that fails while the machine stands still once more: nothing was seen of what it tests.

    What fails without a stall has failed, and so has what fails each time. Not where the set-up fails: fixtures that
    are shared are not made anew.
    """
    end = time.monotonic() + LONGEST
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    said = list(item.user_properties)
    for left in reversed(range(REPLAYS + 1)):
        with Stalls() as stalls:
            reports = runtestprotocol(item, log=False, nextitem=nextitem)
        failed = [report.when for report in reports if report.failed]
        if failed != ["call"] or stalls.longest < STALL or not left or time.monotonic() > end:
            break
        sys.stderr.write(f"\n{item.nodeid} failed in a stall of {stalls.longest:.1f} s: once more\n")
        item.user_properties[:] = said
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
