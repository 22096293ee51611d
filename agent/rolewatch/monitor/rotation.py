"""Track role, profile, credentials and failed polls, and learn how often IMDS rotates the credentials. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from rolewatch.monitor.classify import SUCCESS, Verdict
from rolewatch.monitor.memory import BindingHistory, CredentialHistory, CredentialSet, Memory, PollHistory
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
from rolewatch.vocabulary import CredentialStatus, FailureLabel, Reason

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
    return replace(polls, failures=failures, failed=polls.failed + 1, failed_at=now.uptime, throttled=throttled)


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
