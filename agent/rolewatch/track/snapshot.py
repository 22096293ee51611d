"""What may be told of a memory: of the daemon's, or of a single look."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Optional, Tuple

from rolewatch import cadence
from rolewatch.classify import allowed_age
from rolewatch.faults import Fault
from rolewatch.memory import Memory, Served, Watched
from rolewatch.model import ActiveFault, Moment, Observation, Snapshot, State, Told, Verdict
from rolewatch.settings import Settings
from rolewatch.track.instance import expected
from rolewatch.track.notes import attach, serve


def snapshot_of(memory: Memory, settings: Settings, now: Moment, *, duration: float = 0.0) -> Snapshot:
    """Return what may be told of *memory* as of *now*; *duration* is that of the last poll in seconds."""
    served = memory.shown
    role, profile = expected(memory, settings.expect)
    return Snapshot(
        moment=now,
        state=memory.state,
        state_since=memory.state_since or now.utc,
        faults=tuple(
            ActiveFault(fault, memory.faults[fault].since, memory.faults[fault].evidence)
            for fault in Fault
            if fault in memory.faults and memory.faults[fault].active
        ),
        usable=memory.usable,
        role=memory.attached.role,
        instance_profile=memory.attached.instance_profile,
        instance_profile_id=memory.attached.instance_profile_id,
        expected_role=role,
        expected_instance_profile=profile,
        expiration=served.expiration if served else None,
        last_updated=served.last_updated if served else None,
        rotation_interval=cadence.learned(memory.intervals),
        overdue=_overdue(served, memory.intervals),
        clock_offset=memory.clock_offset,
        identity=memory.identity,
        polls=memory.polls,
        failures=memory.failures,
        rotations=memory.rotations,
        last_success=memory.last_success,
        poll_duration=duration,
        poll_interval=settings.poll.interval,
    )


def _overdue(served: Optional[Served], intervals: Tuple[float, ...]) -> Optional[datetime]:
    """Return from when on a successor of *served* is overdue, as `classify` judges it."""
    if served is None or served.last_updated is None or served.expiration is None:
        return None
    life = served.expiration - served.last_updated
    try:
        return served.last_updated + allowed_age(life, cadence.learned(intervals))
    except OverflowError:  # dates at the end of time
        return None


def look_state(verdict: Verdict) -> State:
    """Return the state of a single look, which cannot debounce."""
    if verdict.credentials is Told.PENDING:
        return State.STARTING
    if verdict.credentials is Told.UNTOLD:
        return State.UNKNOWN
    if verdict.credentials is Told.UNUSABLE:
        return State.FAILED
    return State.DEGRADED if verdict.findings else State.OK


def look(memory: Memory, seen: Observation, verdict: Verdict, settings: Settings, now: Moment) -> Snapshot:
    """Return the snapshot of a single look: every finding counts at once."""
    memory = serve(attach(memory, seen), seen, verdict, now)
    usable = {Told.USABLE: True, Told.UNUSABLE: False}.get(verdict.credentials)
    memory = replace(memory, polls=1, clock_offset=verdict.clock_offset, usable=usable, state=look_state(verdict))
    seen_now = {finding.fault: Watched(now.utc, finding.evidence, active=True) for finding in verdict.findings}
    return snapshot_of(replace(memory, faults=seen_now), settings, now)
