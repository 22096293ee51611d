"""Judge an observation: a pure, total function; `now` is a value.

As time passes over the same observation the verdict never improves (a property test checks it).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from rolewatch.faults import IMDS_FAULTS, Fault, faults_read_from
from rolewatch.observation import (
    Absent,
    Answered,
    Credentials,
    Failure,
    Moment,
    Observation,
    ProfileInfo,
    RoleListing,
    Unanswered,
)
from rolewatch.settings import LimitSettings
from rolewatch.text import rfc3339
from rolewatch.vocabulary import Document, Evidence, Phase, Reason, Scalar, Told


@dataclass(frozen=True)
class Finding:
    """One fault that holds, as seen in one look, with what it rests on."""

    fault: Fault
    evidence: Evidence = field(default_factory=dict)
    failure: Failure | None = None
    """The request that failed, for a fault of IMDS itself."""


@dataclass(frozen=True)
class Verdict:
    """What one observation means. `monitor` turns verdicts into states and events."""

    findings: tuple[Finding, ...]
    """Every fault that holds, in the order of `Fault`."""
    untold: tuple[Fault, ...]
    """The faults on which this observation is silent: they neither hold nor do they not."""
    credentials: Told
    clock_offset: float | None
    """Local clock minus IMDS's, in seconds; None where no answer had a `Date`."""


SUCCESS = "success"
UNLEARNED_OVERDUE = timedelta(hours=2)
"""Without a learned cadence a set is overdue when it is older than this *and* than half its life. IMDS rotates about
hourly sets that live 6 h 02 min to 6 h 35 min (recordings 2015-2025); later rotation is on record, so the rule is
cautious."""


@dataclass(frozen=True)
class Confirmed:
    """What is known of the faults that only the AWS API can tell."""

    findings: tuple[Finding, ...] = ()
    untold: tuple[Fault, ...] = ()
    """Those that the confirmation could not decide; all of them, where it was judged before."""


@dataclass(frozen=True)
class Known:
    """What is remembered from earlier polls, as far as a judgement needs it."""

    expected_role: tuple[str, ...] = ()
    """Patterns; empty: any."""
    expected_instance_profile: tuple[str, ...] = ()
    rotation_interval: float | None = None
    """The learned cadence in seconds; None where too few rotations were seen."""
    grace: bool = False
    """It is shortly after boot and no credentials were seen since: that they are missing is no fault yet."""
    profile_name: str | None = None
    """The instance profile's name as last told: an error document does not repeat it."""
    confirmed: Confirmed | None = None
    """What a confirmation through the AWS API says; None where there is none, or it is too old to be believed."""
    time: datetime | None = None
    """The time by which ages and expiries are judged: see `monitor.clock`. None: `Date`, or else the local clock."""
    doubted: datetime | None = None
    """The `Date` of this poll, if it is not believed: where it judges the credentials otherwise than `time` does, the
    poll decides nothing. None: it is believed, or there is no belief to hold it against."""


def classify(seen: Observation, known: Known, limits: LimitSettings, now: Moment) -> Verdict:
    """Return every fault that holds in *seen*, the ones on which it is silent, and whether there are credentials.

    Total over `Observation`. Ages and expiries are judged by `Known.time`, the offset of the clocks by this `Date`.
    """
    offset = None if seen.date is None else (now.utc - seen.date).total_seconds()
    verdict = _Judgement(clock_offset=offset)
    _judge_clock(verdict, offset, limits)
    if isinstance(seen, Unanswered):
        fault = _imds_fault(seen.failure)
        verdict.hold(fault, seen.failure.evidence, seen.failure)
        verdict.silence(faults_read_from())
        verdict.silence(IMDS_FAULTS[IMDS_FAULTS.index(fault) + 1 :])
    else:
        _judge_reading(verdict, seen, known)
        _judge_profile(verdict, seen, known)
        _judge_credentials(verdict, seen, known, known.time or seen.date or now.utc)
        _judge_expectations(verdict, seen, known)
    if known.confirmed is not None:
        verdict.silence(known.confirmed.untold)
        for finding in known.confirmed.findings:
            verdict.hold(finding.fault, finding.evidence)
    return verdict.result()


class _Judgement:
    """A verdict in the making: what holds, and on what the observation is silent."""

    def __init__(self, *, clock_offset: float | None) -> None:
        self._offset = clock_offset
        self._findings: dict[Fault, Finding] = {}
        self._untold: set[Fault] = set()
        self.told = Told.UNTOLD

    def hold(self, fault: Fault, evidence: Evidence, failure: Failure | None = None) -> None:
        """Add *fault*, with the request that failed if that is what shows it. The first evidence stays."""
        self._findings.setdefault(fault, Finding(fault, evidence, failure))

    def silence(self, faults: Iterable[Fault]) -> None:
        """Note that the observation does not tell of *faults*."""
        self._untold.update(faults)

    def result(self) -> Verdict:
        """Return the verdict, in the order of `Fault`."""
        return Verdict(
            findings=tuple(self._findings[fault] for fault in Fault if fault in self._findings),
            untold=tuple(fault for fault in Fault if fault in self._untold and fault not in self._findings),
            credentials=self.told,
            clock_offset=self._offset,
        )


