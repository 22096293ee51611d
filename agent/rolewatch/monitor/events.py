"""Events between two memories, for the journal. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rolewatch.faults import FAULTS, Fault
from rolewatch.monitor import track
from rolewatch.monitor.classify import Verdict
from rolewatch.monitor.memory import FaultState, Memory
from rolewatch.observation import Moment
from rolewatch.publish import Event, Snapshot, facts_of, messages
from rolewatch.text import rfc3339
from rolewatch.vocabulary import EventKind, FailureLabel, Level, Scalar, State


def change_events(before: Memory, after: Memory) -> list[Event]:
    """Return the events of a changed role or instance profile, and of a rotation."""
    events: list[Event] = []
    old, new = before.binding.confirmed, after.binding.confirmed
    if old.role is not None and (old.role, old.instance_profile) != (new.role, new.instance_profile):
        changed = {
            "role": new.role,
            "previous_role": old.role,
            "instance_profile": new.instance_profile,
            "previous_instance_profile": old.instance_profile,
        }
        message = messages.role_changed(old.role, new.role, old.instance_profile, new.instance_profile)
        events.append(Event(EventKind.ROLE_CHANGED, Level.WARNING, message, fields=_present(changed)))
    last = after.credentials.last
    if after.credentials.rotations > before.credentials.rotations and last is not None:
        interval = track.learned(after.credentials.intervals)
        message = messages.rotated(last.role, last.expiration, interval)
        learned = _present({"rotation_interval_seconds": None if interval is None else round(interval)})
        events.append(Event(EventKind.CREDENTIALS_ROTATED, Level.NOTICE, message, fields=learned))
    return events


def fault_events(
    before: Memory, after: Memory, snapshot: Snapshot, reminder: float, now: Moment
) -> tuple[Memory, list[Event]]:
    """Return the events of faults that were raised or cleared, got worse, or are active for another *reminder* seconds.

    The memory that comes with them is *after*, with the time of each event.
    """
    events: list[Event] = []
    facts = facts_of(snapshot)
    faults: dict[Fault, FaultState] = dict(after.faults)
    for fault, state in after.faults.items():
        old = before.faults.get(fault)
        raised = state.active and not (old and old.active)
        severity = FAULTS[fault].severity_with(state.evidence, usable=after.status.usable)
        worse = state.logged is not None and severity.value < state.logged.value
        due = worse or state.logged_at is None or now.uptime - state.logged_at >= reminder
        if not state.active or not (raised or due):
            continue
        faults[fault] = replace(state, logged_at=now.uptime, logged=severity)
        kind = EventKind.FAULT_RAISED if raised else EventKind.FAULT_PERSISTS
        message = (
            messages.raised(fault, state.evidence, facts)
            if raised
            else messages.persists(fault, state.evidence, facts, _lasted(state, after, now))
        )
        fields = {**state.evidence, "since": rfc3339(state.since)}
        events.append(Event(kind, severity, message, fault, fields))
    for fault, state in before.faults.items():
        if state.active and fault not in after.faults:
            seconds = _lasted(state, after, now)
            over: dict[str, Scalar] = {"since": rfc3339(state.since), "duration_seconds": round(seconds)}
            message = messages.cleared(fault, state.since, seconds)
            events.append(Event(EventKind.FAULT_CLEARED, Level.NOTICE, message, fault, over))
    return replace(after, faults=faults), events


def state_events(before: Memory, after: Memory, snapshot: Snapshot) -> list[Event]:
    """Return the event of a changed state."""
    old, new = before.status.state, after.status.state
    if old is new:
        return []
    message = messages.state_changed(old, new, [active.fault for active in snapshot.faults])
    level = Level.ERROR if new is State.FAILED else Level.NOTICE
    return [Event(EventKind.STATE_CHANGED, level, message, fields={"previous_state": old.value})]


def poll_events(before: Memory, after: Memory, verdict: Verdict) -> list[Event]:
    """Return the event of the first failed poll, then of the tenth and so on; also of the first throttled one.

    If polls go on failing a fault is raised, which has hourly events of its own. A poll meets the throttling of a burst
    by chance, so that one means many requests of others.
    """
    finding, failed = verdict.imds_finding, after.polls.failed
    if finding is None or failed == before.polls.failed:
        return []
    is_first_throttled = after.polls.throttled and not before.polls.failures.get(FailureLabel.THROTTLED)
    if not messages.is_power_of_ten(failed) and not is_first_throttled:
        return []
    alike = after.polls.alike
    fields = {**finding.evidence, "failures": alike}
    message = messages.poll_failed(finding.evidence, alike)
    return [Event(EventKind.POLL_FAILED, Level.WARNING, message, fields=fields)]


def common_fields(memory: Memory) -> dict[str, Scalar]:
    """Return the fields that every event of a poll has."""
    shown, identity = memory.credentials.shown, memory.instance.identity
    return _present(
        {
            "state": memory.status.state.value,
            "role": memory.binding.current.role,
            "instance_profile": memory.binding.current.instance_profile,
            "instance_id": identity.instance_id if identity else None,
            "region": identity.region if identity else None,
            "expiration": rfc3339(shown.expiration) if shown and shown.expiration else None,
            "last_updated": rfc3339(shown.last_updated) if shown and shown.last_updated else None,
            "key_fingerprint": shown.fingerprint if shown else None,
        }
    )


def _lasted(state: FaultState, memory: Memory, now: Moment) -> float:
    """Return for how many seconds the fault has been seen."""
    if state.since_uptime is not None:
        return now.uptime - state.since_uptime
    return max(0.0, (memory.clock.time(now) - state.since).total_seconds())


def _present(fields: Mapping[str, Scalar | None]) -> dict[str, Scalar]:
    return {key: value for key, value in fields.items() if value is not None}
