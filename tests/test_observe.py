"""One poll becomes one value: both documents are always read, nothing is remembered, and nothing more is asked."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Union

import pytest

from rolewatch.imds import Questions, observe
from rolewatch.imds.client import Client
from rolewatch.observation import (
    Absent,
    Answered,
    Credentials,
    Failure,
    Identity,
    ProfileInfo,
    RoleListing,
    Tags,
    Unanswered,
)
from rolewatch.settings import ExpectSettings, ImdsSettings
from rolewatch.text import rfc3339
from rolewatch.vocabulary import Phase, Reason
from wire import (
    DATE,
    GRANT,
    INFO_PATH,
    NOT_FOUND,
    RESET,
    ROLES_PATH,
    TOKEN,
    TOKEN_PATH,
    Play,
    Request,
    Script,
    Wire,
    answer,
    imds,
    not_listening,
)

IDENTITY_PATH = "/latest/dynamic/instance-identity/document"
TAGS_PATH = "/latest/meta-data/tags/instance/"
SECRET = "swordfish"  # noqa: S105 - the mark that must not come out
NOTHING_MORE = Questions()
ANY = ExpectSettings()
FOUR = [TOKEN_PATH, INFO_PATH, ROLES_PATH, ROLES_PATH + "Web"]

Answers = dict[str, Union[bytes, Script]]


def credentials(**fields: str) -> bytes:
    """Return the answer with a whole credentials document, in which *fields* differ."""
    whole = {
        "Code": "Success",
        "LastUpdated": "2026-11-23T17:00:00Z",
        "Type": "AWS-HMAC",
        "AccessKeyId": "ASIA" + SECRET.upper(),
        "SecretAccessKey": SECRET,
        "Token": SECRET,
        "Expiration": "2026-11-23T23:30:00Z",
    }
    return answer(json.dumps({**whole, **fields}))


INFO = answer(
    json.dumps(
        {
            "Code": "Success",
            "LastUpdated": "2026-11-23T17:00:00Z",
            "InstanceProfileArn": "arn:aws:iam::123456789012:instance-profile/WebProfile",
            "InstanceProfileId": "AIPAI23HZ27SI6FQMGNQ2",
        }
    )
)
IDENTITY = answer(json.dumps({"instanceId": "i-0123456789abcdef0", "region": "eu-central-1"}))


def healthy(**changes: bytes | Script) -> Answers:
    """Return the documents of a healthy instance; *changes* by name."""
    whole: Answers = {"info": INFO, "listing": answer("Web"), "credentials": credentials(), "identity": IDENTITY}
    paths = {"info": INFO_PATH, "listing": ROLES_PATH, "credentials": ROLES_PATH + "Web", "identity": IDENTITY_PATH}
    return {paths[name]: script for name, script in {**whole, **changes}.items()}


def client(endpoint: str) -> Client:
    """Return a client of *endpoint* with a real clock."""
    return Client(endpoint, ImdsSettings(timeout=2.0), monotonic=time.monotonic)


def observe_with(
    documents: Mapping[str, bytes | Script], expect: ExpectSettings = ANY, questions: Questions = NOTHING_MORE
) -> Answered:
    """Observe *documents* once."""
    with Wire(imds(documents)) as wire:
        seen = observe(client(wire.endpoint), expect, questions)
    assert isinstance(seen, Answered)
    return seen


def asked(
    documents: Mapping[str, bytes | Script], expect: ExpectSettings = ANY, questions: Questions = NOTHING_MORE
) -> list[str]:
    """Return the paths asked for in one poll of *documents*, and assert that each carried the token."""
    with Wire(imds(documents)) as wire:
        observe(client(wire.endpoint), expect, questions)
    assert {request.headers["x-aws-ec2-metadata-token"] for request in wire.requests if request.method == "GET"} <= {
        TOKEN
    }
    return [path for _, path in wire.seen]


def test_a_healthy_instance_is_read_whole() -> None:
    """Four answers, one value; no secret in it."""
    seen = observe_with(healthy())

    assert isinstance(seen.info, ProfileInfo)
    assert (seen.info.code, seen.info.name) == ("Success", "WebProfile")
    assert seen.listing == RoleListing("Web")
    assert isinstance(seen.credentials, Credentials)
    assert (seen.credentials.role, seen.credentials.code, seen.credentials.missing) == ("Web", "Success", ())
    assert (seen.identity, seen.tags) == (None, None)
    assert seen.date is not None
    assert rfc3339(seen.date) == "2026-11-23T17:31:25Z"
    assert SECRET not in repr(seen).lower()


def test_a_poll_is_exactly_four_requests() -> None:
    """The token, the info, the listing, the role's document: in this order, and no more."""
    assert asked(healthy()) == FOUR


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(answer(status="500 Oops"), id="500"),
        pytest.param(answer(), id="empty"),
        pytest.param(answer("<html>"), id="html"),
        pytest.param([RESET], id="reset"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", id="truncated"),
        pytest.param(NOT_FOUND, id="404"),
    ],
)
def test_the_documents_are_two_independent_verdicts(broken: bytes | Script) -> None:
    """Whatever happens to one, the other is read; the failure takes the place of the one that failed."""
    without_info, without_credentials = observe_with(healthy(info=broken)), observe_with(healthy(credentials=broken))
    kind = Absent if broken is NOT_FOUND else Failure

    assert asked(healthy(info=broken)) == asked(healthy(credentials=broken)) == FOUR
    assert isinstance(without_info.info, kind)
    assert isinstance(without_info.credentials, Credentials)
    assert isinstance(without_credentials.info, ProfileInfo)
    assert isinstance(without_credentials.credentials, kind)


