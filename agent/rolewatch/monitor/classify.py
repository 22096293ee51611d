"""Judge an observation: a pure, total function; `now` is a value.

As time passes over the same observation the verdict never improves (a property test checks it).
"""

from __future__ import annotations

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
    Signs,
    Unanswered,
)
from rolewatch.settings import LimitSettings
from rolewatch.text import rfc3339
from rolewatch.vocabulary import (
    NO_ROLE_EXPECTED,
    CredentialStatus,
    Document,
    Evidence,
    Phase,
    Reason,
    Responder,
    Scalar,
)


@dataclass(frozen=True)
class Finding:
    """One fault that one poll shows, with its evidence."""

    fault: Fault
    evidence: Evidence = field(default_factory=dict)
    failure: Failure | None = None
    """The request that failed, for a fault of IMDS itself."""
    document: Document | None = None
    """The document that shows it, if another one usually does."""


@dataclass(frozen=True)
class Verdict:
    """What one observation means. `monitor` turns verdicts into states and events."""

    findings: tuple[Finding, ...]
    """Every fault that the observation shows, in the order of `Fault`."""
    undetermined: tuple[Fault, ...]
    """The faults that this observation can neither confirm nor rule out."""
    credentials: CredentialStatus
    clock_offset: float | None
    """Local clock minus IMDS's, in seconds; None if no answer had a `Date`."""

    @property
    def imds_finding(self) -> Finding | None:
        """The finding that a request to IMDS failed, if one did."""
        return next((finding for finding in self.findings if finding.failure is not None), None)


SUCCESS = "success"
PROFILE_NOT_FOUND = "instanceprofilenotfound"
"""Codes in lower case: AWS writes its own `InstanceProfileNotFound`."""
PROMISED = timedelta(minutes=5)
UNLEARNED_OVERDUE = timedelta(hours=2)
"""Without a learned interval a set is overdue when it is older than this *and* than half its life. IMDS rotates about
hourly sets that live 6 h 02 min to 6 h 35 min (recordings 2015-2025); later rotation is on record, so the rule is
cautious."""


@dataclass(frozen=True)
class Confirmed:
    """What a confirmation found of the faults that only the AWS API shows."""

    findings: tuple[Finding, ...] = ()
    undetermined: tuple[Fault, ...] = ()
    """Those that the confirmation could not decide; all of them, if it was judged before."""


@dataclass(frozen=True)
class Prior:
    """What earlier polls and the settings contribute to a judgement."""

    expected_role: tuple[str, ...] = ()
    """Patterns; empty: any."""
    expected_instance_profile: tuple[str, ...] = ()
    expected_none: bool = False
    """No instance profile is expected."""
    rotation_interval: float | None = None
    """The learned interval between rotations in seconds; None if too few rotations were observation."""
    grace: bool = False
    """It is shortly after boot and no credentials were seen since: that they are missing is no fault yet."""
    signs: Signs = field(default_factory=Signs)
    """What shows whether it is this instance's IMDS that answers."""
    answering_instance_id: str | None = None
    """The instance that the identity document names."""
    accepted: tuple[str, ...] = ()
    """The responders, besides this instance's IMDS, whose credentials are accepted."""
    profile_name: str | None = None
    """The last known name of the instance profile: an error document does not repeat it."""
    hop_limit: int | None = None
    """The measured hop limit; None: not measured yet, or not measurable."""
    hop_limit_was_low: bool = False
    """`imds_hop_limit` was found by a measurement, and stands until another one denies it."""
    needed_hop_limit: int | None = None
    """What the containers of this host need; None where none are expected."""
    confirmed: Confirmed | None = None
    """What a confirmation through the AWS API found; None if there is none, or it is too old to be believed."""
    time: datetime | None = None
    """The time by which ages and expiries are judged: see `monitor.clock`. None: `Date`, or else the local clock."""
    doubted_date: datetime | None = None
    """The `Date` of this poll, if it contradicts the believed one. If it judges the dates of the credentials otherwise
    than `time` does, what depends on them is undetermined."""


