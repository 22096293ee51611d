"""Events between two memories, for the journal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rolewatch.faults import FAULTS, Fault
from rolewatch.monitor import rotation
from rolewatch.monitor.classify import Verdict
from rolewatch.monitor.memory import Memory, Watched, lasted
from rolewatch.monitor.rotation import imds_finding
from rolewatch.observation import Moment
from rolewatch.publish import Event, Snapshot, facts_of, messages
from rolewatch.text import rfc3339
from rolewatch.vocabulary import EventKind, Level, Scalar


def change_events(before: Memory, after: Memory) -> list[Event]:
    """Tell that role or instance profile changed, and that the credentials were rotated."""
    events: list[Event] = []
    old, new = before.settled, after.settled
    if old.role is not None and (old.role, old.instance_profile) != (new.role, new.instance_profile):
        changed = {
            "role": new.role,
            "previous_role": old.role,
            "instance_profile": new.instance_profile,
            "previous_instance_profile": old.instance_profile,
        }
        message = messages.role_changed(old.role, new.role, old.instance_profile, new.instance_profile)
        events.append(Event(EventKind.ROLE_CHANGED, Level.WARNING, message, fields=_present(changed)))
    if after.rotations > before.rotations and after.served is not None:
        interval = rotation.learned(after.intervals)
        message = messages.rotated(after.served.role, after.served.expiration, interval)
        learned = _present({"rotation_interval_seconds": None if interval is None else round(interval)})
        events.append(Event(EventKind.CREDENTIALS_ROTATED, Level.NOTICE, message, fields=learned))
    return events


def fault_events(
    before: Memory, after: Memory, snapshot: Snapshot, reminder: float, now: Moment
) -> tuple[Memory, list[Event]]:
    """Tell what was raised, what was cleared, and what has lasted long enough to be told again."""
    events: list[Event] = []
    facts = facts_of(snapshot)
    faults: dict[Fault, Watched] = dict(after.faults)
    for fault, watched in after.faults.items():
        old = before.faults.get(fault)
        raised = watched.active and not (old and old.active)
        due = watched.told_at is None or now.uptime - watched.told_at >= reminder
        if not watched.active or not (raised or due):
            continue
        faults[fault] = replace(watched, told_at=now.uptime)
        kind = EventKind.FAULT_RAISED if raised else EventKind.FAULT_PERSISTS
        message = (
            messages.raised(fault, watched.evidence, facts)
            if raised
            else messages.persists(fault, watched.evidence, facts, lasted(watched, after, now))
        )
        fields = {**watched.evidence, "since": rfc3339(watched.since)}
        events.append(Event(kind, Level(FAULTS[fault].severity.value), message, fault, fields))
    for fault, watched in before.faults.items():
        if watched.active and fault not in after.faults:
            seconds = lasted(watched, after, now)
            over: dict[str, Scalar] = {"since": rfc3339(watched.since), "duration_seconds": round(seconds)}
            message = messages.cleared(fault, watched.since, seconds)
            events.append(Event(EventKind.FAULT_CLEARED, Level.NOTICE, message, fault, over))
    return replace(after, faults=faults), events


def state_events(before: Memory, after: Memory, snapshot: Snapshot) -> list[Event]:
    """Tell that the state changed."""
    if before.state is after.state:
        return []
    message = messages.state_changed(before.state, after.state, [active.fault for active in snapshot.faults])
    return [Event(EventKind.STATE_CHANGED, Level.NOTICE, message, fields={"previous_state": before.state.value})]


def poll_events(before: Memory, after: Memory, verdict: Verdict) -> list[Event]:
    """Tell of the first failed poll, then of the tenth, hundredth…: the fault that follows is told hourly anyway."""
    finding = imds_finding(verdict)
    if (
        finding is None
        or after.failed_polls == before.failed_polls
        or not messages.is_worth_telling(after.failed_polls)
    ):
        return []
    fields = {**finding.evidence, "failures": after.failed_polls}
    message = messages.poll_failed(finding.evidence, after.failed_polls)
    return [Event(EventKind.POLL_FAILED, Level.WARNING, message, fields=fields)]


def common_fields(memory: Memory) -> dict[str, Scalar]:
    """Return what every event of a poll carries."""
    served = memory.shown
    return _present(
        {
            "state": memory.state.value,
            "role": memory.attached.role,
            "instance_profile": memory.attached.instance_profile,
            "instance_id": memory.identity.instance_id if memory.identity else None,
            "region": memory.identity.region if memory.identity else None,
            "expiration": rfc3339(served.expiration) if served and served.expiration else None,
            "last_updated": rfc3339(served.last_updated) if served and served.last_updated else None,
            "key_fingerprint": served.fingerprint if served else None,
        }
    )


def _present(fields: Mapping[str, Scalar | None]) -> dict[str, Scalar]:
    return {key: value for key, value in fields.items() if value is not None}
