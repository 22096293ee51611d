"""Track polls: turn verdicts into memory, state, events and a snapshot. Pure: memory in, memory out."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from rolewatch.faults import CONFIRMED_FAULTS, Fault
from rolewatch.monitor import rotation
from rolewatch.monitor.classify import Confirmed, Known, Verdict, allowed_age
from rolewatch.monitor.clock import judging_time
from rolewatch.monitor.confirmation import AHEAD, Confirmation
from rolewatch.monitor.debounce import count_denial, settle_state, watch
from rolewatch.monitor.events import change_events, common_fields, fault_events, poll_events, state_events
from rolewatch.monitor.memory import Memory, Served, Watched, true_time
from rolewatch.monitor.rotation import attach, count_failure, serve
from rolewatch.observation import Answered, Identity, Moment, Observation
from rolewatch.publish import ActiveFault, CredentialSummary, Event, Expected, PollSummary, Snapshot
from rolewatch.settings import ConfirmSettings, ExpectSettings, Settings
from rolewatch.text import rfc3339
from rolewatch.vocabulary import EventKind, Level, State, Told


def advance(
    memory: Memory, seen: Observation, verdict: Verdict, settings: Settings, now: Moment
) -> tuple[Memory, tuple[Event, ...]]:
    """Return what is remembered after one poll, and what happened in it. *memory* has noted `seen.date`."""
    before = memory
    memory = attach(replace(memory, polls=memory.polls + 1), seen)
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


TAGS_INTERVAL = 600.0
"""Seconds between two readings of the instance's tags: they seldom change, and each costs a request."""
IDENTITY_INTERVAL = 3600.0
"""Seconds between two readings of the identity document, so that a forged one does not stand until a restart."""
RETRY_INTERVAL = 120.0
"""Seconds before identity or tags are asked for again where IMDS did not tell them: asked at every poll, they would
make up to seven requests of four."""


def recognise(
    memory: Memory, seen: Observation, now: Moment, *, at_once: bool = False
) -> tuple[Memory, tuple[Event, ...]]:
    """Return *memory* with what *seen* says about the instance itself.

    A memory of another instance (an image made of a running one) is dropped, and an event says so: when two answers in
    a row name the same other instance, or *at_once* for a poll that cannot be repeated.
    """
    if not isinstance(seen, Answered):
        return memory, ()
    events: list[Event] = []
    rival, memory = memory.rival, replace(memory, rival=None)
    if seen.identity is not None:
        contradicts = memory.instance_id not in (None, seen.identity.instance_id)
        memory = replace(memory, identity_at=now.uptime)
        if contradicts and not at_once and rival != seen.identity.instance_id:
            # Asked for again in the next poll. A third id in a row is as little believed, and does not hurry.
            memory = replace(memory, rival=None if rival else seen.identity.instance_id)
        else:
            if contradicts:
                events, memory = [_other_instance(memory, seen.identity)], _of_this_process(memory)
            identity = seen.identity
            memory = replace(memory, identity=identity, identity_at=now.uptime, instance_id=identity.instance_id)
    if seen.tags is not None:
        memory = replace(memory, tags=seen.tags, tags_at=now.uptime)
    return memory, tuple(events)


def _other_instance(memory: Memory, identity: Identity) -> Event:
    return Event(
        EventKind.STATE_FILE_IGNORED,
        Level.WARNING,
        f"What was remembered belongs to another instance ({memory.instance_id}); it is ignored.",
        fields={"instance_id": identity.instance_id, "problem": "another instance"},
    )


def _of_this_process(memory: Memory) -> Memory:
    """Return what was seen since this process began: that is of this instance, and its end is still to be told."""
    return Memory(
        boot_id=memory.boot_id,
        faults={fault: watched for fault, watched in memory.faults.items() if watched.since_uptime is not None},
        state=memory.state,
        state_since=memory.state_since,
        state_since_uptime=memory.state_since_uptime,
        usable=memory.usable,
        denied=memory.denied,
        polls=memory.polls,
        failures=memory.failures,
        clock_offset=memory.clock_offset,
        imds_date=memory.imds_date,
        imds_date_at=memory.imds_date_at,
        imds_date_confirmed=memory.imds_date_confirmed,
        doubted=memory.doubted,
        doubted_at=memory.doubted_at,
        doubts=memory.doubts,
    )


def known(
    memory: Memory, seen: Observation, settings: Settings, now: Moment, confirmation: Confirmation | None = None
) -> Known:
    """Return what a judgement of *seen* needs of *memory*, and of the last *confirmation*.

    *memory* has noted the `Date` of *seen*: see `keep_time`.
    """
    time = judging_time(memory, seen, now)
    role, profile = expected(memory, settings.expect)
    return Known(
        expected_role=role,
        expected_instance_profile=profile,
        rotation_interval=rotation.learned(memory.intervals),
        grace=not memory.credentials_seen and _age(memory, time, now) < settings.limits.boot_grace,
        profile_name=memory.attached.instance_profile or memory.settled.instance_profile,
        confirmed=_confirmed(memory, confirmation, settings.confirm, now),
        time=time,
        doubted=seen.date if memory.doubts and memory.imds_date is not None else None,
    )


