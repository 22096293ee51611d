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
from rolewatch.imds.hop_limit import Measurement
from rolewatch.monitor.classify import classify
from rolewatch.monitor.clock import keep_time
from rolewatch.monitor.confirmation import Confirmation, ConfirmationFile, request
from rolewatch.monitor.memory import HopLimit, Memory
from rolewatch.observation import Answered, Moment, Observation, Tags, Unanswered
from rolewatch.publish import Event, Publisher, Report, messages
from rolewatch.settings import PollSettings, Settings
from rolewatch.vocabulary import EventKind, Level, Reason

MAX_CREDIT = 3.0
"""Early polls that one fault needs: two to be raised after the first poll that saw it, one to be cleared."""
CREDIT = 0.05
"""A poll at the nominal interval earns this much of an early one: one in ten minutes. So a fault is confirmed at once,
and a flickering IMDS gets at most 24 polls of four requests in any ten minutes (a test simulates it)."""


@dataclass(frozen=True)
class Schedule:
    """When to poll: the place of this instance among its fleet, and its credit of early polls."""

    seed: str
    """The instance id: it differs between the instances of a fleet, and stays the same for one."""
    credit: float = MAX_CREDIT


def next_poll(schedule: Schedule, memory: Memory, poll: PollSettings, uptime: float) -> tuple[Schedule, float]:
    """Return the schedule after this poll, and the seconds to the next one.

    Nominally the polls are on a grid of `poll.interval` whose origin differs from instance to instance, so that a fleet
    that was started together spreads. When throttled, the interval doubles, up to `poll.max_interval`. While a fault is
    being confirmed or cleared it is `poll.confirm_interval`, as long as there is credit.
    """
    if memory.polls.throttled:
        return schedule, min(
            poll.interval * 2 ** min(memory.polls.throttled, 10), max(poll.max_interval, poll.interval)
        )
    if confirming(memory) and schedule.credit >= 1:
        return replace(schedule, credit=schedule.credit - 1), min(poll.confirm_interval, poll.interval)
    wait = (phase(schedule.seed) * poll.interval - uptime) % poll.interval
    if wait < poll.interval / 2:
        wait += poll.interval
    return replace(schedule, credit=min(MAX_CREDIT, schedule.credit + CREDIT)), wait


def confirming(memory: Memory) -> bool:
    """Return whether a fault was seen that is not raised yet, or not seen that is not cleared yet."""
    return any(
        not state.active or state.unseen
        for fault, state in memory.faults.items()
        if fault not in CONFIRMED_FAULTS  # an early poll does not bring the next confirmation sooner
    )


def phase(seed: str) -> float:
    """Return a place in [0, 1) that is the same for *seed* in every process (`hash` is not)."""
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big") / 2**64


MIN_GAP = 1.0
"""Seconds between two polls at the least, whatever signals come."""

T = TypeVar("T")
Clock = Callable[[], Moment]
Save = Callable[[Memory, Moment], None]


def clock() -> Moment:
    """Read the wall clock, and the one that counts since boot, suspended time included."""
    return Moment(utc=datetime.now(timezone.utc), uptime=time.clock_gettime(time.CLOCK_BOOTTIME))


class Wake(Enum):
    """Why a pause ended."""

    TIMER = "timer"
    STOP = "stop"
    RELOAD = "reload"
    POLL = "poll"


Pause = Callable[[float], Wake]
"""Wait for so many seconds, or less, and return why the wait ended."""


@dataclass(frozen=True)
class Setup:
    """What a reload replaces: the settings, and what is made from them."""

    settings: Settings
    client: Client
    confirmation: ConfirmationFile | None = None
    request: Path | None = None
    """The file to replace to request a confirmation; None: no confirmation is requested."""


Reload = Callable[[], tuple[Optional[Setup], Event]]
"""Read the settings again. None if they cannot be used: the old ones stay. The event reports either."""


