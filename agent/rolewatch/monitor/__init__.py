"""Track polls: turn verdicts into memory, state, events and a snapshot. Pure: memory in, memory out."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from rolewatch.faults import CONFIRMED_FAULTS, Fault
from rolewatch.monitor.classify import Confirmed, Prior, Verdict, allowed_age
from rolewatch.monitor.clock import judging_time
from rolewatch.monitor.confirmation import AHEAD, Confirmation
from rolewatch.monitor.events import change_events, common_fields, fault_events, poll_events, state_events
from rolewatch.monitor.memory import CredentialHistory, FaultState, Instance, Memory, PollHistory, Status
from rolewatch.monitor.track import (
    learned,
    update_binding,
    update_credentials,
    update_faults,
    update_polls,
    update_status,
)
from rolewatch.observation import Answered, Identity, Moment, Observation
from rolewatch.publish import ActiveFault, CredentialSummary, Event, Expected, PollSummary, Snapshot
from rolewatch.settings import ConfirmSettings, ExpectSettings, Settings
from rolewatch.text import rfc3339
from rolewatch.vocabulary import CredentialStatus, EventKind, Level, State


def advance(  # noqa: PLR0913 - one poll, and what it was judged by
    memory: Memory,
    observation: Observation,
    verdict: Verdict,
    settings: Settings,
    now: Moment,
    *,
    duration: float = 0.0,
) -> tuple[Memory, Snapshot, tuple[Event, ...]]:
    """Return the memory and the snapshot after one poll, and its events. `clock.keep_time` comes first.

    *duration* is that of the poll in seconds.
    """
    before = memory
    memory = replace(
        _with_observation(memory, observation, verdict, settings, now), faults=update_faults(memory, verdict, now)
    )
    memory = replace(memory, status=update_status(memory, verdict, now))
    snapshot = snapshot_of(memory, settings, now, duration=duration)
    memory, of_faults = fault_events(before, memory, snapshot, settings.limits.reminder, now)
    events = [
        *change_events(before, memory),
        *of_faults,
        *state_events(before, memory, snapshot),
        *poll_events(before, memory, verdict),
    ]
    common = common_fields(memory)
    return memory, snapshot, tuple(replace(event, fields={**common, **event.fields}) for event in events)


def _with_observation(
    memory: Memory, observation: Observation, verdict: Verdict, settings: Settings, now: Moment
) -> Memory:
    return replace(
        memory,
        instance=replace(memory.instance, imds_address=observation.host),
        binding=update_binding(memory.binding, observation),
        polls=update_polls(memory, observation, verdict, now, calm=settings.limits.reminder),
        credentials=update_credentials(memory, observation, verdict, now),
        dropped_packets=observation.dropped_packets,
    )


NO_ROLE = "-"
"""The value of the tag of `ExpectSettings.role_tag` that says that no role is expected."""
TAGS_INTERVAL = 600.0
"""Seconds between two readings of the instance's tags: they seldom change, and each costs a request."""
IDENTITY_INTERVAL = 3600.0
"""Seconds between two readings of the identity document, so that a forged one does not last until a restart."""
RETRY_INTERVAL = 120.0
"""Seconds before identity or tags are requested again if IMDS gave no usable answer. At every poll, they would make
seven requests of four."""


def update_instance(
    memory: Memory, observation: Observation, now: Moment, *, at_once: bool = False
) -> tuple[Memory, tuple[Event, ...]]:
    """Return *memory* with identity and tags of *observation*.

    The memory of another instance (an image made of a running one) is dropped, with an event: when two answers in a row
    name the same other instance, or *at_once* for a poll that cannot be repeated.
    """
    if not isinstance(observation, Answered):
        return memory, ()
    events: list[Event] = []
    rival, identity = memory.instance.rival, observation.identity
    instance = replace(memory.instance, rival=None)
    if identity is not None:
        contradicts = instance.id not in (None, identity.instance_id)
        if contradicts and not at_once and rival != identity.instance_id:
            # Requested again in the next poll. A third id in a row is not believed either, and brings no extra request.
            instance = replace(instance, identity_at=now.uptime, rival=None if rival else identity.instance_id)
        else:
            if contradicts:
                events = [_other_instance(memory, identity)]
                memory, instance = _of_this_process(memory), Instance()
            instance = replace(instance, id=identity.instance_id, identity=identity, identity_at=now.uptime)
    if observation.signs is not None:
        instance = replace(instance, signs=observation.signs)
    if observation.tags is not None:
        instance = replace(instance, tags=observation.tags, tags_at=now.uptime)
    return replace(memory, instance=instance), tuple(events)


