"""Classification: every arm of an observation at every edge of time, each trap by name, and what is true of all."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import (
    DAY,
    HOUR,
    LIFE,
    MINUTE,
    PROFILE,
    PROFILE_ID,
    ROLE,
    SECOND,
    START,
    answered,
    credentials,
    detached,
    failure,
    faults,
    info,
    judge,
    moment,
    not_found,
    refused,
    unanswered,
    without_role,
)
from forms import examples
from observations import observations
from rolewatch.errors import ImdsError
from rolewatch.faults import CONFIRMED_FAULTS, DAEMON_FAULTS, FAULTS, Fault
from rolewatch.imds import documents
from rolewatch.monitor.classify import Finding, Prior, classify
from rolewatch.observation import Absent, Answered, Credentials, Failure, Observation, ProfileInfo, RoleListing, Signs
from rolewatch.settings import LimitSettings
from rolewatch.vocabulary import EVIDENCE_KEYS, CredentialStatus, Document, Level, Phase, Reason

USABLE, UNUSABLE, UNDETERMINED, PENDING = (
    CredentialStatus.USABLE,
    CredentialStatus.UNUSABLE,
    CredentialStatus.UNDETERMINED,
    CredentialStatus.PENDING,
)
GRACE = Prior(grace=True)
HOURLY = Prior(rotation_interval=3600.0)
EMPTY = failure(Reason.EMPTY, status=200)

Row = tuple[str, Observation, Prior, tuple[Fault, ...], CredentialStatus]


def aged(age: timedelta, *, life: timedelta = LIFE) -> Answered:
    """Return an observation of credentials of that age."""
    return answered(credentials=credentials(updated=START - age, life=life))


TABLE: tuple[Row, ...] = (
    ("well", answered(), Prior(), (), USABLE),
    ("well without a Date", answered(date=None), Prior(), (), USABLE),
    # no token
    ("refused", unanswered(Reason.REFUSED), Prior(), (Fault.IMDS_UNREACHABLE,), UNDETERMINED),
    ("switched off", unanswered(Reason.SWITCHED_OFF), Prior(), (Fault.IMDS_UNREACHABLE,), UNDETERMINED),
    ("connect times out", unanswered(Reason.CONNECT_TIMEOUT), Prior(), (Fault.IMDS_UNREACHABLE,), UNDETERMINED),
    ("token unanswered", unanswered(Reason.NO_ANSWER, Phase.TOKEN), Prior(), (Fault.IMDS_HOP_LIMIT,), UNDETERMINED),
    ("token forbidden", unanswered(Reason.FORBIDDEN, Phase.TOKEN), Prior(), (Fault.IMDS_DISABLED,), UNDETERMINED),
    ("token slow", unanswered(Reason.SLOW, Phase.TOKEN), Prior(), (Fault.IMDS_ERROR,), UNDETERMINED),
    ("token throttled", unanswered(Reason.THROTTLED, Phase.TOKEN), Prior(), (Fault.IMDS_ERROR,), UNDETERMINED),
    ("token malformed", unanswered(Reason.MALFORMED, Phase.TOKEN), Prior(), (Fault.IMDS_ERROR,), UNDETERMINED),
    # documents that could not be read
    ("info failed", answered(info=failure()), Prior(), (Fault.IMDS_ERROR,), USABLE),
    ("listing failed", answered(listing=failure(), credentials=None), Prior(), (Fault.IMDS_ERROR,), UNDETERMINED),
    ("listing empty", answered(listing=EMPTY, credentials=None), Prior(), (Fault.IMDS_ERROR,), UNDETERMINED),
    ("credentials failed", answered(credentials=failure()), Prior(), (Fault.IMDS_ERROR,), UNDETERMINED),
    ("document forbidden", answered(credentials=failure(Reason.FORBIDDEN)), Prior(), (Fault.IMDS_ERROR,), UNDETERMINED),
    ("document unanswered", answered(credentials=failure(Reason.NO_ANSWER)), Prior(),
     (Fault.IMDS_ERROR,), UNDETERMINED),
    ("connection lost amid a poll", answered(credentials=replace(failure(), phase=Phase.CONNECT)), Prior(),
     (Fault.IMDS_ERROR,), UNDETERMINED),
    ("two roles", answered(listing=RoleListing(ROLE, roles=2)), Prior(), (Fault.IMDS_ERROR,), USABLE),
    ("info failed, none listed", answered(info=failure(), listing=Absent(), credentials=None), Prior(),
     (Fault.IMDS_ERROR,), UNDETERMINED),
    ("info away, listing failed", answered(info=Absent(), listing=failure(), credentials=None), Prior(),
     (Fault.IMDS_ERROR,), UNDETERMINED),
    # iam/info
    ("detached", detached(), Prior(), (Fault.INSTANCE_PROFILE_DETACHED,), UNUSABLE),
    ("detached in the boot grace", detached(), GRACE, (), PENDING),
    ("profile not found", answered(info=not_found(), listing=Absent(), credentials=None), Prior(),
     (Fault.INSTANCE_PROFILE_NOT_FOUND,), UNUSABLE),
    ("profile not found, nothing listed", answered(info=not_found(), listing=EMPTY, credentials=None), Prior(),
     (Fault.INSTANCE_PROFILE_NOT_FOUND,), UNUSABLE),
    ("profile not found, listing failed", answered(info=not_found(), listing=failure(), credentials=None), Prior(),
     (Fault.IMDS_ERROR, Fault.INSTANCE_PROFILE_NOT_FOUND), UNDETERMINED),
    ("profile not found, in lower case", answered(info=info(code="instanceprofilenotfound")), Prior(),
     (Fault.INSTANCE_PROFILE_NOT_FOUND,), USABLE),
    ("profile not found in the boot grace", answered(info=not_found(), listing=Absent(), credentials=None), GRACE,
     (Fault.INSTANCE_PROFILE_NOT_FOUND,), UNUSABLE),
    ("profile not found, old credentials served", answered(info=not_found()), Prior(),
     (Fault.INSTANCE_PROFILE_NOT_FOUND,), USABLE),
    ("no role", answered(info=without_role(), listing=Absent(), credentials=None), Prior(),
     (Fault.INSTANCE_PROFILE_WITHOUT_ROLE,), UNUSABLE),
    ("no role, nothing listed", answered(info=without_role(), listing=EMPTY, credentials=None), Prior(),
     (Fault.INSTANCE_PROFILE_WITHOUT_ROLE,), UNUSABLE),
    ("no role, listing failed", answered(info=without_role(), listing=failure(), credentials=None), Prior(),
     (Fault.IMDS_ERROR, Fault.INSTANCE_PROFILE_WITHOUT_ROLE), UNDETERMINED),
    ("no role, its document gone", answered(info=without_role(), credentials=Absent()), Prior(),
     (Fault.INSTANCE_PROFILE_WITHOUT_ROLE,), UNUSABLE),
    ("unknown Code of iam/info", answered(info=info(code="Pondering")), Prior(), (Fault.CREDENTIALS_ERROR,), USABLE),
    ("iam/info without a Code", answered(info=info(code=None)), Prior(), (), USABLE),
    # the credentials document
    ("listed, no document", answered(credentials=Absent()), Prior(), (Fault.CREDENTIALS_MISSING,), UNUSABLE),
    ("listed, no document, in the boot grace", answered(credentials=Absent()), GRACE, (), PENDING),
    ("none listed", answered(listing=Absent(), credentials=None), Prior(), (Fault.CREDENTIALS_MISSING,), UNUSABLE),
    ("none listed in the boot grace", answered(listing=Absent(), credentials=None), GRACE, (), PENDING),
    ("info away, document gone", answered(info=Absent(), credentials=Absent()), Prior(),
     (Fault.CREDENTIALS_MISSING,), UNUSABLE),
    ("info away, credentials served", answered(info=Absent()), Prior(), (), USABLE),
    ("info failed, document gone", answered(info=failure(), credentials=Absent()), Prior(),
     (Fault.IMDS_ERROR, Fault.CREDENTIALS_MISSING), UNUSABLE),
    ("EC2 cannot assume the role", answered(credentials=refused()), Prior(), (Fault.ASSUME_ROLE_UNAUTHORIZED,),
     UNUSABLE),
    ("EC2 cannot assume the role, in the boot grace", answered(credentials=refused()), GRACE,
     (Fault.ASSUME_ROLE_UNAUTHORIZED,), UNUSABLE),
    ("unknown Code", answered(credentials=credentials(code="Failed")), Prior(), (Fault.CREDENTIALS_ERROR,), UNUSABLE),
    ("a field is missing", answered(credentials=credentials(missing=("Token",))), Prior(),
     (Fault.CREDENTIALS_ERROR,), UNUSABLE),
    ("no Code", answered(credentials=credentials(code=None)), Prior(), (), USABLE),
    ("no Code and a field is missing", answered(credentials=credentials(code=None, missing=("Token",))), Prior(),
     (Fault.CREDENTIALS_ERROR,), UNUSABLE),
    ("Code in lower case", answered(credentials=credentials(code="success")), Prior(), (), USABLE),
    ("no LastUpdated", answered(credentials=credentials(last_updated=None)), Prior(), (), USABLE),
    # edges of time
    ("expires in a second", aged(LIFE - SECOND), Prior(), (Fault.ROTATION_OVERDUE,), USABLE),
    ("expires this very second", aged(LIFE), Prior(), (Fault.CREDENTIALS_EXPIRED,), UNUSABLE),
    ("expired a second ago", aged(LIFE + SECOND), Prior(), (Fault.CREDENTIALS_EXPIRED,), UNUSABLE),
    ("five minutes left of an hour", aged(55 * MINUTE, life=HOUR), Prior(), (), USABLE),
    ("less than five minutes left of an hour", aged(55 * MINUTE + SECOND, life=HOUR), Prior(),
     (Fault.ROTATION_OVERDUE,), USABLE),
    ("less than five minutes left, on a platform that rotates late", aged(LIFE - 5 * MINUTE + SECOND),
     Prior(rotation_interval=21600.0), (Fault.ROTATION_OVERDUE,), USABLE),
    ("just made, and lives for four minutes", aged(2 * MINUTE, life=4 * MINUTE), Prior(), (), USABLE),
    ("a profile that was not found, in the credentials document",
     answered(credentials=credentials(code="InstanceProfileNotFound", missing=("Token",))), Prior(),
     (Fault.INSTANCE_PROFILE_NOT_FOUND,), UNUSABLE),
    ("half its life old", aged(LIFE / 2), Prior(), (), USABLE),
    ("over half its life old", aged(LIFE / 2 + SECOND), Prior(), (Fault.ROTATION_OVERDUE,), USABLE),
    ("two hours old, lives for three", aged(2 * HOUR, life=3 * HOUR), Prior(), (), USABLE),
    ("over two hours old, lives for three", aged(2 * HOUR + SECOND, life=3 * HOUR), Prior(),
     (Fault.ROTATION_OVERDUE,), USABLE),
    ("two cadences old", aged(2 * HOUR), HOURLY, (), USABLE),
    ("over two cadences old", aged(2 * HOUR + SECOND), HOURLY, (Fault.ROTATION_OVERDUE,), USABLE),
    ("a quarter of its life old, cadence of a minute", aged(LIFE / 4), Prior(rotation_interval=60.0), (), USABLE),
    ("over a quarter of its life old, cadence of a minute", aged(LIFE / 4 + SECOND), Prior(rotation_interval=60.0),
     (Fault.ROTATION_OVERDUE,), USABLE),
    ("expired, on a platform that rotates late", aged(LIFE + SECOND), Prior(rotation_interval=21600.0),
     (Fault.CREDENTIALS_EXPIRED,), UNUSABLE),
    ("made a minute from now", aged(timedelta(minutes=-1)), HOURLY, (), USABLE),
    ("expired before it was made", answered(credentials=credentials(life=-18 * HOUR)), Prior(),
     (Fault.CREDENTIALS_EXPIRED,), UNUSABLE),
    ("clock at the limit", answered(date=START - 60 * SECOND), Prior(), (), USABLE),
    ("clock ahead of the limit", answered(date=START - 61 * SECOND), Prior(), (Fault.CLOCK_SKEW,), USABLE),
    ("clock behind the limit", answered(date=START + 61 * SECOND), Prior(), (Fault.CLOCK_SKEW,), USABLE),
    ("clock ahead, no token", unanswered(Reason.FORBIDDEN, Phase.TOKEN, START - HOUR), Prior(),
     (Fault.IMDS_DISABLED, Fault.CLOCK_SKEW), UNDETERMINED),
    # expectations
    ("another role", answered(), Prior(expected_role=("app-*",)), (Fault.ROLE_MISMATCH,), USABLE),
    ("the role, in capitals", answered(), Prior(expected_role=("WEB-*",)), (), USABLE),
    ("one of some roles", answered(), Prior(expected_role=("app", "web-serve?")), (), USABLE),
    ("another profile", answered(), Prior(expected_instance_profile=("app",)), (Fault.ROLE_MISMATCH,), USABLE),
    ("the profile", answered(), Prior(expected_instance_profile=("web-*",)), (), USABLE),
    ("no profile, as expected", detached(), Prior(expected_none=True), (), CredentialStatus.NOT_EXPECTED),
    ("no profile, as expected, just after boot", detached(), Prior(expected_none=True, grace=True), (),
     CredentialStatus.NOT_EXPECTED),
    ("a role where none is expected", answered(), Prior(expected_none=True), (Fault.ROLE_MISMATCH,), USABLE),
    ("a profile that is gone where none is expected", answered(info=not_found()), Prior(expected_none=True),
     (Fault.INSTANCE_PROFILE_NOT_FOUND, Fault.ROLE_MISMATCH), USABLE),
    ("another role, and refused", answered(credentials=refused()), Prior(expected_role=("app",)),
     (Fault.ASSUME_ROLE_UNAUTHORIZED, Fault.ROLE_MISMATCH), UNUSABLE),
)  # fmt: skip


@pytest.mark.parametrize(
    ("seen", "known", "expected", "status"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_an_observation_means_exactly_these_faults(
    seen: Observation, known: Prior, expected: tuple[Fault, ...], status: CredentialStatus
) -> None:
    """Each arm of an observation, at each edge of time, gives exactly the faults and the word of the table."""
    verdict = judge(seen, known)

    assert (faults(verdict), verdict.credentials) == (expected, status)


# What an observation is silent about


SILENCED: tuple[tuple[Observation, set[Fault]], ...] = (
    (
        answered(info=failure()),
        {
            Fault.INSTANCE_PROFILE_DETACHED,
            Fault.INSTANCE_PROFILE_NOT_FOUND,
            Fault.INSTANCE_PROFILE_WITHOUT_ROLE,
            Fault.CREDENTIALS_ERROR,
        },
    ),
    (
        answered(credentials=failure()),
        {
            Fault.CREDENTIALS_MISSING,
            Fault.ASSUME_ROLE_UNAUTHORIZED,
            Fault.CREDENTIALS_ERROR,
            Fault.CREDENTIALS_EXPIRED,
            Fault.ROTATION_OVERDUE,
        },
    ),
    (
        answered(listing=failure(), credentials=None),
        {
            Fault.INSTANCE_PROFILE_DETACHED,
            Fault.CREDENTIALS_MISSING,
            Fault.ASSUME_ROLE_UNAUTHORIZED,
            Fault.CREDENTIALS_ERROR,
            Fault.CREDENTIALS_EXPIRED,
            Fault.ROTATION_OVERDUE,
            Fault.ROLE_MISMATCH,
        },
    ),
    (
        answered(info=failure(), listing=Absent(), credentials=None),
        {
            Fault.INSTANCE_PROFILE_DETACHED,
            Fault.INSTANCE_PROFILE_NOT_FOUND,
            Fault.INSTANCE_PROFILE_WITHOUT_ROLE,
            Fault.CREDENTIALS_MISSING,
            Fault.ASSUME_ROLE_UNAUTHORIZED,
            Fault.CREDENTIALS_ERROR,
            Fault.CREDENTIALS_EXPIRED,
            Fault.ROTATION_OVERDUE,
            Fault.ROLE_MISMATCH,
        },
    ),
    (answered(date=None), {Fault.CLOCK_SKEW}),
    (answered(), set()),
)


@pytest.mark.parametrize(
    ("seen", "silent"),
    SILENCED,
    ids=["info", "credentials", "listing", "info, and none listed", "no Date", "well"],
)
def test_a_document_that_could_not_be_read_silences_what_hangs_on_it(seen: Observation, silent: set[Fault]) -> None:
    """Of each fault that a row names: undetermined where the row names it, decided everywhere else.

    `tests/faults` checks for every fault that an unread document never clears it.
    """
    named = {Fault.CLOCK_SKEW}.union(*(row[1] for row in SILENCED))

    assert named.intersection(judge(seen).undetermined) == silent


def test_without_a_token_everything_behind_it_is_undetermined() -> None:
    """An IMDS that gives no token is silent on the role, and on what a poll meets later than it came.

    A fault that only the AWS API shows does not depend on IMDS: without a confirmation it is not active.
    """
    verdict = judge(unanswered(Reason.CONNECT_TIMEOUT))

    assert set(verdict.undetermined) == set(DAEMON_FAULTS) - {Fault.IMDS_UNREACHABLE, *CONFIRMED_FAULTS}


@pytest.mark.parametrize(
    ("seen", "silent"),
    [
        (unanswered(Reason.REFUSED), {Fault.IMDS_HOP_LIMIT, Fault.IMDS_DISABLED, Fault.IMDS_ERROR}),
        (unanswered(Reason.NO_ANSWER, Phase.TOKEN), {Fault.IMDS_DISABLED, Fault.IMDS_ERROR}),
        (unanswered(Reason.FORBIDDEN, Phase.TOKEN), {Fault.IMDS_ERROR}),
        (unanswered(Reason.SLOW, Phase.TOKEN), set()),
        (answered(credentials=failure()), set()),
    ],
    ids=["connect", "token unanswered", "token forbidden", "token", "document"],
)
def test_a_poll_is_silent_on_the_faults_of_imds_that_it_did_not_come_to(seen: Observation, silent: set[Fault]) -> None:
    """Where no connection came about, nothing is said of the hop limit; where no token, nothing of later errors.

    Else an IMDS that fails now here, now would never fail often enough in one way to be called unreachable.
    """
    of_imds = {Fault.IMDS_UNREACHABLE, Fault.IMDS_HOP_LIMIT, Fault.IMDS_DISABLED, Fault.IMDS_ERROR}

    assert of_imds & set(judge(seen).undetermined) == silent


def test_a_date_shows_the_clock_even_without_a_token() -> None:
    """A 403 carries a `Date`: it shows that the local clock is right again."""
    verdict = judge(unanswered(Reason.FORBIDDEN, Phase.TOKEN, START))

    assert Fault.CLOCK_SKEW not in verdict.undetermined


def test_an_error_document_leaves_open_whether_the_profile_is_the_expected_one() -> None:
    """`InstanceProfileNotFound` has no ARN: a mismatch of the profile is neither held nor denied."""
    verdict = judge(answered(info=not_found()), Prior(expected_instance_profile=("app",)))

    assert Fault.ROLE_MISMATCH in verdict.undetermined


# The traps that others fell into, by name (facts: peers, section 7)


def test_trap_code_success_taken_as_healthy() -> None:
    """`Success` with "does not contain a role" is a fault, although Code, ARN and id are as ever."""
    body = json.dumps(
        {
            "Code": "Success",
            "Message": "Instance Profile does not contain a role.  Please see documentation at https://docs.aws",
            "LastUpdated": "2026-11-23T11:59:59Z",
            "InstanceProfileArn": f"arn:aws:iam::123456789012:instance-profile/{PROFILE}",
            "InstanceProfileId": PROFILE_ID,
        }
    ).encode()
    seen = answered(info=documents.profile_info(body), listing=Absent(), credentials=None)

    assert faults(judge(seen)) == (Fault.INSTANCE_PROFILE_WITHOUT_ROLE,)


def test_trap_age_looks_fresh_on_an_error_document() -> None:
    """An `AssumeRoleUnauthorizedAccess` document with a LastUpdated of this second is not healthy, and not young."""
    body = b"""{
      "Code" : "AssumeRoleUnauthorizedAccess",
      "Message" : "EC2 cannot assume the role web-server.  Please see documentation at https://docs.aws",
      "LastUpdated" : "2026-11-23T12:00:00Z"
    }"""
    verdict = judge(answered(credentials=documents.credentials(ROLE, body)))

    assert faults(verdict) == (Fault.ASSUME_ROLE_UNAUTHORIZED,)
    assert verdict.credentials is CredentialStatus.UNUSABLE


def test_trap_silence_when_token_or_profile_is_missing() -> None:
    """No token and no profile are findings, not an absence of findings."""
    assert faults(judge(unanswered(Reason.FORBIDDEN, Phase.TOKEN)))
    assert faults(judge(detached()))


@pytest.mark.parametrize("age", [timedelta(0), timedelta(minutes=5), timedelta(minutes=10)])
@pytest.mark.parametrize("interval", [None, 600.0])
def test_trap_short_lived_credentials_raise_nothing(age: timedelta, interval: float | None) -> None:
    """Credentials of 15 minutes (kube2iam and its like) are healthy until the last five, learned or not."""
    seen = aged(age, life=timedelta(minutes=15))

    assert faults(judge(seen, Prior(rotation_interval=interval))) == ()


def test_trap_a_platform_that_rotates_five_minutes_before_expiry_raises_nothing() -> None:
    """AWS promises no more than five minutes (EC2 guide): where that is the learned cadence, it is no fault."""
    late = LIFE - timedelta(minutes=5)

    assert faults(judge(aged(late), Prior(rotation_interval=late.total_seconds()))) == ()


def test_trap_profile_name_taken_for_the_role_name() -> None:
    """A profile and its role may have different names, and that alone is no fault."""
    seen = answered(listing=RoleListing("IAC-ProvisioningFullAccess"), info=info(name="iac_admin"))

    assert faults(judge(seen)) == ()


def test_trap_two_roles_in_the_listing() -> None:
    """Two roles are reported with their number; the credentials of the first are judged nevertheless."""
    (finding,) = judge(answered(listing=documents.role_listing(b"web-server\nother\n"))).findings

    assert finding.fault is Fault.IMDS_ERROR
    assert (finding.evidence["reason"], finding.evidence["roles"]) == ("ambiguous", 2)


def test_trap_lower_case_keys_and_a_missing_code() -> None:
    """Keys in lower case, no Code, a trailing newline: all fields are there, so the set is usable."""
    body = b"""{"accesskeyid": "ASIAEXAMPLE", "secretaccesskey": "x", "token": "y",
        "lastupdated": "2026-11-23T11:50:00Z", "expiration": "2026-11-23T17:50:00Z"}\n"""
    verdict = judge(answered(credentials=documents.credentials(ROLE, body)))

    assert (faults(verdict), verdict.credentials) == ((), CredentialStatus.USABLE)


def test_trap_mock_defaults_that_expire_before_they_were_issued() -> None:
    """A set whose Expiration lies before its LastUpdated is expired, whatever cadence was learned."""
    seen = answered(credentials=credentials(life=-18 * HOUR))

    assert Fault.CREDENTIALS_EXPIRED in faults(judge(seen, HOURLY))


# What is shown


def test_evidence_has_only_known_keys_and_names_what_was_seen() -> None:
    """Every piece of evidence in the whole table is of the closed set, and a scalar."""
    for name, seen, known, _, _ in TABLE:
        for finding in judge(seen, known).findings:
            assert set(finding.evidence) <= set(EVIDENCE_KEYS), name
            assert all(isinstance(value, (str, int, float)) for value in finding.evidence.values()), name


def test_the_evidence_of_an_overdue_rotation_says_how_old_and_how_old_it_may_be() -> None:
    """Age, what is allowed, and the cadence it was judged by."""
    (finding,) = judge(aged(3 * HOUR), HOURLY).findings

    assert finding.evidence == {
        "role": ROLE,
        "last_updated": "2026-11-23T09:00:00Z",
        "expiration": "2026-11-23T15:02:00Z",
        "age_seconds": 10800,
        "allowed_age_seconds": 7200,
        "rotation_interval_seconds": 3600,
    }


def test_a_detached_profile_is_named_from_memory() -> None:
    """IMDS names no profile any more; what it was is what it should get back."""
    (finding,) = judge(detached(), Prior(profile_name=PROFILE)).findings

    assert finding.evidence == {"instance_profile": PROFILE}


def test_a_missing_field_is_named() -> None:
    """The evidence says which fields SDKs will miss."""
    (finding,) = judge(answered(credentials=credentials(missing=("SecretAccessKey", "Token")))).findings

    assert finding.evidence["missing_fields"] == "SecretAccessKey, Token"


# True of all observations

KNOWN = st.builds(
    Prior,
    expected_role=st.sampled_from([(), (ROLE,), ("app-*",)]),
    expected_instance_profile=st.sampled_from([(), (PROFILE,), ("app-*",)]),
    expected_none=st.booleans(),
    rotation_interval=st.one_of(st.none(), st.floats(min_value=1, max_value=1e9)),
    grace=st.booleans(),
    profile_name=st.sampled_from([None, PROFILE]),
)


@given(seen=observations(), known=KNOWN, elapsed=st.integers(min_value=-(10**9), max_value=10**9))
def test_it_is_total_over_observations(seen: Observation, known: Prior, elapsed: int) -> None:
    """Whatever was seen and remembered, and whenever: a verdict, never an exception."""
    verdict = classify(seen, known, LimitSettings(), moment(elapsed))

    assert not set(verdict.undetermined) & set(faults(verdict))
    assert list(faults(verdict)) == sorted(faults(verdict), key=list(Fault).index)
    assert all(set(finding.evidence) <= set(EVIDENCE_KEYS) for finding in verdict.findings)
    assert not any(FAULTS[fault].decided_by for fault in faults(verdict))


FIELDS = (
    "Code", "Message", "LastUpdated", "Expiration", "AccessKeyId", "SecretAccessKey", "Token", "InstanceProfileArn",
    "InstanceProfileId", "code", "expiration",
)  # fmt: skip
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        [
            "Success", "success", "AssumeRoleUnauthorizedAccess", "InstanceProfileNotFound", "does not contain a role",
            "2026-11-23T12:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z", "2026-02-30T00:00:00Z", "",
            f"arn:aws:iam::123456789012:instance-profile/{PROFILE}", PROFILE_ID,
        ]
    ),
    st.lists(st.integers(), max_size=2),
)  # fmt: skip
BODIES = st.one_of(
    st.binary(max_size=60),
    st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=8).map(lambda fields: json.dumps(fields).encode()),
    st.recursive(st.one_of(st.none(), st.text(max_size=5), st.integers()), lambda inner: st.lists(inner, max_size=3))
    .map(json.dumps)
    .map(str.encode),
    st.sampled_from([b"web-server", b"web-server\n", b"a\nb", b"<html>", b"", b"{", b"[" * 5000, b"{}"]),
)


@given(info_body=BODIES, listing_body=BODIES, body=BODIES, known=KNOWN, date=st.booleans())
@settings(max_examples=examples(300))
def test_it_is_total_over_arbitrary_bytes(
    info_body: bytes,
    listing_body: bytes,
    body: bytes,
    known: Prior,
    date: bool,  # noqa: FBT001 - hypothesis fills it in
) -> None:
    """Whatever IMDS sends, JSON or not, the way from bytes to verdict ends in a verdict."""
    listing: RoleListing | Failure
    profile_info: ProfileInfo | Failure
    document: Credentials | Failure | None = None
    try:
        profile_info = documents.profile_info(info_body)
    except ImdsError as error:
        profile_info = error.failure
    try:
        listing = documents.role_listing(listing_body)
    except ImdsError as error:
        listing = error.failure
    else:
        try:
            document = documents.credentials(listing.role, body)
        except ImdsError as error:
            document = error.failure

    verdict = judge(Answered(profile_info, listing, document, date=START if date else None), known)

    complete = isinstance(document, Credentials) and not document.missing
    assert verdict.credentials is not CredentialStatus.USABLE or complete


@given(
    seen=observations(),
    known=KNOWN,
    elapsed=st.integers(min_value=-(10**6), max_value=10**6),
    later=st.integers(min_value=0, max_value=10**6),
)
def test_as_time_passes_over_the_same_documents_the_verdict_never_improves(
    seen: Observation, known: Prior, elapsed: int, later: int
) -> None:
    """While only time changes, findings only grow, and unusable credentials stay unusable."""
    then = judge(seen, known, moment(elapsed))
    date = seen.date
    if date is not None:
        with contextlib.suppress(OverflowError):
            date += timedelta(seconds=later)
    now = judge(replace(seen, date=date), known, moment(elapsed + later))

    if date is None or date != seen.date or not later:
        assert set(faults(then)) <= set(faults(now))
    assert (then.credentials, now.credentials) != (CredentialStatus.UNUSABLE, CredentialStatus.USABLE)


@given(
    age=st.integers(min_value=-60, max_value=8 * 3600),
    error=st.integers(min_value=int(-3650 * DAY.total_seconds()), max_value=int(3650 * DAY.total_seconds())),
)
def test_a_wrong_local_clock_neither_invents_nor_hides_an_expiry(age: int, error: int) -> None:
    """A set is expired, or overdue, by IMDS's `Date`, though the local clock be off by up to ten years."""
    found = faults(judge(aged(timedelta(seconds=age)), HOURLY, moment(error)))

    assert (Fault.CREDENTIALS_EXPIRED in found) is (age >= LIFE.total_seconds())
    assert (Fault.ROTATION_OVERDUE in found) is (7200 < age < LIFE.total_seconds())


