"""Strategies for Hypothesis: every observation that a poll can make, of a healthy or a faulty IMDS."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from hypothesis import strategies as st

from builders import PROFILE, PROFILE_ID, ROLE, START
from rolewatch.observation import (
    Absent,
    Answered,
    Credentials,
    Failure,
    Identity,
    Observation,
    ProfileInfo,
    RoleListing,
    Unanswered,
)
from rolewatch.vocabulary import Phase, Reason

NEAR = st.integers(min_value=-30_000, max_value=30_000).map(lambda seconds: START + timedelta(seconds=seconds))
TIMES = st.one_of(
    NEAR,
    st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(timezone.utc)),  # noqa: DTZ001 - hypothesis adds it
    st.sampled_from([datetime.min.replace(tzinfo=timezone.utc), datetime.max.replace(tzinfo=timezone.utc)]),
)
ROLES = st.sampled_from([ROLE, "app-server", "Web-Server"])
FAILURES = st.builds(
    Failure,
    phase=st.sampled_from(Phase),
    reason=st.sampled_from(Reason),
    document=st.sampled_from(["meta-data/iam/info", ""]),
    errno=st.sampled_from([None, 111]),
    status=st.sampled_from([None, 200, 503]),
)
CODES = st.sampled_from(
    ["Success", "success", None, "Failed", "AssumeRoleUnauthorizedAccess", "InstanceProfileNotFound"]
)
INFOS = st.builds(
    ProfileInfo,
    code=CODES,
    without_role=st.booleans(),
    name=st.sampled_from([PROFILE, "app-server", None]),
    arn=st.none(),
    id=st.sampled_from([PROFILE_ID, "AIPAEXAMPLE000000002", None]),
    last_updated=st.one_of(st.none(), TIMES),
)
IDENTITIES = st.builds(
    Identity,
    instance_id=st.sampled_from(["i-0123456789abcdef0", "i-0fedcba9876543210"]),
    pending_time=st.one_of(st.none(), TIMES),
)


@st.composite
def documents(draw: st.DrawFn, role: str) -> Credentials:
    """Draw a credentials document: complete, or with its missing fields named, as the parser does."""
    expiration = draw(st.one_of(st.none(), TIMES, TIMES))
    missing = draw(st.sampled_from([(), (), ("Token",), ("AccessKeyId", "SecretAccessKey", "Token")]))
    if expiration is None:
        missing = (*missing, "Expiration")
    return Credentials(
        role=role,
        code=draw(CODES),
        last_updated=draw(st.one_of(st.none(), TIMES)),
        expiration=expiration,
        fingerprint=None if "AccessKeyId" in missing else draw(st.sampled_from(["00000001", "00000002", "00000003"])),
        missing=missing,
    )


@st.composite
def observations(draw: st.DrawFn, *, dated: bool = False) -> Observation:
    """Draw one observation; with *dated*, one with a `Date`."""
    date = draw(NEAR if dated else st.one_of(st.none(), TIMES))
    if draw(st.integers(0, 3)) == 0:
        return Unanswered(draw(FAILURES.filter(lambda each: each.phase is not Phase.DOCUMENT)), date)
    listing = draw(st.one_of(st.builds(RoleListing, ROLES, st.sampled_from([1, 1, 2])), st.just(Absent()), FAILURES))
    return Answered(
        info=draw(st.one_of(INFOS, st.just(Absent()), FAILURES)),
        listing=listing,
        credentials=draw(st.one_of(documents(listing.role), st.just(Absent()), FAILURES))
        if isinstance(listing, RoleListing)
        else None,
        identity=draw(st.one_of(st.none(), IDENTITIES)),
        date=date,
    )