def test_a_poll_that_is_refused_throughout_asks_for_one_more_token() -> None:
    """401 to everything: one new token, no more, and each document has its failure; still nothing without a token."""
    refused = answer(status="401 Unauthorized")
    seen = observe_with(healthy(info=refused, listing=refused))

    assert asked(healthy(info=refused, listing=refused)) == [TOKEN_PATH, INFO_PATH, TOKEN_PATH, INFO_PATH, ROLES_PATH]
    assert seen.info == Failure(Phase.DOCUMENT, Reason.UNAUTHORIZED, "meta-data/iam/info", status=401)
    assert isinstance(seen.listing, Failure)
    assert seen.credentials is None


def test_an_unauthorized_role_is_reported_with_a_successful_info() -> None:
    """The trap: `iam/info` says Success, and only the credentials document says that the role cannot be assumed."""
    error = answer(json.dumps({"Code": "AssumeRoleUnauthorizedAccess", "LastUpdated": "2026-11-23T17:31:00Z"}))
    seen = observe_with(healthy(credentials=error))

    assert isinstance(seen.info, ProfileInfo)
    assert seen.info.code == "Success"
    assert isinstance(seen.credentials, Credentials)
    assert seen.credentials.code == "AssumeRoleUnauthorizedAccess"


@pytest.mark.parametrize(
    ("listing", "kind"),
    [
        pytest.param(NOT_FOUND, Absent, id="404"),
        pytest.param(answer(), Failure, id="empty"),
        pytest.param(answer("<html>"), Failure, id="html"),
        pytest.param(answer("../../api/token"), Failure, id="path"),
        pytest.param(answer(".."), Failure, id="dot-dot"),
        pytest.param([RESET], Failure, id="reset"),
    ],
)
def test_without_a_name_there_is_no_document_to_ask_for(listing: bytes | Script, kind: type) -> None:
    """A listing that names no role: three requests, and no guess; `credentials` is None and not an answer."""
    seen = observe_with(healthy(listing=listing))

    assert asked(healthy(listing=listing)) == FOUR[:3]
    assert isinstance(seen.listing, kind)
    assert seen.credentials is None


def test_the_first_of_two_roles_is_asked_for() -> None:
    """As the SDKs do; the count is in the value."""
    seen = observe_with({**healthy(listing=answer("Web\nOther")), ROLES_PATH + "Other": credentials()})

    assert seen.listing == RoleListing("Web", roles=2)
    assert isinstance(seen.credentials, Credentials)
    assert seen.credentials.role == "Web"


