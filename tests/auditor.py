"""Checks each report against the reports before it. Valid for every history of IMDS."""

from __future__ import annotations

from collections.abc import Sequence

from rolewatch.faults import IMDS_FAULTS, Fault
from rolewatch.monitor.memory import Memory
from rolewatch.monitor.track import KEPT
from rolewatch.publish import Event, Snapshot
from rolewatch.settings import LimitSettings
from rolewatch.text import rfc3339
from rolewatch.vocabulary import EVENT_FIELDS, EventKind, State


class Auditor:
    """Remembers the events, and asserts that the next report does not contradict them."""

    def __init__(self, reminder: float = LimitSettings().reminder) -> None:
        """Expect a reminder of each active fault every *reminder* seconds."""
        self._reminder = reminder
        self.since: dict[Fault, str] = {}
        """The active faults according to the events, and since when, to the second."""
        self._last_event: dict[Fault, float] = {}
        self._found: set[Fault] = set()
        """The faults that were active when the process started."""
        self._levels: dict[Fault, int] = {}
        """The level of each fault's last event: one that got worse has another at once."""
        self.state = State.STARTING

    def restarted(self, *, same_boot: bool) -> None:
        """Expect a new process: active faults stay active after a restart, and not after a boot."""
        self.state, self._last_event = State.STARTING, {}
        if not same_boot:
            self.since = {}
        self._found = set(self.since)

    def take(self, snapshot: Snapshot, events: Sequence[Event], memory: Memory) -> None:
        """Check one report against those before it, and *memory* against its bounds."""
        now = snapshot.moment.uptime
        before = self.state
        for event in events:
            if event.kind is EventKind.STATE_FILE_IGNORED:  # another instance: the faults of the old one are gone
                self.since = {fault: since for fault, since in self.since.items() if fault not in self._found}
            assert set(event.fields) <= set(EVENT_FIELDS)
            assert event.message.isprintable()
            if event.kind is EventKind.STATE_CHANGED:
                assert (event.fields["previous_state"], event.fields["state"]) == (before.value, snapshot.state.value)
                self.state = snapshot.state
            if event.fault is not None:
                self._take_fault(event, event.fault, now)
        assert self.state is snapshot.state, "a state changed without an event"
        assert set(self.since) == {active.fault for active in snapshot.faults}, "a fault changed without an event"
        for active in snapshot.faults:
            assert rfc3339(active.since) == self.since[active.fault], f"{active.fault.value} has another start"
            assert now - self._last_event[active.fault] < self._reminder, f"{active.fault.value} has no reminder"
        _check_state(snapshot, memory)

    def _take_fault(self, event: Event, fault: Fault, now: float) -> None:
        """Expect raised, reminders, cleared, in this order, and the reminders at the promised interval."""
        since = str(event.fields["since"])
        if event.kind is EventKind.FAULT_CLEARED:
            assert self.since.pop(fault) == since
            self._last_event.pop(fault, None)
            self._found.discard(fault)
            return
        if event.kind is EventKind.FAULT_RAISED:
            assert fault not in self.since, f"{fault.value} was raised twice"
        else:
            assert fault in self.since, f"{fault.value} has a reminder before it was raised"
            worse = event.level.value < self._levels.get(fault, 0)
            assert worse or now - self._last_event.get(fault, -self._reminder) >= self._reminder
        self._last_event[fault] = now
        self._levels[fault] = event.level.value
        assert self.since.setdefault(fault, since) == since


def _check_state(snapshot: Snapshot, memory: Memory) -> None:
    """Check the state against the faults, and the memory against its bounds."""
    faults = [active.fault for active in snapshot.faults]
    if snapshot.state is State.OK:
        assert not faults
        assert snapshot.credentials.usable is not None
    if snapshot.state is State.DEGRADED:
        assert faults
    if snapshot.state is State.FAILED:
        assert snapshot.credentials.usable is False
    if snapshot.state is State.UNKNOWN:
        assert set(memory.faults) & set(IMDS_FAULTS)
    assert len(memory.credentials.intervals) <= KEPT
    assert all(interval > 0 for interval in memory.credentials.intervals)
    assert len(memory.faults) <= len(Fault)