def _other_instance(memory: Memory, identity: Identity) -> Event:
    return Event(
        EventKind.STATE_FILE_IGNORED,
        Level.WARNING,
        f"The saved state belongs to another instance ({memory.instance.id}). It is ignored.",
        fields={"instance_id": identity.instance_id, "problem": "another instance"},
    )


def _of_this_process(memory: Memory) -> Memory:
    """Return *memory* without what came from the state file of another instance."""
    return Memory(
        boot_id=memory.boot_id,
        faults={fault: state for fault, state in memory.faults.items() if state.since_uptime is not None},
        clock=memory.clock,
        status=memory.status,
        polls=PollHistory(memory.polls.ended, memory.polls.failures),
    )


def prior(
    memory: Memory,
    observation: Observation,
    settings: Settings,
    now: Moment,
    confirmation: Confirmation | None = None,
) -> Prior:
    """Return what `classify` needs of *memory* and of the last *confirmation*. `clock.keep_time` comes first."""
    time = judging_time(memory, observation, now)
    expected = expectation(memory, settings.expect)
    binding, clock = memory.binding, memory.clock
    low = memory.faults.get(Fault.IMDS_HOP_LIMIT)
    return Prior(
        expected_role=expected.role,
        expected_instance_profile=expected.instance_profile,
        expected_none=expected.none,
        rotation_interval=learned(memory.credentials.intervals),
        grace=not memory.credentials.usable_seen and _age(memory, time, now) < settings.limits.boot_grace,
        signs=memory.instance.signs,
        answering_instance_id=memory.instance.identity.instance_id if memory.instance.identity else None,
        accepted=settings.imds.accept_responder,
        profile_name=binding.current.instance_profile or binding.confirmed.instance_profile,
        hop_limit=memory.hop_limit.measured,
        hop_limit_was_low=low is not None and "hop_limit" in low.evidence,
        needed_hop_limit=settings.expect.container_hop_limit if settings.expect.containers else None,
        confirmed=_confirmed(memory, confirmation, settings.confirm, now),
        time=time,
        doubted_date=observation.date if clock.doubts and clock.date is not None else None,
    )


def _confirmed(
    memory: Memory, confirmation: Confirmation | None, confirm: ConfirmSettings, now: Moment
) -> Confirmed | None:
    """Return what *confirmation* found; None if there is none of this instance and time.

    Each counts once: in the polls until the next one its faults are undetermined, and so stay as they are.
    """
    if confirmation is None or memory.instance.id not in (None, confirmation.instance_id):
        return None
    age = now.utc - confirmation.at
    if abs(age.total_seconds()) > 2 * confirm.interval:
        return None
    if confirmation.at == memory.confirmed_at:
        return Confirmed(undetermined=CONFIRMED_FAULTS)
    if age < -AHEAD:
        return None
    at = rfc3339(confirmation.at)
    findings = tuple(replace(each, evidence={**each.evidence, "confirmed": at}) for each in confirmation.findings)
    return Confirmed(findings, confirmation.undetermined)


def expectation(memory: Memory, expect: ExpectSettings) -> Expected:
    """Return the patterns of role and instance profile in force: the settings' come before the tags'."""
    tags = memory.instance.tags
    tagged_role = tags.role if expect.role_tag else None
    tagged_profile = tags.instance_profile if expect.instance_profile_tag else None
    if expect.none or (tagged_role == NO_ROLE and not (expect.role or expect.instance_profile)):
        return Expected(none=True)
    return Expected(
        role=expect.role or ((tagged_role,) if tagged_role else ()),
        instance_profile=expect.instance_profile or ((tagged_profile,) if tagged_profile else ()),
    )


def identity_due(memory: Memory, expect: ExpectSettings, now: Moment) -> bool:
    """Return whether this poll should request the instance identity document.

    Until it was read once, hourly from then on, and in the next poll if it contradicts what is remembered or if
    something else than this instance's IMDS seems to answer. An hourly request waits for a poll that does not request
    the tags.
    """
    instance = memory.instance
    if instance.rival is not None or Fault.IMDS_INTERCEPTED in memory.faults:
        return True
    if _lately_requested(instance, now):
        return False
    if instance.identity is None or instance.identity_at is None:
        return True
    return now.uptime - instance.identity_at >= IDENTITY_INTERVAL and not tags_due(memory, expect, now)


def tags_due(memory: Memory, expect: ExpectSettings, now: Moment) -> bool:
    """Return whether this poll should request the instance's tags."""
    instance = memory.instance
    if not (expect.role_tag or expect.instance_profile_tag) or instance.rival or _lately_requested(instance, now):
        return False
    return instance.tags_at is None or now.uptime - instance.tags_at >= TAGS_INTERVAL


HOP_LIMIT_INTERVAL = 3600.0
"""Seconds between two measurements of the hop limit: it changes only when somebody changes it."""
HOP_LIMIT_RETRY = 300.0
"""Seconds between two measurements while the fault is active, so that its end shows soon."""