def test_a_swapped_role_is_found_and_the_old_one_never_asked_again() -> None:
    """The trap: a role's name that is remembered gives 404 for ever after a swap."""
    before, after = imds(healthy()), imds({**healthy(listing=answer("New")), ROLES_PATH + "New": credentials()})
    current: list[Play] = [before]

    def play(request: Request) -> Script:
        return current[0](request)

    with Wire(play) as wire:
        one = client(wire.endpoint)
        observe(one, ANY, NOTHING_MORE)
        current[0] = after
        seen = observe(one, ANY, NOTHING_MORE)

    assert isinstance(seen, Answered)
    assert seen.listing == RoleListing("New")
    assert isinstance(seen.credentials, Credentials)
    assert seen.credentials.role == "New"
    assert [path for _, path in wire.seen] == [*FOUR, *FOUR[:3], ROLES_PATH + "New"]


def test_a_swap_between_listing_and_document_is_an_absent_document() -> None:
    """The role went away in mid-poll: 404 for the document is an answer, and the next poll asks anew."""
    assert observe_with(healthy(credentials=NOT_FOUND)).credentials == Absent()


def test_other_namespaces_are_not_read() -> None:
    """`iam-ecs-*` and `identity-credentials` are normal and none of our business: nothing but the four is asked."""
    more = {"/latest/meta-data/iam-ecs-0a/info": INFO, "/latest/meta-data/identity-credentials/ec2/info": INFO}

    assert asked({**healthy(), **more}) == FOUR
    assert observe_with({**more}) == Answered(
        Absent(), Absent(), None, date=observe_with(healthy()).date, host="127.0.0.1"
    )


# No token.


@pytest.mark.parametrize(
    ("token", "reason", "dated"),
    [
        pytest.param(answer(status="403 Forbidden"), Reason.FORBIDDEN, True, id="403"),
        pytest.param(answer(status="503 Slow Down"), Reason.THROTTLED, True, id="503"),
        pytest.param(answer(""), Reason.EMPTY, True, id="empty"),
        pytest.param(answer("<html>"), Reason.MALFORMED, True, id="html"),
        pytest.param(b"HTTP/1.1 403 Forbidden\r\n\r\n", Reason.FORBIDDEN, False, id="403-without-date"),
        pytest.param([RESET], Reason.RESET, False, id="reset"),
    ],
)
def test_without_a_token_nothing_else_is_asked(token: bytes | Script, reason: Reason, *, dated: bool) -> None:
    """No IMDSv1: the poll ends with its PUT, as a value that has the failure, and IMDS's clock where it was sent."""
    with Wire(imds(healthy(), token=token)) as wire:
        seen = observe(client(wire.endpoint), ANY, Questions(identity=True, tags=True))

    assert isinstance(seen, Unanswered)
    assert (seen.failure.phase, seen.failure.reason) == (Phase.TOKEN, reason)
    assert (seen.date is not None) is dated
    assert wire.seen == [("PUT", TOKEN_PATH)]


def test_refused_is_a_value() -> None:
    """Nothing listens: no exception passes."""
    with not_listening() as endpoint:
        seen = observe(client(endpoint), ANY, NOTHING_MORE)

    assert seen == Unanswered(Failure(Phase.CONNECT, Reason.REFUSED, "api/token", errno=111), host="127.0.0.1")


# What is asked only now and then.


def test_the_identity_is_asked_only_when_asked_for() -> None:
    """One request more, and the value has it."""
    assert asked(healthy(), questions=Questions(identity=True)) == [*FOUR, IDENTITY_PATH]
    identity = observe_with(healthy(), questions=Questions(identity=True)).identity
    assert identity == Identity("i-0123456789abcdef0", "eu-central-1")


@pytest.mark.parametrize(
    "identity", [NOT_FOUND, answer(), answer("[]"), [RESET]], ids=["404", "empty", "list", "reset"]
)
def test_a_missing_identity_is_none(identity: bytes | Script) -> None:
    """It is for orientation only: that it is missing is no failure of the poll."""
    seen = observe_with(healthy(identity=identity), questions=Questions(identity=True))

    assert seen.identity is None
    assert isinstance(seen.credentials, Credentials)


BOTH_TAGS = ExpectSettings(role_tag="expected-role", instance_profile_tag="expected-profile")


