"""The loop: poll, classify, track, publish, wait. Only this module and `cli` read a clock."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from typing import Callable, Optional, TypeVar

from rolewatch import monitor
from rolewatch.errors import RolewatchError
from rolewatch.faults import CONFIRMED_FAULTS
from rolewatch.imds import Questions, observe
from rolewatch.imds.client import Client
from rolewatch.monitor.classify import classify
from rolewatch.monitor.clock import keep_time
from rolewatch.monitor.confirmation import Confirmation, ConfirmationFile, ask
from rolewatch.monitor.memory import Memory
from rolewatch.observation import Answered, Moment, Tags
from rolewatch.publish import Event, Publisher, Report, messages
from rolewatch.settings import PollSettings, Settings
from rolewatch.vocabulary import EventKind, Level

MAX_CREDIT = 3.0
"""What one fault needs: two hasty polls to be raised after the first that saw it, one to be cleared."""
CREDIT = 0.05
"""A poll at the nominal interval earns this much of a hasty one: one in ten minutes. So a fault is confirmed in haste
at once, and an IMDS that flickers for ever is still asked at most ten times a minute: no ten minutes, the first ones
included, have more than 24 polls of four requests (a test simulates it; hasty polls shorten the waits around them)."""


@dataclass(frozen=True)
class Schedule:
    """Where this instance stands in time: its place among the fleet, and its credit of hasty polls."""

    seed: str
    """What differs between the instances of a fleet, and stays the same for one: its instance id."""
    credit: float = MAX_CREDIT


def next_poll(schedule: Schedule, memory: Memory, poll: PollSettings, uptime: float) -> tuple[Schedule, float]:
    """Return the schedule after this poll, and the seconds to the next one.

    Nominally the polls stand on a grid of `poll.interval` whose origin differs from instance to instance, so that a
    fleet that was started together spreads, and each instance keeps its place. Throttled: the interval doubles, up to
    `poll.max_interval`. While a fault is being confirmed or cleared: `poll.confirm_interval`, as long as there is
    credit.
    """
    if memory.throttled:
        return schedule, min(poll.interval * 2 ** min(memory.throttled, 10), max(poll.max_interval, poll.interval))
    if confirming(memory) and schedule.credit >= 1:
        return replace(schedule, credit=schedule.credit - 1), min(poll.confirm_interval, poll.interval)
    wait = (phase(schedule.seed) * poll.interval - uptime) % poll.interval
    if wait < poll.interval / 2:
        wait += poll.interval
    return replace(schedule, credit=min(MAX_CREDIT, schedule.credit + CREDIT)), wait


def confirming(memory: Memory) -> bool:
    """Return whether a fault was seen that is not raised yet, or not seen that is not cleared yet."""
    return any(
        not watched.active or watched.unseen
        for fault, watched in memory.faults.items()
        if fault not in CONFIRMED_FAULTS  # no haste makes the next confirmation come sooner
    )


def phase(seed: str) -> float:
    """Return a place in [0, 1) that is the same for *seed* in every process (`hash` is not)."""
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big") / 2**64


MIN_GAP = 1.0
"""Seconds between two polls at the least, whatever signals come."""

T = TypeVar("T")
Clock = Callable[[], Moment]
Remember = Callable[[Memory, Moment], None]


def clock() -> Moment:
    """Read the clocks: the wall's, and the one that counts since boot and suspended time too."""
    return Moment(utc=datetime.now(timezone.utc), uptime=time.clock_gettime(time.CLOCK_BOOTTIME))


class Wake(Enum):
    """Why a pause ended."""

    TIMER = "timer"
    STOP = "stop"
    RELOAD = "reload"
    POLL = "poll"


Pause = Callable[[float], Wake]
"""Wait for so many seconds, or less; say why it ended."""


@dataclass(frozen=True)
class Setup:
    """What a reload replaces: the settings, and what they describe."""

    settings: Settings
    client: Client
    confirmation: ConfirmationFile | None = None
    request: Path | None = None
    """The file to touch where a confirmation is wanted; None: nobody is asked."""


Reload = Callable[[], tuple[Optional[Setup], Event]]
"""Read the settings again. None where they cannot be used: the old ones stay. The event tells either way."""