def classify(observation: Observation, prior: Prior, limits: LimitSettings, now: Moment) -> Verdict:
    """Return the faults that *observation* shows, those that it leaves undetermined, and whether there are credentials.

    Total over `Observation`. Ages and expiries are judged by `Prior.time`, the offset of the clocks by this `Date`.
    """
    offset = None if observation.date is None else (now.utc - observation.date).total_seconds()
    verdict = _Judgement(clock_offset=offset)
    _judge_clock(verdict, offset, limits)
    if isinstance(observation, Unanswered):
        fault = _imds_fault(observation.failure)
        verdict.add(fault, observation.failure.evidence, observation.failure)
        verdict.mark_undetermined(faults_read_from())
        verdict.mark_undetermined(IMDS_FAULTS[IMDS_FAULTS.index(fault) + 1 :])
    else:
        _judge_responder(verdict, observation, prior)
        _judge_reading(verdict, observation, prior)
        _judge_profile(verdict, observation, prior)
        _judge_credentials(verdict, observation, prior, prior.time or observation.date or now.utc)
        _judge_expectations(verdict, observation, prior)
    _judge_hop_limit(verdict, observation, prior)
    if prior.confirmed is not None:
        verdict.mark_undetermined(prior.confirmed.undetermined)
        for finding in prior.confirmed.findings:
            verdict.add(finding.fault, finding.evidence)
    return verdict.result()


class _Judgement:
    """A verdict in the making."""

    def __init__(self, *, clock_offset: float | None) -> None:
        self._offset = clock_offset
        self._findings: dict[Fault, Finding] = {}
        self._undetermined: set[Fault] = set()
        self.credentials = CredentialStatus.UNDETERMINED

    def add(
        self, fault: Fault, evidence: Evidence, failure: Failure | None = None, document: Document | None = None
    ) -> None:
        """Add *fault*, with the failed request or the unusual document that shows it.

        Of two findings of one fault the one with more evidence stays, or else the first.
        """
        found = self._findings.get(fault)
        if found is None or len(evidence) > len(found.evidence):
            self._findings[fault] = Finding(fault, evidence, failure, document)

    def mark_undetermined(self, faults: Iterable[Fault]) -> None:
        """Note that the observation can neither confirm nor rule out *faults*."""
        self._undetermined.update(faults)

    def result(self) -> Verdict:
        """Return the verdict, in the order of `Fault`."""
        return Verdict(
            findings=tuple(self._findings[fault] for fault in Fault if fault in self._findings),
            undetermined=tuple(fault for fault in Fault if fault in self._undetermined and fault not in self._findings),
            credentials=self.credentials,
            clock_offset=self._offset,
        )


def _imds_fault(failure: Failure) -> Fault:
    """Return which of the faults of IMDS itself *failure* shows."""
    if failure.responder is not None:
        return Fault.IMDS_INTERCEPTED
    if failure.phase is Phase.CONNECT:
        return Fault.IMDS_UNREACHABLE
    if failure.phase is Phase.TOKEN and failure.reason is Reason.NO_ANSWER:
        return Fault.IMDS_HOP_LIMIT
    if failure.phase is Phase.TOKEN and failure.reason is Reason.FORBIDDEN:
        return Fault.IMDS_DISABLED
    return Fault.IMDS_ERROR


def _document_fault(failure: Failure) -> Fault:
    """Return which fault of IMDS itself *failure* to read a document shows, after a token was given."""
    return Fault.IMDS_ERROR if failure.responder is None else Fault.IMDS_INTERCEPTED


def _judge_clock(verdict: _Judgement, offset: float | None, limits: LimitSettings) -> None:
    if offset is None:
        verdict.mark_undetermined({Fault.CLOCK_SKEW})
    elif abs(offset) > limits.clock_skew:
        verdict.add(Fault.CLOCK_SKEW, {"clock_offset_seconds": round(offset)})