def hop_limit_due(memory: Memory, now: Moment) -> bool:
    """Return whether the hop limit should be measured before the next poll."""
    requested_at = memory.hop_limit.requested_at
    interval = HOP_LIMIT_RETRY if Fault.IMDS_HOP_LIMIT in memory.faults else HOP_LIMIT_INTERVAL
    return requested_at is None or now.uptime - requested_at >= interval


def update_hop_limit(memory: Memory, observation: Observation, measured: int | None) -> Memory:
    """Return *memory* with the *measured* hop limit, if the poll after the measurement was answered, too.

    If it was not, silence is no sign of a hop limit.
    """
    if measured is None or not isinstance(observation, Answered):
        return memory
    return replace(memory, hop_limit=replace(memory.hop_limit, measured=measured))


def _lately_requested(instance: Instance, now: Moment) -> bool:
    return instance.requested_at is not None and now.uptime - instance.requested_at < RETRY_INTERVAL


def _age(memory: Memory, time: datetime, now: Moment) -> float:
    """Return how many seconds ago the instance was launched or started.

    By `pendingTime` of the identity document and *time* (see `judging_time`); by the uptime if the document is missing
    or makes no sense. A reboot does not change `pendingTime`, and does not take the credentials away either.
    """
    identity = memory.instance.identity
    pending = identity.pending_time if identity else None
    age = (time - pending).total_seconds() if pending else -1.0
    return age if age >= 0 else now.uptime


def snapshot_of(memory: Memory, settings: Settings, now: Moment, *, duration: float = 0.0) -> Snapshot:
    """Return the part of *memory* that is published, as of *now*; *duration* is that of the last poll in seconds."""
    status, credentials, polls, shown = memory.status, memory.credentials, memory.polls, memory.credentials.shown
    time = memory.clock.time(now)
    return Snapshot(
        moment=now,
        state=status.state,
        state_since=status.since or time,
        faults=tuple(
            ActiveFault(fault, memory.faults[fault].since, memory.faults[fault].evidence)
            for fault in Fault
            if fault in memory.faults and memory.faults[fault].active
        ),
        time=time,
        clock_offset=memory.clock.offset,
        identity=memory.instance.identity,
        imds_address=memory.instance.imds_address,
        binding=memory.binding.current,
        expected=expectation(memory, settings.expect),
        credentials=CredentialSummary(
            usable=status.usable,
            expiration=shown.expiration if shown else None,
            last_updated=shown.last_updated if shown else None,
            rotation_interval=learned(credentials.intervals),
            overdue=_overdue(credentials),
            rotations=credentials.rotations,
        ),
        polls=PollSummary(polls.ended, polls.failures, polls.last_success, duration, settings.poll.interval),
        hop_limit=memory.hop_limit.measured,
        confirmed=memory.confirmed_at,
        dropped_packets=memory.dropped_packets,
    )


def _overdue(credentials: CredentialHistory) -> datetime | None:
    """Return from when on the successor of the set shown is overdue, as `classify` judges it."""
    shown = credentials.shown
    if shown is None or shown.last_updated is None or shown.expiration is None:
        return None
    life = shown.expiration - shown.last_updated
    return shown.last_updated + allowed_age(life, learned(credentials.intervals))


def single_poll(
    memory: Memory, observation: Observation, verdict: Verdict, settings: Settings, now: Moment
) -> Snapshot:
    """Return the snapshot of a single poll, which cannot debounce: every finding is active at once."""
    time = judging_time(memory, observation, now)
    memory = _with_observation(memory, observation, verdict, settings, now)
    rejected = any(finding.fault is Fault.CREDENTIALS_REJECTED for finding in verdict.findings)
    if rejected and verdict.credentials is CredentialStatus.USABLE:
        verdict = replace(verdict, credentials=CredentialStatus.UNUSABLE)
    memory = replace(
        memory,
        faults={finding.fault: FaultState(time, finding.evidence, active=True) for finding in verdict.findings},
        clock=replace(memory.clock, offset=verdict.clock_offset),
        status=Status(_single_poll_state(verdict), usable=_USABLE.get(verdict.credentials)),
    )
    return replace(snapshot_of(memory, settings, now), state_since=time, time=time)


_USABLE = {CredentialStatus.USABLE: True, CredentialStatus.UNUSABLE: False}


def _single_poll_state(verdict: Verdict) -> State:
    if verdict.credentials is CredentialStatus.PENDING:
        return State.STARTING
    if verdict.credentials is CredentialStatus.UNDETERMINED:
        return State.UNKNOWN
    if verdict.credentials is CredentialStatus.UNUSABLE:
        return State.FAILED
    return State.DEGRADED if verdict.findings else State.OK
