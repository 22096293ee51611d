"""Time series for promtool, one value per minute: a fleet without faults, and what a test changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Callable, Optional

from rolewatch.faults import Fault
from rolewatch.vocabulary import FailureLabel, State

Value = Optional[float]
"""None: the series is not there in that minute."""
Course = Callable[[int], Value]
"""The value at each minute."""
MINUTE = 60


def steady(value: float) -> Course:
    """Return a course that does not change."""
    return lambda _: value


def between(start: int, end: int, *, other: float = 0, value: float = 1) -> Course:
    """Return *value* from the minute *start* until before *end*, and *other* before and after."""
    return lambda minute: value if start <= minute < end else other


def on_and_off(on: int, off: int) -> Course:
    """Return 1 for *on* minutes and 0 for *off*, again and again."""
    return lambda minute: 1 if minute % (on + off) < on else 0


def rotated(every: int, life: int) -> tuple[Course, Course]:
    """Return LastUpdated and Expiration of credentials that are renewed *every* so many minutes and live for *life*."""

    def last_updated(minute: int) -> float:
        return float(minute // every * every * MINUTE)

    return last_updated, lambda minute: last_updated(minute) + life * MINUTE


@dataclass
class Instance:
    """The series of one instance: without faults, except for what a test changes."""

    name: str
    up: Course = field(default_factory=lambda: steady(1))
    usable: Course = field(default_factory=lambda: steady(1))
    faults: dict[Fault, Course] = field(default_factory=dict)
    credentials: tuple[Course, Course] = field(default_factory=lambda: rotated(every=60, life=362))
    last_poll: Course = field(default_factory=lambda: lambda minute: minute * MINUTE)
    failures: Course = field(default_factory=lambda: steady(0))
    failure_label: FailureLabel = FailureLabel.THROTTLED
    """The reason of all of them."""
    dropped: Course = field(default_factory=lambda: steady(7))
    started: Course = field(default_factory=lambda: steady(0))
    config_ok: Course = field(default_factory=lambda: steady(1))

    def series(self) -> dict[str, Course]:
        """Return every series that an alert uses."""
        labels = f'job="rolewatch", instance="{self.name}"'
        exported: dict[str, Course] = {
            f"rolewatch_credentials_usable{{{labels}}}": self.usable,
            f"rolewatch_credentials_last_updated_timestamp_seconds{{{labels}}}": self.credentials[0],
            f"rolewatch_credentials_expiration_timestamp_seconds{{{labels}}}": self.credentials[1],
            f"rolewatch_poll_last_timestamp_seconds{{{labels}}}": self.last_poll,
            f"rolewatch_poll_interval_seconds{{{labels}}}": steady(30),
            f"rolewatch_polls_total{{{labels}}}": lambda minute: 2 * minute,
            f"rolewatch_config_last_reload_successful{{{labels}}}": self.config_ok,
            f"rolewatch_linklocal_packets_dropped_total{{{labels}}}": self.dropped,
            f"process_start_time_seconds{{{labels}}}": self.started,
        }
        for fault in Fault:
            course = self.faults.get(fault, steady(0))
            exported[f'rolewatch_fault_active{{{labels}, fault="{fault.value}"}}'] = course
        for state in State:
            exported[f'rolewatch_state{{{labels}, state="{state.value}"}}'] = steady(float(state is State.OK))
        for label in FailureLabel:
            course = self.failures if label is self.failure_label else steady(0)
            exported[f'rolewatch_poll_failures_total{{{labels}, reason="{label.value}"}}'] = course
        scraped = {name: self._scraped(course) for name, course in exported.items()}
        return {f"up{{{labels}}}": self.up, **scraped}

    def _scraped(self, course: Course) -> Course:
        """Return *course* but for the minutes in which the instance is not scraped."""
        return lambda minute: course(minute) if self.up(minute) == 1 else None


def input_series(instances: Sequence[Instance], minutes: int) -> list[dict[str, str]]:
    """Return the series of *instances* over so many *minutes*, as promtool's ``input_series``."""
    return [
        {"series": name, "values": " ".join(_written([course(minute) for minute in range(minutes + 1)]))}
        for instance in instances
        for name, course in instance.series().items()
    ]


def _written(values: Sequence[Value]) -> Iterator[str]:
    """Yield *values* in promtool's notation. Prometheus marks a series stale with the first scrape without it."""
    there = False
    for value in values:
        yield f"{value:.0f}" if value is not None else "stale" if there else "_"
        there = value is not None