@pytest.mark.parametrize(
    ("expect", "paths"),
    [
        pytest.param(ANY, [], id="none-configured"),
        pytest.param(ExpectSettings(role_tag="expected-role"), ["expected-role"], id="role"),
        pytest.param(ExpectSettings(instance_profile_tag="expected-profile"), ["expected-profile"], id="profile"),
        pytest.param(BOTH_TAGS, ["expected-role", "expected-profile"], id="both"),
        pytest.param(ExpectSettings(role_tag="a:b/c d"), ["a%3Ab%2Fc%20d"], id="quoted"),
    ],
)
def test_tags_are_asked_only_when_asked_for(expect: ExpectSettings, paths: list[str]) -> None:
    """Only the tags that the settings name, and only in polls that ask."""
    assert asked(healthy(), expect) == FOUR
    assert asked(healthy(), expect, Questions(tags=True)) == [*FOUR, *(TAGS_PATH + path for path in paths)]


def test_tags_say_what_is_expected() -> None:
    """A tag's value is a pattern; a tag that is not there expects nothing."""
    both = {TAGS_PATH + "expected-role": answer("Web*"), TAGS_PATH + "expected-profile": answer("WebProfile\n")}
    role_only = {TAGS_PATH + "expected-role": answer("Web")}

    assert observe_with({**healthy(), **both}, BOTH_TAGS, Questions(tags=True)).tags == Tags("Web*", "WebProfile")
    assert observe_with({**healthy(), **role_only}, BOTH_TAGS, Questions(tags=True)).tags == Tags("Web", None)
    assert observe_with(healthy(), BOTH_TAGS, Questions(tags=True)).tags == Tags(None, None)


@pytest.mark.parametrize("broken", [answer(status="503 Slow Down"), [RESET]], ids=["503", "reset"])
def test_tags_that_were_not_answered_change_nothing(broken: bytes | Script) -> None:
    """One of them failed: None, so that what was expected before stays in force; it is not *expects nothing*."""
    tags: Answers = {TAGS_PATH + "expected-role": answer("Web"), TAGS_PATH + "expected-profile": broken}

    assert observe_with({**healthy(), **tags}, BOTH_TAGS, Questions(tags=True)).tags is None


@pytest.mark.parametrize(
    "value", [answer(""), answer("<html>"), answer("a b"), answer(b"\xff"), answer("ASIA" + "A" * 16)]
)
def test_a_tag_that_can_be_no_name_expects_nothing(value: bytes) -> None:
    """Nonsense in a tag is no expectation: it must not make every role wrong."""
    tags: Answers = {TAGS_PATH + "expected-role": value}

    assert observe_with({**healthy(), **tags}, BOTH_TAGS, Questions(tags=True)).tags == Tags(None, None)


def test_the_date_is_that_of_the_last_answer() -> None:
    """The clock that counts is the one closest to the end of the poll."""
    later = credentials().replace(DATE.encode(), b"Mon, 23 Nov 2026 17:31:59 GMT")
    seen = observe_with(healthy(credentials=later))

    assert seen.date is not None
    assert rfc3339(seen.date) == "2026-11-23T17:31:59Z"


def test_a_token_for_each_poll_and_one_for_the_whole_poll() -> None:
    """Two polls, two tokens; every GET of a poll carries the one of its own PUT."""
    tokens = iter(["first-token", "second-token"])

    def play(request: Request) -> Script:
        return [answer(next(tokens))] if request.method == "PUT" else imds(healthy())(request)

    with Wire(play) as wire:
        one = client(wire.endpoint)
        observe(one, ANY, NOTHING_MORE)
        observe(one, ANY, NOTHING_MORE)

    sent = [request.headers.get("x-aws-ec2-metadata-token") for request in wire.requests]
    assert sent == [None, *["first-token"] * 3, None, *["second-token"] * 3]


def test_no_secret_is_in_what_any_broken_poll_gives() -> None:
    """Marked secrets in whole, spoilt and misplaced documents: the value never says them."""
    spoilt = credentials()
    scripts = [spoilt[:-40] + b"\xff" * 40, spoilt[:-1] + b" ", spoilt.replace(b"200 OK", b"500 No"), spoilt[:-30]]
    for script in scripts:
        for place in ("info", "listing", "credentials", "identity"):
            seen = observe_with(healthy(**{place: script}), questions=Questions(identity=True))
            assert SECRET not in repr(seen).lower()


def test_a_grant_is_what_recordings_say() -> None:
    """The script that the other tests use: 56 characters, and the TTL header."""
    assert len(TOKEN) == 56
    assert b"content-length: 56" in GRANT.lower()