def _judge_responder(verdict: _Judgement, observation: Answered, prior: Prior) -> None:
    """Judge whether something else than this instance's IMDS answers."""
    signs, answering = prior.signs, prior.answering_instance_id
    if signs.firmware_id and answering and answering != signs.firmware_id:
        responder = Responder.OTHER_INSTANCE
    elif signs.is_local_address:
        responder = Responder.LOCAL_ADDRESS
    elif observation.proxy is not None:
        responder = Responder.PROXY
    elif not signs.has_identity:
        responder = Responder.NOT_EC2
    else:
        return
    if responder.value not in prior.accepted:
        other = answering if responder is Responder.OTHER_INSTANCE else None
        server = (observation.proxy or None) if responder is Responder.PROXY else None
        evidence = _facts(responder=responder.value, server=server, answering_instance_id=other)
        verdict.add(Fault.IMDS_INTERCEPTED, evidence)


_NOT_EC2: Evidence = {"responder": Responder.NOT_EC2.value, "http_status": 404}
"""The evidence of a 404 without the header that EC2 sends with each of its own: a role proxy has no role for us."""


def _judge_hop_limit(verdict: _Judgement, observation: Observation, prior: Prior) -> None:
    """Compare the measured hop limit with the one that containers need. rolewatch itself may need less."""
    needed = prior.needed_hop_limit
    if needed is None:
        return
    if isinstance(observation, Unanswered) or (prior.hop_limit is None and prior.hop_limit_was_low):
        verdict.mark_undetermined({Fault.IMDS_HOP_LIMIT})
    elif prior.hop_limit is not None and prior.hop_limit < needed:
        verdict.add(Fault.IMDS_HOP_LIMIT, {"hop_limit": prior.hop_limit, "needed_hop_limit": needed})


def _judge_reading(verdict: _Judgement, observation: Answered, prior: Prior) -> None:
    """Judge whether the documents could be read, and mark what depends on those that could not as undetermined."""
    info, listing, credentials = observation.info, observation.listing, observation.credentials
    several = _several_roles(listing)
    if isinstance(listing, Failure) and not (_denies_role(info) and listing.reason is Reason.EMPTY):
        # A profile without a role may have an empty listing: one emulator does so, AWS's own answer is not on record.
        verdict.add(_document_fault(listing), listing.evidence, listing)
        verdict.mark_undetermined(faults_read_from(Document.LISTING))
    if isinstance(credentials, Failure):
        # A second role in the listing may be the reason.
        verdict.add(_document_fault(credentials), {**credentials.evidence, **several}, credentials)
        verdict.mark_undetermined(faults_read_from(Document.CREDENTIALS))
    if isinstance(info, Failure):
        verdict.add(_document_fault(info), info.evidence, info)
        verdict.mark_undetermined(faults_read_from(Document.INFO))
        if prior.expected_instance_profile:
            verdict.mark_undetermined({Fault.ROLE_MISMATCH})
        if isinstance(listing, Absent):  # no role is listed, and why is in the document that could not be read
            verdict.mark_undetermined(faults_read_from(Document.LISTING))
    if several and not isinstance(credentials, Failure):
        failure = Failure(Phase.DOCUMENT, Reason.AMBIGUOUS, Document.LISTING.value, status=200)
        verdict.add(Fault.IMDS_ERROR, {**failure.evidence, **several}, failure)


def _judge_profile(verdict: _Judgement, observation: Answered, prior: Prior) -> None:
    """Judge ``iam/info``, and whether the whole ``iam`` subtree is missing."""
    info = observation.info
    if isinstance(info, Absent) and isinstance(observation.listing, Absent):
        if prior.expected_none and info.like_ec2 and observation.listing.like_ec2:
            verdict.credentials = CredentialStatus.NOT_EXPECTED
        elif prior.grace:
            verdict.credentials = CredentialStatus.PENDING
        else:
            verdict.credentials = CredentialStatus.UNUSABLE
            if info.like_ec2 and observation.listing.like_ec2:
                verdict.add(Fault.INSTANCE_PROFILE_DETACHED, _facts(instance_profile=prior.profile_name))
            else:
                verdict.add(Fault.IMDS_INTERCEPTED, {**_NOT_EC2, "document": Document.LISTING.value})
        return
    if not isinstance(info, ProfileInfo):
        return
    evidence = _facts(
        code=info.code,
        instance_profile=info.name or prior.profile_name,
        instance_profile_id=info.id,
        last_updated=info.last_updated,
    )
    if _not_found(info):
        verdict.add(Fault.INSTANCE_PROFILE_NOT_FOUND, evidence)
    elif info.without_role:
        verdict.add(Fault.INSTANCE_PROFILE_WITHOUT_ROLE, evidence)
    elif (info.code or SUCCESS).lower() != SUCCESS:  # no other code is on record, but AWS's list is open
        evidence = {**evidence, "document": Document.INFO.value}
        verdict.add(Fault.CREDENTIALS_ERROR, evidence, document=Document.INFO)


