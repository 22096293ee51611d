"""How long everything took, as a table, and what it can take at most where time is not compressed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from e2e.compress import seconds
from e2e.monitoring import SCRAPE
from e2e.shipped import CONFIG, EXPECTED, RULES
from e2e.story import FACTOR, LOTS, Story
from rolewatch.faults import FAULTS, Fault
from rolewatch.settings import ConfirmSettings, PollSettings

EXPLAINED = (
    "Seconds from the fault to the metric, the alert and the webhook, and from its repair to the message that it is",
    "over, with time compressed {0:g} times. At most: until the webhook has it where time is not compressed, for the",
    "first alert of a group; one that joins its group later may wait for {1} more. What a window has to fill with has",
    "no such bound.",
    "",
)
HEAD = ("trouble", "alert", "severity", "metric", "alert", "webhook", "over", "at most")


def table(story: Story) -> Iterator[str]:
    """Yield the lines of the table."""
    rows = [_row(lot, name, story) for lot in LOTS for name in sorted(EXPECTED.get(lot, ())) if lot in story.times]
    lines: list[list[str]] = [list(HEAD), *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    yield from (line.format(FACTOR, _span(GROUP_INTERVAL)) for line in EXPLAINED)
    for line in lines:
        cells = [
            cell.ljust(width) if column < 3 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths))
        ]
        yield "  ".join(cells).rstrip()


def _row(lot: str, name: str, story: Story) -> list[str]:
    times, rule = story.times[lot], rule_of(name)
    return [
        lot,
        name,
        rule.get("labels", {}).get("severity", ""),
        *(_since(times.inflicted, at) for at in (times.metric, times.firing, times.notified)),
        _since(times.repaired, times.resolved),
        "-" if "[" in rule["expr"] else _span(at_most(lot, name)),
    ]


def rule_of(name: str) -> dict[str, Any]:
    """Return the rule of the alert *name*, as it is shipped."""
    rules = (rule for group in RULES["groups"] for rule in group["rules"] if rule.get("alert") == name)
    return dict(next(rules))


def at_most(lot: str, name: str) -> float:
    """Return the most seconds that can pass, uncompressed, from the trouble of an instance until the webhook has it.

    Polls, a scrape, an evaluation of the rules, ``for``, and Alertmanager's ``group_wait``; time-outs come on top.
    """
    rule = rule_of(name)
    notified = SCRAPE + SCRAPE + seconds(rule.get("for", "0s")) + group_wait(rule.get("labels", {}).get("severity", ""))
    return _until_metric(lot) + notified


def _until_metric(lot: str) -> float:
    if lot not in {fault.value for fault in Fault}:
        return 0.0
    entry, poll, confirm = FAULTS[Fault(lot)], PollSettings(), ConfirmSettings()
    if entry.decided_by:  # from the first confirmation on; a second one is asked for
        return poll.interval + (entry.debounce - 1) * (confirm.spread + poll.interval)
    return poll.interval + (entry.debounce - 1) * poll.confirm_interval


GROUP_INTERVAL = seconds(CONFIG["route"]["group_interval"])
"""Seconds that an alert waits at most where its group was notified already."""


def group_wait(severity: str) -> float:
    """Return how long Alertmanager waits before it notifies of the first alert of a group."""
    route = CONFIG["route"]
    wait = route.get("group_wait", "30s")
    for child in route.get("routes", ()):
        if any(severity and severity in matcher for matcher in child.get("matchers", ())):
            wait = child.get("group_wait", wait)
            break
    return seconds(wait)


def _since(begin: float | None, end: float | None) -> str:
    return "-" if begin is None or end is None else f"{end - begin:.1f}"


def _span(duration: float) -> str:
    return f"{int(duration // 60)}m{int(duration % 60):02d}s"
