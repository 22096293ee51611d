"""Track role, profile and credentials, and learn how often IMDS rotates them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from rolewatch.faults import IMDS_FAULTS
from rolewatch.monitor.classify import SUCCESS, Finding, Verdict
from rolewatch.monitor.memory import Memory, Served, true_time
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
from rolewatch.vocabulary import FailureLabel, Reason, Told

INTERVALS = (1.0, 86_400.0)
"""The shortest and the longest interval between two rotations that is learned, in seconds. `LastUpdated` has whole
seconds, and a role session lives for 12 hours at most (STS API reference, AssumeRole, 2026)."""
KEPT = 7
"""How many intervals are remembered."""
NEEDED = 2
"""How many it takes to know a cadence: one alone may be a re-association by hand."""
UNWATCHED = timedelta(minutes=5)
"""A new set counts only where the old one was still seen this shortly before it: what rotated while nobody looked
would pass for one long interval."""


def learned(intervals: tuple[float, ...]) -> float | None:
    """Return the cadence in seconds: the median, so that neither one late rotation nor one re-association moves it."""
    if len(intervals) < NEEDED:
        return None
    return sorted(intervals)[len(intervals) // 2]


def with_rotation(intervals: tuple[float, ...], old: Served, new: Served) -> tuple[float, ...]:
    """Return *intervals* and the one between *old* and *new*, where it can be known."""
    if old.last_updated is None or new.last_updated is None:
        return intervals
    interval = (new.last_updated - old.last_updated).total_seconds()
    shortest, longest = INTERVALS
    if not shortest <= interval <= longest or new.last_updated - old.seen > UNWATCHED:
        return intervals
    return (*intervals, interval)[-KEPT:]


FROM_THE_FUTURE = timedelta(minutes=5)
"""A set whose LastUpdated is so much later than the poll is misdated (on record: 44 s). No successor would be newer."""


def attach(memory: Memory, seen: Observation) -> Memory:
    """Note role and instance profile as told, and which of them are settled: seen twice in a row."""
    if not isinstance(seen, Answered):
        return memory
    old = memory.attached
    info, listing = seen.info, seen.listing
    role = listing.role if isinstance(listing, RoleListing) else old.role if isinstance(listing, Failure) else None
    if isinstance(info, ProfileInfo):
        # An error document has no ARN: the profile is still the one it was.
        attached = RoleBinding(role, info.name or old.instance_profile, info.id or old.instance_profile_id)
    elif isinstance(info, Absent) and isinstance(listing, Absent):
        attached = RoleBinding(role)
    else:
        attached = replace(old, role=role)
    settled = memory.settled
    target = RoleBinding(
        role or settled.role,
        attached.instance_profile or settled.instance_profile,
        attached.instance_profile_id or settled.instance_profile_id,
    )
    if settled.role is None or target in (settled, memory.candidate):
        return replace(memory, attached=attached, settled=target, candidate=None)
    return replace(memory, attached=attached, candidate=target)


def count_failure(memory: Memory, verdict: Verdict, now: Moment, *, calm: float) -> Memory:
    """Count a poll that yielded no usable answer, by its cause. *calm* seconds without one begin a new count."""
    reason = _failure_reason(verdict)
    if reason is None:
        ended = memory.failed_at is not None and now.uptime - memory.failed_at >= calm
        return replace(memory, throttled=0, failed_polls=0 if ended else memory.failed_polls)
    failures: dict[FailureLabel, int] = dict(memory.failures)
    failures[reason.label] = failures.get(reason.label, 0) + 1
    return replace(
        memory,
        failures=failures,
        failed_polls=memory.failed_polls + 1,
        failed_at=now.uptime,
        throttled=memory.throttled + 1 if reason is Reason.THROTTLED else 0,
    )


def _failure_reason(verdict: Verdict) -> Reason | None:
    finding = imds_finding(verdict)
    return finding.failure.reason if finding and finding.failure else None


def imds_finding(verdict: Verdict) -> Finding | None:
    """Return the finding that IMDS itself failed, if that is one."""
    return next((finding for finding in verdict.findings if finding.fault in IMDS_FAULTS), None)


def _is_complete(document: Credentials) -> bool:
    """Return whether *document* is a set of credentials; one with an error Code is none, whatever else it holds."""
    return not document.missing and document.expiration is not None and (document.code or SUCCESS).lower() == SUCCESS


def serve(memory: Memory, seen: Observation, verdict: Verdict, now: Moment) -> Memory:
    """Note the set of credentials served, and learn from a rotation."""
    if not isinstance(seen, Answered):
        return memory
    document, time = seen.credentials, true_time(memory, now)
    if isinstance(document, Credentials):
        memory = replace(memory, last_success=time, last_success_uptime=now.uptime)
    if not isinstance(document, Credentials) or not _is_complete(document):
        # Told that there are none: IMDS has withdrawn the set, and nothing may count it down any more.
        return replace(memory, current=memory.current and verdict.credentials is Told.UNTOLD)
    new = Served(document.role, document.fingerprint, document.last_updated, document.expiration, time)
    credentials_seen = memory.credentials_seen or verdict.credentials is Told.USABLE
    memory = replace(memory, misdated=new, current=True, credentials_seen=credentials_seen)
    if memory.doubts or memory.rival or _is_later(new.last_updated, time):
        return memory
    old, newest = memory.served, memory.newest
    # A date that was believed and turns out to be of the future would hide every rotation until then.
    if _is_later(newest, time):
        newest = None
    if old is not None and _is_later(old.last_updated, time):
        old = None
    latest = max(filter(None, (newest, new.last_updated)), default=None)
    memory = replace(memory, served=new, misdated=None, newest=latest)
    if old is None or old.role.lower() != new.role.lower() or not _is_rotation(old, new, newest=newest):
        return memory
    return replace(memory, rotations=memory.rotations + 1, intervals=with_rotation(memory.intervals, old, new))


def _is_later(date: datetime | None, time: datetime) -> bool:
    """Return whether *date* is later than *time* by more than clocks and rounding explain."""
    return date is not None and date - time > FROM_THE_FUTURE


def _is_rotation(old: Served, new: Served, *, newest: datetime | None) -> bool:
    """Return whether *new* succeeds *old*: another key, and newer than any set seen before (*newest*)."""
    if old.fingerprint == new.fingerprint:
        return False
    if old.last_updated is None or new.last_updated is None:
        return True
    return newest is None or new.last_updated > newest