@pytest.mark.parametrize("age", [LIFE - SECOND, LIFE], ids=["expires in a second", "expires now"])
def test_without_a_date_the_local_clock_has_to_do(age: timedelta) -> None:
    """An emulator may have none."""
    seen = replace(answered(), date=None)

    found = faults(judge(seen, now=moment((age - timedelta(minutes=10)).total_seconds())))
    assert (Fault.CREDENTIALS_EXPIRED in found) is (age == LIFE)


@given(
    seen=observations(dated=True),
    known=KNOWN,
    error=st.integers(min_value=int(-3650 * DAY.total_seconds()), max_value=int(3650 * DAY.total_seconds())),
)
def test_a_wrong_local_clock_neither_invents_nor_hides_anything_but_itself(
    seen: Observation, known: Prior, error: int
) -> None:
    """With IMDS's `Date` at hand, a local clock that is off by up to ten years changes nothing but `clock_skew`."""
    assert seen.date is not None
    right = classify(seen, known, LimitSettings(), replace(moment(), utc=seen.date))
    wrong = classify(seen, known, LimitSettings(), replace(moment(), utc=seen.date + timedelta(seconds=error)))

    assert wrong.credentials is right.credentials
    assert [each for each in wrong.findings if each.fault is not Fault.CLOCK_SKEW] == list(right.findings)
    assert (Fault.CLOCK_SKEW in faults(wrong)) is (abs(error) > LimitSettings().clock_skew)


