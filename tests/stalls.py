"""How long this machine stands still: what nothing that runs on it can be blamed for.

A virtual machine that shares its host does so now and then, for half a second or two.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time

import pytest
from _pytest.runner import runtestprotocol

_LOOKS, _LONGEST_LOOK = 400, 0.02
"""Looks a second on all processors together; but on each, two are no more than so many seconds apart."""


class Stalls:
    """The longest time, in seconds, for which a thread with something to do was kept waiting while this was entered.

    On whichever processor: the host takes them away one by one, and what waits for one that is gone is not moved.
    """

    def __enter__(self) -> Stalls:
        """Begin to look."""
        self._end = threading.Event()
        self._begun = time.monotonic()
        self._longest: dict[int, float] = {}
        processors = os.sched_getaffinity(0)
        self._look = min(_LONGEST_LOOK, len(processors) / _LOOKS)
        self._threads = [threading.Thread(target=self._watch, args=(each,), daemon=True) for each in processors]
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Look no more."""
        self._end.set()
        for each in self._threads:
            each.join()

    @property
    def longest(self) -> float:
        """The longest time so far."""
        return max(self._longest.values(), default=0.0)

    def _watch(self, processor: int) -> None:
        with contextlib.suppress(OSError):  # it has been taken from us since: on whichever there is
            os.sched_setaffinity(0, {processor})  # this thread's
        looked, ended = self._begun, False
        while not ended:
            ended = self._end.wait(self._look)
            now = time.monotonic()
            self._longest[processor] = max(self._longest.get(processor, 0.0), now - looked - self._look)
            looked = now


STALL = 0.2
"""Seconds. Clients and servers of the tests have time-outs of this order."""
REPLAYS = 2
LONGEST = 20.0
"""Seconds, without set-up. What took longer is not played again: pytest-timeout has one time-out for all times."""


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    """Play a test that fails while the machine stands still once more: nothing was seen of what it tests.

    What fails without a stall has failed, and so has what fails each time. Not where the set-up fails: fixtures that
    are shared are not made anew.
    """
    spent = 0.0
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    said = list(item.user_properties)
    for left in reversed(range(REPLAYS + 1)):
        with Stalls() as stalls:
            reports = runtestprotocol(item, log=False, nextitem=nextitem)
        failed = [report.when for report in reports if report.failed]
        spent += sum(report.duration for report in reports if report.when == "call")
        if failed != ["call"] or stalls.longest < STALL or not left or spent > LONGEST:
            break
        sys.stderr.write(f"\n{item.nodeid} failed in a stall of {stalls.longest:.1f} s: once more\n")
        item.user_properties[:] = said
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