def _judge_credentials(verdict: _Judgement, observation: Answered, prior: Prior, now: datetime) -> None:
    """Judge the credentials document, or why there is none."""
    document = observation.credentials
    if isinstance(document, Credentials):
        _judge_document(verdict, document, prior, now)
        return
    if isinstance(document, Failure) or verdict.credentials is not CredentialStatus.UNDETERMINED:
        return
    if _denies_role(observation.info) and (document is None or isinstance(document, Absent)):
        if not _unread(observation.listing):
            verdict.credentials = CredentialStatus.UNUSABLE
        return
    served = isinstance(observation.info, ProfileInfo) or isinstance(document, Absent)
    if isinstance(document, Absent) or (isinstance(observation.listing, Absent) and served):
        if prior.grace:
            verdict.credentials = CredentialStatus.PENDING
            return
        verdict.credentials = CredentialStatus.UNUSABLE
        missing = document if isinstance(document, Absent) else observation.listing
        if isinstance(missing, Absent) and not missing.like_ec2:
            where = Document.CREDENTIALS if missing is document else Document.LISTING
            verdict.add(Fault.IMDS_INTERCEPTED, {**_NOT_EC2, "document": where.value})
            return
        role = observation.listing.role if isinstance(observation.listing, RoleListing) else None
        profile = observation.info.name if isinstance(observation.info, ProfileInfo) else prior.profile_name
        verdict.add(Fault.CREDENTIALS_MISSING, _facts(role=role, instance_profile=profile))


def _not_found(info: ProfileInfo) -> bool:
    return (info.code or "").lower() == PROFILE_NOT_FOUND


def _denies_role(info: ProfileInfo | Absent | Failure) -> bool:
    """Return whether *info* explains that no role is served: there is no profile, or none in it."""
    return isinstance(info, ProfileInfo) and (info.without_role or _not_found(info))


def _several_roles(listing: RoleListing | Absent | Failure) -> dict[str, Scalar]:
    """Return as evidence that *listing* names more than one role, and its first; empty if it does not."""
    if isinstance(listing, RoleListing) and listing.roles > 1:
        return {"roles": listing.roles, "role": listing.role}
    return {}


def _unread(listing: RoleListing | Absent | Failure) -> bool:
    """Return whether *listing* failed so that its content is unknown. An empty listing names no role."""
    return isinstance(listing, Failure) and listing.reason is not Reason.EMPTY


def _judge_document(verdict: _Judgement, document: Credentials, prior: Prior, now: datetime) -> None:
    code = (document.code or SUCCESS).lower()
    facts = _facts(role=document.role, last_updated=document.last_updated, expiration=document.expiration)
    if code != SUCCESS or document.missing:
        verdict.credentials = CredentialStatus.UNUSABLE
        evidence = {**facts, **_facts(code=document.code)}
        if code == PROFILE_NOT_FOUND:
            verdict.add(Fault.INSTANCE_PROFILE_NOT_FOUND, evidence, document=Document.CREDENTIALS)
            return
        if code == "assumeroleunauthorizedaccess":
            verdict.add(Fault.ASSUME_ROLE_UNAUTHORIZED, evidence)
            return
        if code == SUCCESS:
            evidence["missing_fields"] = ", ".join(document.missing)
        verdict.add(Fault.CREDENTIALS_ERROR, evidence)
        return
    if document.expiration is None:  # cannot be: it would be among the missing
        return
    doubted = prior.doubted_date
    if doubted is not None and _by_dates(document, prior, now) != _by_dates(document, prior, doubted):
        verdict.mark_undetermined({Fault.CREDENTIALS_EXPIRED, Fault.ROTATION_OVERDUE})
        return
    verdict.credentials = CredentialStatus.USABLE if now < document.expiration else CredentialStatus.UNUSABLE
    if verdict.credentials is CredentialStatus.UNUSABLE:
        verdict.add(Fault.CREDENTIALS_EXPIRED, facts)  # "there is time to act" would be wrong beside it
    elif document.last_updated is not None:
        _judge_age(
            verdict,
            facts,
            age=now - document.last_updated,
            life=document.expiration - document.last_updated,
            interval=prior.rotation_interval,
        )


