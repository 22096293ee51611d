"""Update each part of the memory after a poll: binding, polls, credentials and their rotation, faults, state. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from rolewatch.faults import CONFIRMED_FAULTS, DENYING_FAULTS, FAULTS, IMDS_FAULTS, Fault
from rolewatch.monitor.classify import SUCCESS, Verdict
from rolewatch.monitor.memory import (
    BindingHistory,
    CredentialHistory,
    CredentialSet,
    FaultState,
    Memory,
    PollHistory,
    Status,
)
from rolewatch.observation import (
    Absent,
    Answered,
    Credentials,
    Failure,
    Moment,
    Observation,
    ProfileInfo,
    RoleBinding,
    RoleListing,
)
from rolewatch.vocabulary import CredentialStatus, FailureLabel, Reason, State

INTERVALS = (1.0, 86_400.0)
"""The shortest and the longest interval between two rotations that is learned, in seconds. `LastUpdated` has whole
seconds, and a role session lives for 12 hours at most (STS API reference, AssumeRole, 2026)."""
KEPT = 7
"""How many intervals are remembered."""
NEEDED = 2
"""How many it takes to know the interval: one alone may be a re-association by hand."""
UNWATCHED = timedelta(minutes=5)
"""An interval counts only if the old set was seen this shortly before the new one was made. Otherwise several rotations
may have happened unseen, and would count as one long interval."""
FROM_THE_FUTURE = timedelta(minutes=5)
"""A set whose LastUpdated is later than the poll by more than this is misdated (44 s was seen): it would make every
later set look old."""
CLEAR_AFTER = 2
"""Polls in a row that must not see a fault before it is cleared: hysteresis, the same for metric and journal."""


def learned(intervals: tuple[float, ...]) -> float | None:
    """Return the rotation interval in seconds, or None while too few intervals are known.

    It is the median, which neither one late rotation nor one re-association moves.
    """
    return sorted(intervals)[len(intervals) // 2] if len(intervals) >= NEEDED else None


def with_rotation(intervals: tuple[float, ...], old: CredentialSet, new: CredentialSet) -> tuple[float, ...]:
    """Return *intervals* and the one between *old* and *new*, if it can be known."""
    if old.last_updated is None or new.last_updated is None:
        return intervals
    interval = (new.last_updated - old.last_updated).total_seconds()
    shortest, longest = INTERVALS
    if not shortest <= interval <= longest or new.last_updated - old.seen > UNWATCHED:
        return intervals
    return (*intervals, interval)[-KEPT:]


def update_binding(binding: BindingHistory, observation: Observation) -> BindingHistory:
    """Return *binding* with role and instance profile of *observation*; two polls in a row confirm a change."""
    if not isinstance(observation, Answered):
        return binding
    old, confirmed = binding.current, binding.confirmed
    info, listing = observation.info, observation.listing
    role = listing.role if isinstance(listing, RoleListing) else old.role if isinstance(listing, Failure) else None
    if isinstance(info, ProfileInfo):
        # An error document has no ARN: the profile is still the one it was.
        current = RoleBinding(role, info.name or old.instance_profile, info.id or old.instance_profile_id)
    elif isinstance(info, Absent) and isinstance(listing, Absent):
        current = RoleBinding(role)
    else:
        current = replace(old, role=role)
    target = RoleBinding(
        role or confirmed.role,
        current.instance_profile or confirmed.instance_profile,
        current.instance_profile_id or confirmed.instance_profile_id,
    )
    if confirmed.role is None or target in (confirmed, binding.candidate):
        return BindingHistory(current, confirmed=target)
    return replace(binding, current=current, candidate=target)


def update_polls(
    memory: Memory, observation: Observation, verdict: Verdict, now: Moment, *, calm: float
) -> PollHistory:
    """Return the poll history with this poll. *calm* seconds without a failure begin a new count of `failed`."""
    polls = replace(memory.polls, ended=memory.polls.ended + 1)
    if isinstance(observation, Answered) and isinstance(observation.credentials, Credentials):
        polls = replace(polls, last_success=memory.clock.time(now), last_success_uptime=now.uptime)
    finding = verdict.imds_finding
    if finding is None or finding.failure is None:
        ended = polls.failed_at is not None and now.uptime - polls.failed_at >= calm
        return replace(polls, throttled=0, failed=0 if ended else polls.failed)
    reason = finding.failure.reason
    failures: dict[FailureLabel, int] = {**polls.failures, reason.label: polls.failures.get(reason.label, 0) + 1}
    throttled = polls.throttled + 1 if reason is Reason.THROTTLED else 0
    alike = polls.alike + 1 if reason is polls.reason and polls.failed else 1
    return replace(
        polls,
        failures=failures,
        failed=polls.failed + 1,
        failed_at=now.uptime,
        alike=alike,
        reason=reason,
        throttled=throttled,
    )


def update_credentials(memory: Memory, observation: Observation, verdict: Verdict, now: Moment) -> CredentialHistory:
    """Return the credential history with the set that IMDS serves now, and learn from a rotation."""
    history = memory.credentials
    if not isinstance(observation, Answered):
        return history
    document, time = observation.credentials, memory.clock.time(now)
    if not isinstance(document, Credentials) or not _is_complete(document):
        # If IMDS says that there are none, it has withdrawn the set, and nothing may count it down any more.
        undetermined = verdict.credentials is CredentialStatus.UNDETERMINED
        return replace(history, served=history.served and undetermined)
    new = CredentialSet(document.role, document.fingerprint, document.last_updated, document.expiration, time)
    usable_seen = history.usable_seen or verdict.credentials is CredentialStatus.USABLE
    history = replace(history, misdated=new, served=True, usable_seen=usable_seen)
    if memory.clock.doubts or memory.instance.rival or _is_later(new.last_updated, time):
        return history
    # A date that was believed and turns out to be of the future would hide every rotation until then.
    newest = None if _is_later(history.newest, time) else history.newest
    old = None if history.last is None or _is_later(history.last.last_updated, time) else history.last
    latest = max(filter(None, (newest, new.last_updated)), default=None)
    history = replace(history, last=new, misdated=None, newest=latest)
    if old is None or old.role.lower() != new.role.lower() or not _is_rotation(old, new, newest=newest):
        return history
    return replace(history, rotations=history.rotations + 1, intervals=with_rotation(history.intervals, old, new))


def _is_complete(document: Credentials) -> bool:
    """Return whether *document* is a set of credentials; one with an error Code is none, whatever else it holds."""
    return not document.missing and document.expiration is not None and (document.code or SUCCESS).lower() == SUCCESS


def _is_later(date: datetime | None, time: datetime) -> bool:
    """Return whether *date* is later than *time* by more than clocks and rounding explain."""
    return date is not None and date - time > FROM_THE_FUTURE


def _is_rotation(old: CredentialSet, new: CredentialSet, *, newest: datetime | None) -> bool:
    """Return whether *new* succeeds *old*: another key, and newer than any set seen before (*newest*)."""
    if old.fingerprint == new.fingerprint:
        return False
    if old.last_updated is None or new.last_updated is None:
        return True
    return newest is None or new.last_updated > newest


def update_faults(memory: Memory, verdict: Verdict, now: Moment) -> dict[Fault, FaultState]:
    """Return the faults after a poll: raise what was seen often enough, clear what was ruled out often enough.

    A fault on which *verdict* is undetermined stays as it was.
    """
    evidence = {finding.fault: finding.evidence for finding in verdict.findings}
    after: dict[Fault, FaultState] = {}
    for fault in Fault:
        state = memory.faults.get(fault)
        if fault in evidence:
            state = state or FaultState(memory.clock.time(now), evidence[fault], since_uptime=now.uptime)
            seen = state.seen + 1
            active = state.active or seen >= FAULTS[fault].debounce
            after[fault] = replace(state, evidence=evidence[fault], active=active, seen=seen, unseen=0)
        elif state is not None and fault in verdict.undetermined:
            after[fault] = state
        elif state is not None and state.active and state.unseen + 1 < _clear_after(fault):
            after[fault] = replace(state, unseen=state.unseen + 1)
    return after


def _clear_after(fault: Fault) -> int:
    """Return how many polls without *fault* clear it. Confirmations do not flicker, and the next one is hours off."""
    return 1 if fault in CONFIRMED_FAULTS else CLEAR_AFTER


_GOOD = {CredentialStatus.USABLE: True, CredentialStatus.NOT_EXPECTED: None}
"""What is well, and whether there are usable credentials then."""


def update_status(memory: Memory, verdict: Verdict, now: Moment) -> Status:
    """Return the state that follows from the active faults of *memory* and from the credentials in *verdict*.

    While the credentials are undetermined, or their loss is not confirmed, the last verdict on them stays in force.
    Other faults count. The first state waits for a fault that was seen and is not confirmed yet: "ok" may be wrong.
    """
    status, found = memory.status, verdict.credentials
    if found is not CredentialStatus.UNDETERMINED:
        status = replace(status, denials=status.denials + 1 if found is CredentialStatus.UNUSABLE else 0)
    active = [fault for fault, each in memory.faults.items() if each.active]
    blind = any(
        fault in IMDS_FAULTS and not FAULTS[fault].spares_the_poll(memory.faults[fault].evidence) for fault in active
    )
    usable, state = status.usable, status.state
    undetermined = found is CredentialStatus.UNDETERMINED
    if found is CredentialStatus.USABLE and Fault.CREDENTIALS_REJECTED in active:
        usable, state = False, State.FAILED
    elif found in _GOOD:
        good = State.STARTING if state is State.STARTING and verdict.findings else State.OK
        usable, state = _GOOD[found], State.DEGRADED if active else good
    elif found is CredentialStatus.UNUSABLE and _is_confirmed(status, active):
        usable, state = False, State.FAILED
    elif undetermined and blind:
        state = State.UNKNOWN
    elif (found is CredentialStatus.PENDING and not active) or (
        not undetermined and state is State.UNKNOWN and not blind
    ):
        state = State.STARTING
    elif state in (State.OK, State.DEGRADED):
        state = State.DEGRADED if active else State.OK
    if undetermined and usable and _has_expired(memory, now):
        usable = False
    if state is not status.state or status.since is None:
        status = replace(status, since=memory.clock.time(now), since_uptime=now.uptime)
    return replace(status, usable=usable, state=state)


def _is_confirmed(status: Status, active: Sequence[Fault]) -> bool:
    """Return whether the loss of the credentials is more than a flicker.

    That is: two polls in a row found none, whatever the reasons; or they have expired; or a fault that explains the
    loss was active already and no usable ones were seen since, as after a restart of the daemon.
    """
    if status.denials >= CLEAR_AFTER or Fault.CREDENTIALS_EXPIRED in active:
        return True
    return not status.usable and any(fault in DENYING_FAULTS for fault in active)


def _has_expired(memory: Memory, now: Moment) -> bool:
    """Return whether the set that IMDS served last has expired since."""
    shown = memory.credentials.shown
    return shown is not None and shown.expiration is not None and shown.expiration <= memory.clock.time(now)
