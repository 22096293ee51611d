"""Remember, and turn verdicts into states and events. Pure: the next memory is made from the last.

Debouncing, since when, the last role, the learned cadence, boot grace, how often a lasting fault is told.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Tuple

from rolewatch.memory import Memory
from rolewatch.model import Event, Moment, Observation, Verdict
from rolewatch.settings import Settings
from rolewatch.track.clock import keep_time
from rolewatch.track.debounce import count_denial, settle_state, watch
from rolewatch.track.events import change_events, common_fields, fault_events, poll_events, state_events
from rolewatch.track.instance import expected, identity_due, known, recognise, tags_due
from rolewatch.track.notes import attach, count_failure, serve
from rolewatch.track.snapshot import look, look_state, snapshot_of

__all__ = [
    "advance",
    "expected",
    "identity_due",
    "known",
    "look",
    "look_state",
    "recognise",
    "snapshot_of",
    "tags_due",
]


def advance(
    memory: Memory, seen: Observation, verdict: Verdict, settings: Settings, now: Moment
) -> Tuple[Memory, Tuple[Event, ...]]:
    """Return what is remembered after one poll, and what happened in it."""
    before = memory
    memory = keep_time(replace(memory, polls=memory.polls + 1), seen.date, verdict.clock_offset, now)
    memory = attach(memory, seen)
    memory = count_failure(memory, verdict, now, calm=settings.limits.reminder)
    memory = serve(memory, seen, verdict, now)
    memory = replace(memory, faults=watch(memory, verdict, now))
    memory = settle_state(count_denial(memory, verdict), verdict, now)
    snapshot = snapshot_of(memory, settings, now)
    memory, of_faults = fault_events(before, memory, snapshot, settings.limits.reminder, now)
    events = [
        *change_events(before, memory),
        *of_faults,
        *state_events(before, memory, snapshot),
        *poll_events(before, memory, verdict),
    ]
    common = common_fields(memory)
    return memory, tuple(replace(event, fields={**common, **event.fields}) for event in events)