def _by_dates(document: Credentials, prior: Prior, now: datetime) -> tuple[bool, bool]:
    """Return whether *document* has expired as of *now*, and whether a successor is overdue."""
    expiration, last_updated = document.expiration, document.last_updated
    if expiration is None:
        return False, False
    if last_updated is None:
        return now >= expiration, False
    return now >= expiration, now - last_updated > allowed_age(expiration - last_updated, prior.rotation_interval)


def allowed_age(life: timedelta, interval: float | None) -> timedelta:
    """Return how old a set that lives for *life* may grow before a successor is overdue.

    With a learned interval: twice that, since one rotation may come late; at least a quarter of its life, so that a few
    quick re-associations do not cause false alarms. Without one, the cautious rule. Never beyond `end_of`.
    """
    allowed = max(life / 2, UNLEARNED_OVERDUE) if interval is None else max(timedelta(seconds=2 * interval), life / 4)
    return min(allowed, life - end_of(life))


def end_of(life: timedelta) -> timedelta:
    """Return the end of a set's *life* in which its successor must be served, whatever was learned.

    It is five minutes: AWS makes new credentials available at least five minutes before the old ones expire (EC2 user
    guide, "Retrieve security credentials from instance metadata", 2026). Half its life at most: a set of some minutes
    is not late as soon as it is made.
    """
    return min(PROMISED, life / 2)


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
    if life - age < end_of(life):
        evidence["remaining_seconds"] = round((life - age).total_seconds())
    verdict.add(Fault.ROTATION_OVERDUE, evidence)


def _judge_expectations(verdict: _Judgement, observation: Answered, prior: Prior) -> None:
    """Compare role and instance profile with the expected ones."""
    role = observation.listing.role if isinstance(observation.listing, RoleListing) else None
    profile = observation.info.name if isinstance(observation.info, ProfileInfo) else None
    wrong_role = role is not None and not matches(role, prior.expected_role)
    wrong_profile = profile is not None and not matches(profile, prior.expected_instance_profile)
    if prior.expected_none:
        wrong_role = role is not None or isinstance(observation.info, ProfileInfo)
    if profile is None and prior.expected_instance_profile and isinstance(observation.info, ProfileInfo):
        verdict.mark_undetermined({Fault.ROLE_MISMATCH})  # an error document does not name the profile
    if wrong_role or wrong_profile:
        expected_role = ", ".join(prior.expected_role or (NO_ROLE_EXPECTED,)) if wrong_role else None
        expected_profile = ", ".join(prior.expected_instance_profile) if wrong_profile else None
        verdict.add(
            Fault.ROLE_MISMATCH,
            _facts(
                role=role,
                expected_role=expected_role,
                instance_profile=profile,
                expected_instance_profile=expected_profile,
            ),
        )


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Return whether *name* matches one of *patterns*, or there are none. Case does not count (IAM quotas, 2026).

    The patterns are those that `aws_names.name_pattern` accepts: `fnmatch` never raises for them.
    """
    return not patterns or any(fnmatchcase(name.lower(), pattern.lower()) for pattern in patterns)


def _facts(**facts: str | datetime | None) -> dict[str, Scalar]:
    """Return those of *facts* that are not None, times as RFC 3339."""
    kept: list[tuple[str, Scalar]] = []
    for key, value in facts.items():
        if isinstance(value, datetime):
            kept.append((key, rfc3339(value)))
        elif value is not None:
            kept.append((key, value))
    return dict(kept)