def _imds_fault(failure: Failure) -> Fault:
    """Tell the four ways apart in which IMDS itself can fail to give a token."""
    if failure.phase is Phase.CONNECT:
        return Fault.IMDS_UNREACHABLE
    if failure.phase is Phase.TOKEN and failure.reason is Reason.NO_ANSWER:
        return Fault.IMDS_HOP_LIMIT
    if failure.phase is Phase.TOKEN and failure.reason is Reason.FORBIDDEN:
        return Fault.IMDS_DISABLED
    return Fault.IMDS_ERROR


def _judge_clock(verdict: _Judgement, offset: float | None, limits: LimitSettings) -> None:
    if offset is None:
        verdict.silence({Fault.CLOCK_SKEW})
    elif abs(offset) > limits.clock_skew:
        verdict.hold(Fault.CLOCK_SKEW, {"clock_offset_seconds": round(offset)})


def _judge_reading(verdict: _Judgement, seen: Answered, known: Known) -> None:
    """Judge whether the documents could be read at all, and silence what hangs on those that could not."""
    info, listing, credentials = seen.info, seen.listing, seen.credentials
    if isinstance(listing, Failure) and not (_denies_role(info) and listing.reason is Reason.EMPTY):
        # A profile without a role may have an empty listing: one emulator does so, AWS's own answer is not on record.
        verdict.hold(Fault.IMDS_ERROR, listing.evidence, listing)
        verdict.silence(faults_read_from(Document.LISTING))
    if isinstance(credentials, Failure):
        verdict.hold(Fault.IMDS_ERROR, credentials.evidence, credentials)
        verdict.silence(faults_read_from(Document.CREDENTIALS))
    if isinstance(info, Failure):
        verdict.hold(Fault.IMDS_ERROR, info.evidence, info)
        verdict.silence(faults_read_from(Document.INFO))
        if known.expected_instance_profile:
            verdict.silence({Fault.ROLE_MISMATCH})
        if isinstance(listing, Absent):  # no role is listed, and why is in the document that could not be read
            verdict.silence(faults_read_from(Document.LISTING))
    if isinstance(listing, RoleListing) and listing.roles > 1:
        failure = Failure(Phase.DOCUMENT, Reason.AMBIGUOUS, Document.LISTING.value, status=200)
        verdict.hold(Fault.IMDS_ERROR, {**failure.evidence, "roles": listing.roles, "role": listing.role}, failure)


def _judge_profile(verdict: _Judgement, seen: Answered, known: Known) -> None:
    """Judge ``iam/info``, and the whole ``iam`` subtree being away."""
    info = seen.info
    if isinstance(info, Absent) and isinstance(seen.listing, Absent):
        if known.grace:
            verdict.told = Told.PENDING
        else:
            verdict.told = Told.UNUSABLE
            verdict.hold(Fault.INSTANCE_PROFILE_DETACHED, _facts(instance_profile=known.profile_name))
        return
    if not isinstance(info, ProfileInfo):
        return
    evidence = _facts(
        code=info.code,
        instance_profile=info.name or known.profile_name,
        instance_profile_id=info.id,
        last_updated=info.last_updated,
    )
    if _not_found(info):
        verdict.hold(Fault.INSTANCE_PROFILE_NOT_FOUND, evidence)
    elif info.without_role:
        verdict.hold(Fault.INSTANCE_PROFILE_WITHOUT_ROLE, evidence)
    elif (info.code or SUCCESS).lower() != SUCCESS:  # none on record, and AWS's list of codes is open
        verdict.hold(Fault.CREDENTIALS_ERROR, {**evidence, "document": Document.INFO.value})


def _judge_credentials(verdict: _Judgement, seen: Answered, known: Known, now: datetime) -> None:
    """Judge the credentials document, or why there is none."""
    document = seen.credentials
    if isinstance(document, Credentials):
        _judge_document(verdict, document, known, now)
        return
    if isinstance(document, Failure) or verdict.told is not Told.UNTOLD:
        return
    if _denies_role(seen.info) and (document is None or isinstance(document, Absent)):
        verdict.told = Told.UNTOLD if _unread(seen.listing) else Told.UNUSABLE
        return
    served = isinstance(seen.info, ProfileInfo) or isinstance(document, Absent)
    if isinstance(document, Absent) or (isinstance(seen.listing, Absent) and served):
        if known.grace:
            verdict.told = Told.PENDING
            return
        verdict.told = Told.UNUSABLE
        role = seen.listing.role if isinstance(seen.listing, RoleListing) else None
        profile = seen.info.name if isinstance(seen.info, ProfileInfo) else known.profile_name
        verdict.hold(Fault.CREDENTIALS_MISSING, _facts(role=role, instance_profile=profile))


def _not_found(info: ProfileInfo) -> bool:
    return (info.code or "").lower() == "instanceprofilenotfound"


def _denies_role(info: ProfileInfo | Absent | Failure) -> bool:
    """Return whether *info* explains that no role is served: there is no profile, or none in it."""
    return isinstance(info, ProfileInfo) and (info.without_role or _not_found(info))