@dataclass
class Watch:
    """One daemon's loop and what it holds from turn to turn."""

    setup: Setup
    memory: Memory
    publishers: Sequence[Publisher]
    remember: Remember | None = None
    clock: Clock = clock
    beat: Callable[[], None] = lambda: None
    """Called at least every `beat_interval` seconds while waiting: the watchdog, entries that wait to be written."""
    beat_interval: float = 30.0
    min_gap: float = MIN_GAP
    publisher_failures: dict[str, int] = field(default_factory=dict)
    """How often each publisher failed. Shared with the metrics."""

    def __post_init__(self) -> None:
        """Start with what every publisher has: no failure."""
        self._schedule = Schedule(seed=self.memory.boot_id)
        self._events: list[Event] = []
        self._ask_at: float | None = None
        self._asked_at: float | None = None
        if self.setup.confirmation is not None:
            self.publisher_failures.setdefault("confirmation", 0)
        for publisher in self.publishers:
            self.publisher_failures.setdefault(publisher.name, 0)
        if self.remember is not None:
            self.publisher_failures.setdefault("state_file", 0)

    def run(self, pause: Pause, reload: Reload) -> None:
        """Watch until *pause* says to stop. The first poll is at once."""
        while True:
            wait = self.turn()
            ended = self.clock().uptime
            due = ended + wait
            reloaded = again = False
            wake = self._wait(due, pause)
            while wake is not Wake.TIMER:
                if wake is Wake.STOP:
                    return
                if wake is Wake.RELOAD and not reloaded:
                    self._take(*reload())
                    reloaded = True
                elif wake is Wake.RELOAD:
                    again = True
                # A storm of signals is no reason to storm IMDS: its budget of packets is the whole host's.
                due = min(due, ended + self.min_gap)
                wake = self._wait(due, pause)
            if again:  # one stands for all that came since the first
                self._take(*reload())

    def _take(self, setup: Setup | None, event: Event) -> None:
        """Put *setup* in force, where a reload gave one, and tell."""
        if setup is not None:
            old, new = self.setup.settings.expect, setup.settings.expect
            moved = (old.role_tag, old.instance_profile_tag) != (new.role_tag, new.instance_profile_tag)
            tags = Tags() if moved else self.memory.tags
            self.memory = replace(self.memory, asked_at=None, tags_at=None, tags=tags)
            self.setup = setup
        self.tell(event)

    def untold(self) -> Sequence[Event]:
        """Return the events that no report has told yet, and forget them: for the end."""
        events, self._events = self._events, []
        return events

    def tell(self, event: Event) -> None:
        """Let *event* be told with the next report."""
        self._events.append(event)

    def turn(self) -> float:
        """Look once, judge, remember and publish; return the seconds to the next look."""
        settings, client = self.setup.settings, self.setup.client
        begun = self.clock()
        questions = Questions(
            identity=monitor.identity_due(self.memory, settings.expect, begun),
            tags=monitor.tags_due(self.memory, settings.expect, begun),
        )
        seen = observe(client, settings.expect, questions)
        now = self.clock()
        memory = self.memory
        if isinstance(seen, Answered) and (questions.identity or questions.tags):
            memory = replace(memory, asked_at=now.uptime)
        memory, recognised = monitor.recognise(memory, seen, now)
        memory = keep_time(memory, seen, now)
        confirmation = self._confirmation(now)
        verdict = classify(seen, monitor.known(memory, seen, settings, now, confirmation), settings.limits, now)
        memory = replace(memory, confirmed_at=confirmation.at if confirmation else None)
        self.memory, events = monitor.advance(memory, seen, verdict, settings, now)
        self._ask_for_confirmation(events, now)
        snapshot = monitor.snapshot_of(self.memory, settings, now, duration=now.uptime - begun.uptime)
        told, self._events = (*self._events, *recognised, *events), []
        self._publish(Report(snapshot, told), now)
        if self.memory.instance_id:
            self._schedule = Schedule(self.memory.instance_id, self._schedule.credit)
        self._schedule, wait = next_poll(self._schedule, self.memory, settings.poll, self.clock().uptime)
        return wait

    def _confirmation(self, now: Moment) -> Confirmation | None:
        """Return the last confirmation, where one is configured and can be read."""
        file = self.setup.confirmation
        return None if file is None else self._attempt(file.name, lambda: file.read(now.utc))

    def _ask_for_confirmation(self, events: Sequence[Event], now: Moment) -> None:
        """Ask for a confirmation some time after a fault was raised, or one was confirmed once and needs it twice."""
        request, spread = self.setup.request, self.setup.settings.confirm.spread
        if request is None:
            return
        raised = any(event.kind is EventKind.FAULT_RAISED and event.fault not in CONFIRMED_FAULTS for event in events)
        once = any(fault in CONFIRMED_FAULTS and not watched.active for fault, watched in self.memory.faults.items())
        if self._ask_at is None and (raised or once):
            self._ask_at = now.uptime + phase(self._schedule.seed) * spread
            if self._asked_at is not None:  # a fault that comes and goes must not spend the account's budget either
                self._ask_at = max(self._ask_at, self._asked_at + spread)
        if self._ask_at is not None and now.uptime >= self._ask_at:
            self._ask_at, self._asked_at = None, now.uptime
            self._attempt("confirmation", lambda: ask(request))

    def _publish(self, report: Report, now: Moment) -> None:
        """Hand *report* to every publisher. One that fails is counted and told; the watching goes on."""
        for publisher in self.publishers:
            self._attempt(publisher.name, lambda publisher=publisher: publisher.publish(report))  # type: ignore[misc]
        if self.remember is not None:
            remember = self.remember
            self._attempt("state_file", lambda: remember(self.memory, now))

    def _attempt(self, name: str, act: Callable[[], T]) -> T | None:
        """Return what *act* returns; where it fails that is counted under *name* and told, and the answer is None."""
        try:
            return act()
        except Exception as error:  # noqa: BLE001 - a publisher may fail in any way, and must not stop the watching
            count = self.publisher_failures[name] = self.publisher_failures.get(name, 0) + 1
            if messages.is_worth_telling(count):
                ours = str(error) if isinstance(error, RolewatchError) else None
                problem = ours or getattr(error, "strerror", None) or type(error).__name__
                message = f"The publisher {name} failed ({problem}; {count} times so far). The watching goes on."
                fields = {"publisher": name, "problem": problem, "failures": count}
                self.tell(Event(EventKind.PUBLISHER_FAILED, Level.ERROR, message, fields=fields))
            return None

    def _wait(self, end: float, pause: Pause) -> Wake:
        """Wait until the uptime *end* in pieces, with a beat before each; return early for a signal."""
        while True:
            self.beat()
            left = end - self.clock().uptime
            if left <= 0:
                return Wake.TIMER
            wake = pause(min(left, self.beat_interval))
            if wake is not Wake.TIMER:
                return wake
