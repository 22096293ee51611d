"""Stalls of this machine: times in which a processor did not run a thread that was ready.

A virtual machine that shares its host has them, for half a second or two. A test that fails in one runs again.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections import deque

import pytest
from _pytest.runner import runtestprotocol

PERIOD = 0.02
"""Seconds between two readings of the clock, on each processor."""
STALL = 0.2
"""Seconds from which a delay counts. Clients and servers of the tests have time-outs of this order."""
RUNS = 3
LONGEST = 20.0
"""Seconds of all runs of a test together, without set-up: pytest-timeout has one limit for all of them."""

_stalls: deque[tuple[float, float]] = deque(maxlen=100)
"""When each stall ended, and the seconds that it lasted."""


def _watch(processor: int) -> None:
    """Record the stalls of one processor: the host takes them away one by one."""
    with contextlib.suppress(OSError):  # the processor was taken from this machine
        os.sched_setaffinity(0, {processor})  # of this thread
    last = time.monotonic()
    while True:
        time.sleep(PERIOD)
        now = time.monotonic()
        if now - last - PERIOD >= STALL:
            _stalls.append((now, now - last - PERIOD))
        last = now


for each in os.sched_getaffinity(0):
    threading.Thread(target=_watch, args=(each,), daemon=True).start()


def longest_stall(since: float) -> float:
    """Return the seconds of the longest stall that ended after *since* (of `time.monotonic`), or 0."""
    time.sleep(2 * PERIOD)  # one that has just ended is recorded
    return max((length for ended, length in list(_stalls) if ended > since), default=0.0)


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    """Run a test that fails in a stall again, twice at most. A failure without a stall counts, and so does the third.

    A test whose set-up fails is not run again: shared fixtures are not set up twice.
    """
    spent = 0.0
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    properties = list(item.user_properties)
    for run in range(RUNS):
        item.user_properties[:] = properties
        begun = time.monotonic()
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
        spent += sum(report.duration for report in reports if report.when == "call")
        failed = [report.when for report in reports if report.failed] == ["call"]
        stall = longest_stall(begun) if failed else 0.0
        if not stall or run + 1 == RUNS or spent > LONGEST:
            break
        sys.stderr.write(f"\n{item.nodeid} failed in a stall of {stall:.1f} s: once more\n")
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