def _confirmed(
    memory: Memory, confirmation: Confirmation | None, confirm: ConfirmSettings, now: Moment
) -> Confirmed | None:
    """Return what *confirmation* says; None where there is none of this instance and time.

    Each counts once: in the polls until the next one it is silent, and what it said stands.
    """
    if confirmation is None or memory.instance_id not in (None, confirmation.instance_id):
        return None
    age = now.utc - confirmation.at
    if abs(age.total_seconds()) > 2 * confirm.interval:
        return None
    if confirmation.at == memory.confirmed_at:
        return Confirmed(untold=CONFIRMED_FAULTS)
    if age < -AHEAD:
        return None
    at = rfc3339(confirmation.at)
    findings = tuple(replace(each, evidence={**each.evidence, "confirmed": at}) for each in confirmation.findings)
    return Confirmed(findings, confirmation.untold)


def expected(memory: Memory, expect: ExpectSettings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the patterns of role and instance profile in force: the settings' come before the tags'."""
    tagged_role = memory.tags.role if expect.role_tag else None
    tagged_profile = memory.tags.instance_profile if expect.instance_profile_tag else None
    role = expect.role or ((tagged_role,) if tagged_role else ())
    profile = expect.instance_profile or ((tagged_profile,) if tagged_profile else ())
    return role, profile


def identity_due(memory: Memory, expect: ExpectSettings, now: Moment) -> bool:
    """Return whether the instance identity document should be asked for in this poll.

    Until it was read once, about hourly from then on, and in the next poll where it contradicts what is remembered.
    An hourly one waits for a poll that does not ask for the tags.
    """
    if memory.rival is not None:
        return True
    if _lately_asked(memory, now):
        return False
    if memory.identity is None or memory.identity_at is None:
        return True
    return now.uptime - memory.identity_at >= IDENTITY_INTERVAL and not tags_due(memory, expect, now)


def tags_due(memory: Memory, expect: ExpectSettings, now: Moment) -> bool:
    """Return whether the instance's tags should be asked for in this poll."""
    if not (expect.role_tag or expect.instance_profile_tag) or memory.rival or _lately_asked(memory, now):
        return False
    return memory.tags_at is None or now.uptime - memory.tags_at >= TAGS_INTERVAL


def _lately_asked(memory: Memory, now: Moment) -> bool:
    return memory.asked_at is not None and now.uptime - memory.asked_at < RETRY_INTERVAL


def _age(memory: Memory, time: datetime, now: Moment) -> float:
    """Return how many seconds ago the instance was launched or started.

    By `pendingTime` of the identity document and *time* (see `judging_time`); by the uptime where the document is not
    there or makes no sense. A reboot does not change `pendingTime`, and does not take the credentials away either.
    """
    pending = memory.identity.pending_time if memory.identity else None
    age = (time - pending).total_seconds() if pending else -1.0
    return age if age >= 0 else now.uptime


def snapshot_of(memory: Memory, settings: Settings, now: Moment, *, duration: float = 0.0) -> Snapshot:
    """Return what may be told of *memory* as of *now*; *duration* is that of the last poll in seconds."""
    served = memory.shown
    time = true_time(memory, now)
    role, profile = expected(memory, settings.expect)
    return Snapshot(
        moment=now,
        state=memory.state,
        state_since=memory.state_since or time,
        faults=tuple(
            ActiveFault(fault, memory.faults[fault].since, memory.faults[fault].evidence)
            for fault in Fault
            if fault in memory.faults and memory.faults[fault].active
        ),
        time=time,
        clock_offset=memory.clock_offset,
        identity=memory.identity,
        binding=memory.attached,
        expected=Expected(role, profile),
        credentials=CredentialSummary(
            usable=memory.usable,
            expiration=served.expiration if served else None,
            last_updated=served.last_updated if served else None,
            rotation_interval=rotation.learned(memory.intervals),
            overdue=_overdue(served, memory.intervals),
            rotations=memory.rotations,
        ),
        polls=PollSummary(memory.polls, memory.failures, memory.last_success, duration, settings.poll.interval),
    )


def _overdue(served: Served | None, intervals: tuple[float, ...]) -> datetime | None:
    """Return from when on a successor of *served* is overdue, as `classify` judges it."""
    if served is None or served.last_updated is None or served.expiration is None:
        return None
    life = served.expiration - served.last_updated
    try:
        return served.last_updated + allowed_age(life, rotation.learned(intervals))
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
    time = judging_time(memory, seen, now)
    memory = serve(attach(memory, seen), seen, verdict, now)
    usable = {Told.USABLE: True, Told.UNUSABLE: False}.get(verdict.credentials)
    memory = replace(memory, polls=1, clock_offset=verdict.clock_offset, usable=usable, state=look_state(verdict))
    seen_now = {finding.fault: Watched(time, finding.evidence, active=True) for finding in verdict.findings}
    return replace(snapshot_of(replace(memory, faults=seen_now), settings, now), state_since=time, time=time)