def test_a_set_near_its_end_is_critical_and_an_older_one_is_not() -> None:
    """AWS promises the successor five minutes before: one fault, whose severity follows from its evidence."""
    entry = FAULTS[Fault.ROTATION_OVERDUE]

    def overdue(age: timedelta) -> Finding:
        (finding,) = judge(aged(age)).findings
        return finding

    assert entry.severity_with(overdue(LIFE - 6 * MINUTE).evidence, usable=True) is Level.WARNING
    assert entry.severity_with(overdue(LIFE - 4 * MINUTE).evidence, usable=True) is Level.CRITICAL
    assert overdue(LIFE - 4 * MINUTE).evidence["remaining_seconds"] == 240


def test_a_bad_document_of_one_of_two_roles_is_reported_with_the_number_of_roles() -> None:
    """The second line of the listing may be the reason."""
    failure = Failure(Phase.DOCUMENT, Reason.MALFORMED, Document.CREDENTIALS.value)
    verdict = judge(answered(listing=RoleListing(ROLE, roles=2), credentials=failure))

    (finding,) = verdict.findings
    assert finding.fault is Fault.IMDS_ERROR
    assert (finding.evidence["reason"], finding.evidence["roles"]) == ("malformed", 2)


@pytest.mark.parametrize(
    ("signs", "proxy", "responder"),
    [
        (Signs(firmware_id="i-0bbbbbbbbbbbbbbbb"), None, "other_instance"),
        (Signs(is_local_address=True), None, "local_address"),
        (Signs(has_identity=False), None, "not_ec2"),
        (Signs(), "squid", "proxy"),
        (Signs(), "", "proxy"),
    ],
)
def test_usable_credentials_of_another_responder_are_never_ok(signs: Signs, proxy: str | None, responder: str) -> None:
    """Programs act with another's rights, and nothing fails. The settings may accept that responder."""
    prior = Prior(signs=signs, answering_instance_id="i-0aaaaaaaaaaaaaaaa")
    verdict = judge(answered(proxy=proxy), prior)

    (finding,) = verdict.findings
    assert (finding.fault, finding.evidence["responder"]) == (Fault.IMDS_INTERCEPTED, responder)
    assert finding.evidence.get("server") == (proxy or None)
    assert verdict.credentials is USABLE
    assert faults(judge(answered(proxy=proxy), replace(prior, accepted=(responder,)))) == ()


def test_this_instance_s_own_imds_is_no_other_responder() -> None:
    """The firmware and the identity document agree; on Xen and in a simulator the firmware names none."""
    own = "i-0aaaaaaaaaaaaaaaa"

    assert faults(judge(answered(), Prior(signs=Signs(firmware_id=own), answering_instance_id=own))) == ()
    assert faults(judge(answered(), Prior(answering_instance_id=own))) == ()


def test_a_404_that_ec2_does_not_send_accuses_no_instance_profile() -> None:
    """A role proxy has no role for this program. The same 404 of EC2 means that the profile is detached."""
    foreign = Absent(like_ec2=False)
    verdict = judge(answered(info=foreign, listing=foreign, credentials=None))

    assert faults(verdict) == (Fault.IMDS_INTERCEPTED,)
    assert verdict.credentials is UNUSABLE
    assert faults(judge(answered(credentials=foreign))) == (Fault.IMDS_INTERCEPTED,)
    assert faults(judge(detached())) == (Fault.INSTANCE_PROFILE_DETACHED,)
