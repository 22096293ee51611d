"""A day, or a month, of polls in minutes: what the daemon is made of stays as it was."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from forms import Form
from promises import Area, Measured, promise
from soak.engine import Plan, Soak
from soak.figures import GROWTH, NAMES, STATE_FILE

HOUR, DAY = 3_600.0, 86_400.0
MEMORY = 2.0
"""MiB of memory that it may have more in the end. Python takes memory from the kernel a MiB at a time: this is room for
two such pieces that are used in part. `make soak`, on what the packages install, is held to one."""


@pytest.mark.slow
@pytest.mark.timeout(3000)
@promise(
    Area.ENDURANCE,
    "All scenarios at random for a month of polls (in the short form a day), with scrapes, reloads, restarts",
    "Memory, file descriptors and threads stay as they were; no poll is missed, no entry lost, no scrape refused",
)
def test_a_month_leaves_it_as_it_was(tmp_path: Path, measured: Measured, *, form: Form) -> None:
    """Time is skipped, not polls. The figures are taken when it has seen every scenario once, and at the end."""
    seed = random.SystemRandom().randrange(1 << 32)
    plan = form.pick(
        quick=Plan(seed, visit=1, rest=1, lives=(5,)),
        short=Plan(seed, visit=3, rest=6, lives=(10, 10)),
        long=Plan(seed, visit=6, rest=54),
    )
    outcome = Soak(tmp_path, plan, accelerated=True).run(form.pick(quick=2 * HOUR, short=DAY, long=30 * DAY))
    print(f"seed {seed}", *outcome.table(), sep="\n")  # to find the cause of a failure

    counts = outcome.counts
    measured("polls", counts.polls, "")
    measured("scrapes", counts.scrapes, "")
    measured("restarts", counts.restarts, "")
    measured("reloads", counts.reloads, "")
    measured("USS, from the sources", outcome.after.uss, "MiB")
    measured("RSS, from the sources", outcome.after.rss, "MiB")
    measured("PSS, from the sources", outcome.after.pss, "MiB")
    for name, growth in outcome.growth():
        bound = MEMORY if name == "anonymous" else GROWTH[name]
        measured(f"growth of {NAMES[name][0]}", growth, NAMES[name][1], bound=bound)
    measured("state file", outcome.after.state_file, "bytes", bound=STATE_FILE)
    measured("polls missed", counts.missed, "", bound=0)
    measured("entries lost", counts.dropped, "", bound=0)
    measured("scrapes refused", counts.scrapes_failed, "", bound=0)
    measured("publishers' failures", counts.publisher_failures, "", bound=0)