def _unread(listing: RoleListing | Absent | Failure) -> bool:
    """Return whether *listing* failed in a way that leaves open what it says. An empty one names no role."""
    return isinstance(listing, Failure) and listing.reason is not Reason.EMPTY


def _judge_document(verdict: _Judgement, document: Credentials, known: Known, now: datetime) -> None:
    code = (document.code or SUCCESS).lower()
    facts = _facts(role=document.role, last_updated=document.last_updated, expiration=document.expiration)
    if code != SUCCESS or document.missing:
        verdict.told = Told.UNUSABLE
        evidence = {**facts, **_facts(code=document.code)}
        if code == "assumeroleunauthorizedaccess":
            verdict.hold(Fault.ASSUME_ROLE_UNAUTHORIZED, evidence)
            return
        if code == SUCCESS:
            evidence["missing_fields"] = ", ".join(document.missing)
        verdict.hold(Fault.CREDENTIALS_ERROR, evidence)
        return
    if document.expiration is None:  # cannot be: it would be among the missing
        return
    if known.doubted is not None and _by_dates(document, known, now) != _by_dates(document, known, known.doubted):
        verdict.silence({Fault.CREDENTIALS_EXPIRED, Fault.ROTATION_OVERDUE})
        return
    verdict.told = Told.USABLE if now < document.expiration else Told.UNUSABLE
    if verdict.told is Told.UNUSABLE:
        verdict.hold(Fault.CREDENTIALS_EXPIRED, facts)
    if document.last_updated is not None:
        _judge_age(
            verdict,
            facts,
            age=now - document.last_updated,
            life=document.expiration - document.last_updated,
            interval=known.rotation_interval,
        )


def _by_dates(document: Credentials, known: Known, now: datetime) -> tuple[bool, bool]:
    """Return whether *document* has expired as of *now*, and whether a successor is overdue."""
    expiration, last_updated = document.expiration, document.last_updated
    if expiration is None:
        return False, False
    if last_updated is None:
        return now >= expiration, False
    return now >= expiration, now - last_updated > allowed_age(expiration - last_updated, known.rotation_interval)


def allowed_age(life: timedelta, interval: float | None) -> timedelta:
    """Return how old a set that lives for *life* may grow before a successor is overdue.

    With a learned cadence a set may grow twice as old as that, since one rotation may come late; never less than a
    quarter of its life, so that a few quick re-associations do not teach an hourly instance to cry; and never more than
    its life. Without one, the cautious rule.
    """
    if interval is None:
        return max(life / 2, UNLEARNED_OVERDUE)
    return min(max(timedelta(seconds=2 * interval), life / 4), life)


def _judge_age(
    verdict: _Judgement, facts: dict[str, Scalar], *, age: timedelta, life: timedelta, interval: float | None
) -> None:
    """Judge whether a successor is overdue."""
    allowed = allowed_age(life, interval)
    if age <= allowed:
        return
    evidence: dict[str, Scalar] = {
        **facts,
        "age_seconds": round(age.total_seconds()),
        "allowed_age_seconds": round(allowed.total_seconds()),
    }
    if interval is not None:
        evidence["rotation_interval_seconds"] = round(interval)
    verdict.hold(Fault.ROTATION_OVERDUE, evidence)


def _judge_expectations(verdict: _Judgement, seen: Answered, known: Known) -> None:
    """Compare what is served with what is expected. Names are unique without regard to case (IAM quotas, 2026)."""
    role = seen.listing.role if isinstance(seen.listing, RoleListing) else None
    profile = seen.info.name if isinstance(seen.info, ProfileInfo) else None
    wrong_role = role is not None and not matches(role, known.expected_role)
    wrong_profile = profile is not None and not matches(profile, known.expected_instance_profile)
    if profile is None and known.expected_instance_profile and isinstance(seen.info, ProfileInfo):
        verdict.silence({Fault.ROLE_MISMATCH})  # an error document does not name the profile
    if wrong_role or wrong_profile:
        expected_role = ", ".join(known.expected_role) if wrong_role else None
        expected_profile = ", ".join(known.expected_instance_profile) if wrong_profile else None
        verdict.hold(
            Fault.ROLE_MISMATCH,
            _facts(
                role=role,
                expected_role=expected_role,
                instance_profile=profile,
                expected_instance_profile=expected_profile,
            ),
        )


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Return whether *name* is one of *patterns*, or there are none. Case does not count (IAM quotas, 2026)."""
    return not patterns or any(_match(name.lower(), pattern.lower()) for pattern in patterns)


def _match(name: str, pattern: str) -> bool:
    try:
        return fnmatchcase(name, pattern)
    except re.error:  # "[z-a]" is none to Python before 3.9.13 (Debian 11 has 3.9.2), and anybody may set a tag
        return False


def _facts(**facts: str | datetime | None) -> dict[str, Scalar]:
    """Return the facts that are known, times as RFC 3339."""
    kept: list[tuple[str, Scalar]] = []
    for key, value in facts.items():
        if isinstance(value, datetime):
            kept.append((key, rfc3339(value)))
        elif value is not None:
            kept.append((key, value))
    return dict(kept)