@dataclass
class Loop:
    """The daemon's loop, and what it keeps from poll to poll."""

    setup: Setup
    memory: Memory
    publishers: Sequence[Publisher]
    save: Save | None = None
    clock: Clock = clock
    heartbeat: Callable[[], None] = lambda: None
    """Called at least every `heartbeat_interval` seconds while waiting: the watchdog, and waiting log entries."""
    heartbeat_interval: float = 30.0
    min_gap: float = MIN_GAP
    publisher_failures: dict[str, int] = field(default_factory=dict)
    """How often each publisher failed. Shared with the metrics."""

    def __post_init__(self) -> None:
        """Start with no failure for each publisher."""
        self._schedule = Schedule(seed=self.memory.boot_id)
        self._events: list[Event] = []
        self._request_at: float | None = None
        self._requested_at: float | None = None
        self._measurement: Measurement | None = None
        self._late: Measurement | None = None
        if self.setup.confirmation is not None:
            self.publisher_failures.setdefault("confirmation", 0)
        for publisher in self.publishers:
            self.publisher_failures.setdefault(publisher.name, 0)
        if self.save is not None:
            self.publisher_failures.setdefault("state_file", 0)

    def run(self, pause: Pause, reload: Reload) -> None:
        """Poll until *pause* returns `Wake.STOP`. The first poll is at once."""
        while True:
            wait = self.poll()
            ended = self.clock().uptime
            due = ended + wait
            reloaded = again = False
            wake = self._wait(due, pause)
            while wake is not Wake.TIMER:
                if wake is Wake.STOP:
                    return
                if wake is Wake.RELOAD and not reloaded:
                    self._apply_reload(*reload())
                    reloaded = True
                elif wake is Wake.RELOAD:
                    again = True
                # A storm of signals must not become a storm of polls: the packet budget of IMDS is the whole host's.
                due = min(due, ended + self.min_gap)
                wake = self._wait(due, pause)
            if again:  # once for all that came since the first
                self._apply_reload(*reload())

    def _apply_reload(self, setup: Setup | None, event: Event) -> None:
        """Apply a reloaded *setup* (None keeps the old one) and queue its *event*."""
        if setup is not None:
            old, new = self.setup.settings.expect, setup.settings.expect
            moved = (old.role_tag, old.instance_profile_tag) != (new.role_tag, new.instance_profile_tag)
            instance = self.memory.instance
            tags = Tags() if moved else instance.tags
            instance = replace(instance, requested_at=None, tags_at=None, tags=tags)
            self.memory = replace(self.memory, instance=instance, hop_limit=HopLimit())
            self.setup, self._measurement = setup, None
        self.queue(event)

    def queue(self, event: Event) -> None:
        """Publish *event* with the next report."""
        self._events.append(event)

    def drain_events(self) -> Sequence[Event]:
        """Return and clear the unpublished events. Called at shutdown."""
        events, self._events = self._events, []
        return events

    def poll(self) -> float:
        """Poll once: observe, classify, track and publish. Return the seconds to the next poll."""
        settings, client = self.setup.settings, self.setup.client
        begun = self.clock()
        questions = Questions(
            identity=monitor.identity_due(self.memory, settings.expect, begun),
            tags=monitor.tags_due(self.memory, settings.expect, begun),
        )
        observation = self._with_late_answer(observe(client, settings.expect, questions))
        now = self.clock()
        memory = self.memory
        if isinstance(observation, Answered) and (questions.identity or questions.tags):
            memory = replace(memory, instance=replace(memory.instance, requested_at=now.uptime))
        memory, of_instance = monitor.update_instance(memory, observation, now)
        memory = keep_time(memory, observation, now)
        memory = self._with_hop_limit(memory, observation)
        confirmation = self._confirmation(now)
        prior = monitor.prior(memory, observation, settings, now, confirmation)
        verdict = classify(observation, prior, settings.limits, now)
        memory = replace(memory, confirmed_at=confirmation.at if confirmation else None)
        self.memory, snapshot, events = monitor.advance(
            memory, observation, verdict, settings, now, duration=now.uptime - begun.uptime
        )
        self._request_confirmation(events, now)
        report = Report(snapshot, (*self.drain_events(), *of_instance, *events))
        for publisher in self.publishers:
            self._attempt(publisher.name, publisher.publish, report)
        if self.save is not None:
            self._attempt("state_file", self.save, self.memory, now)
        self._measure_hop_limit(observation, now)
        if self.memory.instance.id:
            self._schedule = replace(self._schedule, seed=self.memory.instance.id)
        self._schedule, wait = next_poll(self._schedule, self.memory, settings.poll, self.clock().uptime)
        return wait

    def _measure_hop_limit(self, observation: Observation, now: Moment) -> None:
        """Begin to measure the hop limit if that is due. The answers arrive during the next wait."""
        due = self._measurement is None and monitor.hop_limit_due(self.memory, now)
        if due and isinstance(observation, Answered):
            most = self.setup.settings.expect.container_hop_limit
            self._measurement = self.setup.client.measure_hop_limit(most)
            self.memory = replace(self.memory, hop_limit=replace(self.memory.hop_limit, requested_at=now.uptime))

    def _with_late_answer(self, observation: Observation) -> Observation:
        """Return *observation* as slow where it has no answer, and a token request beside the last poll has a late one.

        That is no hop limit: a proxy whose backend is dead answers after some seconds.
        """
        late, self._late = self._late, None
        if not isinstance(observation, Unanswered) or observation.failure.reason is not Reason.NO_ANSWER:
            return observation
        self._late = self.setup.client.request_late_token()
        if late is None or not late.has_answer():
            return observation
        return replace(observation, failure=replace(observation.failure, reason=Reason.SLOW))

    def _with_hop_limit(self, memory: Memory, observation: Observation) -> Memory:
        """Return *memory* with the hop limit, once its measurement has ended."""
        measurement = self._measurement
        if measurement is None or not measurement.has_ended():
            return memory
        self._measurement = None
        return monitor.update_hop_limit(memory, observation, measurement.result())

    def _confirmation(self, now: Moment) -> Confirmation | None:
        """Return the last confirmation, if one is configured and can be read."""
        file = self.setup.confirmation
        return None if file is None else self._attempt(file.name, file.read, now.utc)

    def _request_confirmation(self, events: Sequence[Event], now: Moment) -> None:
        """Request a confirmation some time after a fault was raised, or one was confirmed once and needs it twice."""
        path, spread = self.setup.request, self.setup.settings.confirm.spread
        if path is None:
            return
        raised = any(event.kind is EventKind.FAULT_RAISED and event.fault not in CONFIRMED_FAULTS for event in events)
        once = any(fault in CONFIRMED_FAULTS and not state.active for fault, state in self.memory.faults.items())
        if self._request_at is None and (raised or once):
            self._request_at = now.uptime + phase(self._schedule.seed) * spread
            if self._requested_at is not None:  # a fault that comes and goes must not use up the account's API budget
                self._request_at = max(self._request_at, self._requested_at + spread)
        if self._request_at is not None and now.uptime >= self._request_at:
            self._request_at, self._requested_at = None, now.uptime
            self._attempt("confirmation", request, path)

    def _attempt(self, name: str, act: Callable[..., T], *arguments: object) -> T | None:
        """Return ``act(*arguments)``. If it fails, count that under *name*, queue an event, and return None."""
        try:
            return act(*arguments)
        except Exception as error:  # noqa: BLE001 - a publisher may fail in any way, and must not stop the loop
            count = self.publisher_failures[name] = self.publisher_failures.get(name, 0) + 1
            if messages.is_power_of_ten(count):
                ours = str(error) if isinstance(error, RolewatchError) else None
                problem = ours or getattr(error, "strerror", None) or type(error).__name__
                subject = _SUBJECTS.get(name, f"Publisher {name}")
                times = f", {count} times so far" if count > 1 else ""
                message = f"{subject} failed{times}: {problem}. Polling goes on."
                fields = {"publisher": name, "problem": problem, "failures": count}
                self.queue(Event(EventKind.PUBLISHER_FAILED, Level.ERROR, message, fields=fields))
            return None

    def _wait(self, end: float, pause: Pause) -> Wake:
        """Wait until the uptime *end*, with a heartbeat before each part of the wait; return early for a signal."""
        while True:
            self.heartbeat()
            left = end - self.clock().uptime
            if left <= 0:
                return Wake.TIMER
            wake = pause(min(left, self.heartbeat_interval))
            if wake is not Wake.TIMER:
                return wake


_SUBJECTS = {"confirmation": "Reading or requesting a confirmation", "state_file": "Writing the state file"}
"""What failed, by its name in `publisher_failures`, if that is not a publisher."""
