"""The parser is total over arbitrary bytes, reads what IMDS was recorded to say, and lets no secret out."""

from __future__ import annotations

import gc
import json
import traceback
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any, Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rolewatch.errors import ImdsError
from rolewatch.imds import documents
from rolewatch.observation import Credentials, Failure, Identity, ProfileInfo, RoleListing
from rolewatch.text import timestamp
from rolewatch.vocabulary import Phase, Reason

ROLE = "WebServerRole"
KEY_ID = "ASIAIOSFODNN7EXAMPLE"
LETTERS_KEY_ID = "ASIAIOSFODNNSEXAMPLE"
"""One key id in thirty has no digit, and then resembles a word."""
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"  # noqa: S105 - AWS's own example
LETTERS_SECRET = "WJalrXUtnFEMIxKsMDENGxbPxRfiCYEXAMPLEKEY"  # noqa: S105 - likewise, with letters only
TOKEN = "IQoJb3JpZ2luX2VjEXAMPLE" + "Zm9vYmFy" * 60 + "=="
SECRETS = (KEY_ID, LETTERS_KEY_ID, SECRET, LETTERS_SECRET, TOKEN)

URL = "https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_iam-ec2.html#troubleshoot_iam-ec2_errors-info-doc"
NOT_FOUND_PAGE = (
    b'<?xml version="1.0" encoding="iso-8859-1"?>\n<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"\n'
    b'\t"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">\n'
    b'<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">\n <head>\n  <title>404 - Not Found</title>\n'
    b" </head>\n <body>\n  <h1>404 - Not Found</h1>\n </body>\n</html>\n"
)

SUCCESS = {
    "Code": "Success",
    "LastUpdated": "2024-06-20T18:51:35Z",
    "Type": "AWS-HMAC",
    "AccessKeyId": KEY_ID,
    "SecretAccessKey": SECRET,
    "Token": TOKEN,
    "Expiration": "2024-06-21T01:26:39Z",
}
INFO = {
    "Code": "Success",
    "LastUpdated": "2024-06-20T18:51:35Z",
    "InstanceProfileArn": "arn:aws:iam::123456789012:instance-profile/team/WebServerProfile",
    "InstanceProfileId": "AIPAI23HZ27SI6FQMGNQ2",
}
IDENTITY = {
    "accountId": "123456789012",
    "architecture": "x86_64",
    "billingProducts": None,
    "imageId": "ami-0c55b159cbfafe1f0",
    "instanceId": "i-0123456789abcdef0",
    "pendingTime": "2024-06-20T18:50:12Z",
    "region": "eu-central-1",
    "version": "2017-09-30",
}

Parser = Callable[[documents.Body], object]
JSON_PARSERS: dict[str, Parser] = {
    "info": documents.profile_info,
    "credentials": lambda body: documents.credentials(ROLE, body),
    "identity": documents.identity,
}
PARSERS: dict[str, Parser] = {**JSON_PARSERS, "listing": documents.role_listing, "tag": documents.name_pattern}
EVERY_PARSER = pytest.mark.parametrize("parse", [pytest.param(parse, id=name) for name, parse in PARSERS.items()])
EVERY_JSON_PARSER = pytest.mark.parametrize(
    "parse", [pytest.param(parse, id=name) for name, parse in JSON_PARSERS.items()]
)


def recorded(fields: dict[str, Any]) -> bytes:
    """Return *fields* as IMDS writes them: two blanks of indent, a blank before the colon, no newline at the end."""
    return json.dumps(fields, indent=2, separators=(",", " : ")).encode()


def read(body: documents.Body) -> Credentials:
    """Read *body* as the credentials document of `ROLE`."""
    return documents.credentials(ROLE, body)


def outcome(parse: Parser, body: documents.Body) -> object:
    """Return what *parse* makes of *body*: a value, or the `ImdsError`. Anything else is raised, and fails the test."""
    try:
        return parse(body)
    except ImdsError as error:
        return error


def failure(parse: Parser, body: bytes) -> Failure:
    """Return the failure with which *parse* refuses *body*."""
    with pytest.raises(ImdsError) as caught:
        parse(body)
    return caught.value.failure


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield *error* and everything it hangs from, suppressed or not: a crash reporter shows that, too."""
    if error is not None:
        yield error
        yield from chain(error.__cause__)
        yield from chain(error.__context__)


def spoken(thing: object) -> str:
    """Return everything that *thing* could say: its repr, or that of each error in its chain, with its attributes."""
    if not isinstance(thing, BaseException):
        return repr(thing)
    parts: list[str] = []
    for error in chain(thing):
        parts += traceback.format_exception(type(error), error, error.__traceback__)
        parts += [repr(error), repr(error.args), repr(vars(error))]
        parts += [repr(getattr(error, name, "")) for name in ("object", "doc", "reason", "msg")]
    return "\n".join(parts)


# What was recorded on real instances.


def test_the_recorded_success_is_read_without_its_secrets() -> None:
    """The recorded credentials document gives times and a fingerprint, and none of its secrets."""
    parsed = read(recorded(SUCCESS))

    assert parsed == Credentials(
        role=ROLE,
        code="Success",
        last_updated=datetime(2024, 6, 20, 18, 51, 35, tzinfo=timezone.utc),
        expiration=datetime(2024, 6, 21, 1, 26, 39, tzinfo=timezone.utc),
        fingerprint="cb20d34a",
        missing=(),
    )
    assert not any(secret in repr(parsed) for secret in SECRETS)


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://docs.amazonwebservices.com/IAM/latest/UserGuide/RolesTroubleshooting.html", id="2016"),
        pytest.param(URL, id="2024"),
    ],
)
def test_the_recorded_unauthorized_document_keeps_its_code(url: str) -> None:
    """`AssumeRoleUnauthorizedAccess` comes with Code, Message and LastUpdated only; its freshness is reported, too."""
    parsed = read(
        recorded(
            {
                "Code": "AssumeRoleUnauthorizedAccess",
                "Message": f"EC2 cannot assume the role {ROLE}.  Please see documentation at {url}.",
                "LastUpdated": "2024-06-20T18:51:35Z",
            }
        )
    )

    assert parsed.code == "AssumeRoleUnauthorizedAccess"
    assert parsed.last_updated == datetime(2024, 6, 20, 18, 51, 35, tzinfo=timezone.utc)
    assert parsed.missing == ("AccessKeyId", "SecretAccessKey", "Token", "Expiration")
    assert (parsed.fingerprint, parsed.expiration) == (None, None)


def test_the_recorded_info_is_read() -> None:
    """`iam/info` gives the profile's name without its path, its ARN, its id and its time."""
    assert documents.profile_info(recorded(INFO)) == ProfileInfo(
        code="Success",
        without_role=False,
        name="WebServerProfile",
        arn="arn:aws:iam::123456789012:instance-profile/team/WebServerProfile",
        id="AIPAI23HZ27SI6FQMGNQ2",
        last_updated=datetime(2024, 6, 20, 18, 51, 35, tzinfo=timezone.utc),
    )


def test_the_recorded_profile_not_found_gives_the_id_of_its_message() -> None:
    """`InstanceProfileNotFound` has neither ARN nor Id: the dead profile's id is in the Message only."""
    parsed = documents.profile_info(
        recorded(
            {
                "Code": "InstanceProfileNotFound",
                "Message": "Instance Profile with Id AIPA2XXXXXXXXXXXX cannot be found."
                f"  Please see documentation at {URL}.",
                "LastUpdated": "2024-06-20T18:51:35Z",
            }
        )
    )

    assert (parsed.code, parsed.id, parsed.arn, parsed.name) == (
        "InstanceProfileNotFound",
        "AIPA2XXXXXXXXXXXX",
        None,
        None,
    )


@pytest.mark.parametrize("with_ids", [True, False], ids=["with-its-arn", "message-only"])
def test_a_success_that_does_not_contain_a_role_is_reported(*, with_ids: bool) -> None:
    """The trap: Code is `Success`, and only the Message says that the profile has no role."""
    fields = {"Code": "Success", "Message": "Instance Profile DOES NOT contain a role.  Please see …"}

    parsed = documents.profile_info(recorded({**INFO, **fields} if with_ids else fields))

    assert (parsed.code, parsed.without_role) == ("Success", True)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(ROLE.encode(), id="as-recorded"),
        pytest.param(ROLE.encode() + b"\n", id="trailing-newline"),
        pytest.param(ROLE.encode() + b"\r\n", id="trailing-cr-lf"),
    ],
)
def test_the_listing_names_the_role(body: bytes) -> None:
    """The listing is the role's name; a newline behind it is no second role."""
    assert documents.role_listing(body) == RoleListing(role=ROLE, roles=1)


@pytest.mark.parametrize("separator", ["\n", "\r\n", "\n\n"], ids=["lf", "cr-lf", "blank-line"])
def test_a_listing_of_two_roles_says_so(separator: str) -> None:
    """Two lines: the first is the role, as the Go and Ruby SDKs read it, and the count says that it is not normal."""
    assert documents.role_listing(f"{ROLE}{separator}Other".encode()) == RoleListing(role=ROLE, roles=2)


def test_the_identity_document_is_read() -> None:
    """The identity document gives id, region, account and the time of launch or start."""
    assert documents.identity(recorded(IDENTITY)) == Identity(
        instance_id="i-0123456789abcdef0",
        region="eu-central-1",
        account_id="123456789012",
        pending_time=datetime(2024, 6, 20, 18, 50, 12, tzinfo=timezone.utc),
    )


@pytest.mark.parametrize("region", ["us-east-1", "us-gov-west-1", "us-isob-east-1", "cn-northwest-1", "eusc-de-east-1"])
def test_every_partition_has_regions_that_are_read(region: str) -> None:
    """A region of another partition is a region."""
    assert documents.identity(recorded({**IDENTITY, "region": region})).region == region


# Documents that differ and are right.


def test_lower_case_keys_are_read() -> None:
    """Keys are compared without regard to case, as the Rust SDK does."""
    lower = {key.lower(): value for key, value in SUCCESS.items()}

    assert read(recorded(lower)) == read(recorded(SUCCESS))


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b" \n\n"], ids=["lf", "cr-lf", "blanks"])
def test_a_trailing_newline_changes_nothing(ending: bytes) -> None:
    """White space behind the document is no part of it."""
    assert read(recorded(SUCCESS) + ending) == read(recorded(SUCCESS))


def test_a_missing_code_with_all_fields_is_a_value() -> None:
    """Emulators send no Code; botocore accepts that, and so the document is whole."""
    parsed = read(recorded({key: value for key, value in SUCCESS.items() if key != "Code"}))

    assert (parsed.code, parsed.missing) == (None, ())


def test_a_code_in_lower_case_is_kept() -> None:
    """The Go SDK compares the Code without regard to case, and so must the classifier: the word has to arrive."""
    assert read(recorded({**SUCCESS, "Code": "success"})).code == "success"


@pytest.mark.parametrize("field", ["AccessKeyId", "SecretAccessKey", "Token", "Expiration"])
@pytest.mark.parametrize("value", ["", "  ", None, [], {}, True], ids=repr)
def test_a_field_without_a_value_is_missing(field: str, value: object) -> None:
    """A field that SDKs need and that is empty, null or no string is named as missing, and only that one."""
    assert read(recorded({**SUCCESS, field: value})).missing == (field,)


@pytest.mark.parametrize("value", ["soon", "2024-06-21", "2024-06-21T25:00:00Z", "2024-02-30T00:00:00Z", 1718932000])
def test_an_unreadable_expiration_is_missing(value: object) -> None:
    """An Expiration that is no time is as good as none."""
    parsed = read(recorded({**SUCCESS, "Expiration": value}))

    assert (parsed.expiration, parsed.missing) == (None, ("Expiration",))


def test_the_last_of_duplicate_keys_counts() -> None:
    """As in every SDK, the later of two equal keys wins."""
    body = recorded(SUCCESS)[:-2] + b', "Code" : "Failed" }'

    assert read(body).code == "Failed"


def test_an_empty_code_is_none() -> None:
    """Botocore asks for the four fields alone: a document that has them is no error for its empty Code."""
    assert read(recorded({**SUCCESS, "Code": ""})).code is None


@pytest.mark.parametrize(
    "code", ["Has Blank", "X" * 65, "Line\nBreak", "Nul\0", "Ünïcode", "<b>", "a/b", " ", 5, 1.5], ids=repr
)
def test_a_code_of_another_shape_is_called_unreadable(code: object) -> None:
    """Whatever is no word of letters is not repeated; that there was something is reported."""
    assert read(recorded({**SUCCESS, "Code": code})).code == "unreadable"


def test_a_million_digits_are_never_converted() -> None:
    """A number is kept as text: converting a long one takes minutes, or raises since Python 3.11."""
    digits = b"1" * 1_000_000

    assert read(recorded(SUCCESS)[:-2] + b', "Size" : ' + digits + b', "Float" : 1.' + digits + b" }").missing == ()


# Nonsense.


@EVERY_JSON_PARSER
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(NOT_FOUND_PAGE, id="html"),
        pytest.param(b"[]", id="list"),
        pytest.param(b"null", id="null"),
        pytest.param(b'"Success"', id="string"),
        pytest.param(b"1", id="number"),
        pytest.param(b"NaN", id="nan"),
        pytest.param(b"{}", id="nothing-in-it"),
        pytest.param(b'{"Code": null, "instanceId": null, "InstanceProfileArn": null}', id="nulls"),
        pytest.param(b'{\n  "Code" : "S', id="cut-off"),
        pytest.param(b'{"Code" : "Success",}', id="trailing-comma"),
        pytest.param(b"\xef\xbb\xbf" + recorded(SUCCESS), id="byte-order-mark"),
        pytest.param(recorded(SUCCESS).decode().encode("utf-16"), id="utf-16"),
        pytest.param(recorded(SUCCESS) + b"\0", id="nul"),
        pytest.param(b'{"Code" : "Suc\0cess"}', id="nul-in-a-string"),
        pytest.param(b'{"Code" : "Success\xff"}', id="not-utf-8"),
        pytest.param(b"[" * 1_000_000, id="deep-list"),
        pytest.param(b'{"a":' * 1_000_000, id="deep-object"),
        pytest.param(b"[" * 1_000_000 + b"]" * 1_000_000, id="deep-and-closed"),
        pytest.param(b"1" * 1_000_000, id="million-digits"),
        pytest.param(b"-" * 1_000_000, id="dashes"),
        pytest.param(b"\x1f\x8b\x08\x00" + bytes(40), id="gzip"),
    ],
)
def test_what_is_no_document_is_malformed(parse: Parser, body: bytes) -> None:
    """Not UTF-8, not JSON, not an object, or nothing of the document in it: malformed, with the document's path."""
    parsed = failure(parse, body)

    assert (parsed.phase, parsed.reason, parsed.status) == (Phase.DOCUMENT, Reason.MALFORMED, 200)
    assert parsed.document.startswith(("meta-data/iam/", "dynamic/"))


@pytest.mark.parametrize("parse", [p for name, p in PARSERS.items() if name != "tag"])
@pytest.mark.parametrize("body", [b"", b" ", b"\n", b"\r\n\t "], ids=repr)
def test_a_200_without_a_body_is_empty(parse: Parser, body: bytes) -> None:
    """An empty 200 body has a reason of its own: IMDS gives it when it is throttled."""
    assert failure(parse, body).reason is Reason.EMPTY


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(NOT_FOUND_PAGE, id="html"),
        pytest.param(b"404 Not Found", id="a-sentence"),
        pytest.param(b"Not Found\n", id="two-words"),
        pytest.param(b"../../api/token", id="parent-folder"),
        pytest.param(b"..", id="dot-dot"),
        pytest.param(b".", id="dot"),
        pytest.param(b"..\nRole", id="dot-dot-first"),
        pytest.param(b"a/b", id="slash"),
        pytest.param(b"a%2fb", id="percent"),
        pytest.param(b"a?b", id="query"),
        pytest.param(b"a#b", id="fragment"),
        pytest.param(b"a\0b", id="nul"),
        pytest.param(b"a\x0bb", id="vertical-tab"),
        pytest.param("a\u2028b".encode(), id="unicode-line"),
        pytest.param("Rôle".encode(), id="not-ascii"),
        pytest.param("\uff21\uff22".encode(), id="full-width"),
        pytest.param(b"\xef\xbb\xbfRole", id="byte-order-mark"),
        pytest.param(b"Role\xff", id="not-utf-8"),
        pytest.param(b"arn:aws:iam::123456789012:role/Role", id="arn"),
        pytest.param(b"x" * 10_000, id="10-kB"),
        pytest.param(KEY_ID.encode(), id="access-key-id"),
        pytest.param(LETTERS_KEY_ID.encode(), id="access-key-id-of-letters"),
        pytest.param(b"AKIAIOSFODNN7EXAMPLE", id="long-term-access-key-id"),
        pytest.param(SECRET.encode(), id="secret"),
        pytest.param(TOKEN.encode(), id="token"),
        pytest.param(recorded(SUCCESS), id="credentials"),
    ],
)
def test_a_listing_that_is_no_name_is_malformed(body: bytes) -> None:
    """What cannot be a role's name is neither shown nor asked for."""
    assert failure(documents.role_listing, body) == Failure(
        Phase.DOCUMENT, Reason.MALFORMED, "meta-data/iam/security-credentials/", status=200
    )


def test_a_cr_inside_the_listing_makes_no_header() -> None:
    """A name with CR or LF inside is two lines, or none: nothing of it can reach the next request's head."""
    assert documents.role_listing(b"Role\r\nX-Evil: 1").role == "Role"
    assert failure(documents.role_listing, b"Role\rX-Evil").reason is Reason.MALFORMED


@pytest.mark.parametrize("role", ["+=,.@-_", "a", "r" * 64, "AREAMANAGERSERVICE", "AmazonEC2Role.v2", "...", "1"])
def test_every_name_that_iam_allows_is_read(role: str) -> None:
    """IAM allows letters, digits and ``_+=,.@-``; a name in capitals is no access key id."""
    assert documents.role_listing(role.encode()).role == role


# Tags.


@pytest.mark.parametrize(
    ("body", "pattern"),
    [
        pytest.param(b"WebServerRole", "WebServerRole", id="name"),
        pytest.param(b" WebServer-* \n", "WebServer-*", id="wildcard"),
        pytest.param(b"web-[!ab]?", "web-[!ab]?", id="set"),
        pytest.param(b"arn:aws:iam::123456789012:role/team/Web", "Web", id="arn"),
        pytest.param(b"", None, id="empty"),
        pytest.param(b"\xff", None, id="not-utf-8"),
        pytest.param(b"../x", None, id="path"),
        pytest.param(b"a b", None, id="blank"),
        pytest.param(b"x" * 10_000, None, id="10-kB"),
        pytest.param(KEY_ID.encode(), None, id="access-key-id"),
        pytest.param(NOT_FOUND_PAGE, None, id="html"),
        pytest.param(b"arn:", None, id="arn-of-nothing"),
        pytest.param(b"arn:aws:iam::123456789012:role/", None, id="arn-without-a-name"),
        pytest.param(b"arn:aws:s3:::bucket/Web", None, id="arn-of-another-service"),
        pytest.param(b"web-[z-a]", None, id="empty-range"),
        pytest.param(b"web-[a", None, id="no-set"),
    ],
)
def test_a_tag_is_a_pattern_or_nothing(body: bytes, pattern: str | None) -> None:
    """A tag's value names a role, perhaps with wildcards, perhaps by ARN; anything else expects nothing."""
    assert documents.name_pattern(body) == pattern


# The info document's odd sides.


def test_a_path_of_any_printable_characters_hides_no_name() -> None:
    """A profile's path may contain punctuation of every kind; the name behind it is read all the same."""
    arn = "arn:aws-cn:iam::123456789012:instance-profile/a:b/c~d/%2e!/Web"

    parsed = documents.profile_info(recorded({**INFO, "InstanceProfileArn": arn}))

    assert (parsed.arn, parsed.name) == (arn, "Web")


@pytest.mark.parametrize(
    "arn",
    [
        pytest.param("arn:aws:iam::123456789012:instance-profile/", id="no-name"),
        pytest.param("arn:aws:iam::123456789012:instance-profile/team/", id="path-only"),
        pytest.param("arn:aws:iam::123456789012:instance-profile/" + "x" * 129, id="name-too-long"),
        pytest.param("arn:aws:iam::123456789012:instance-profile/" + KEY_ID, id="access-key-id"),
        pytest.param("arn:aws:iam::123456789012:role/Web", id="of-a-role"),
        pytest.param("arn:aws:iam::12345678901\u0662:instance-profile/Web", id="another-digit"),
        pytest.param("WebServerProfile", id="not-an-arn"),
    ],
)
def test_an_arn_of_another_shape_is_dropped(arn: str) -> None:
    """An ARN that is none is not repeated, and no name is made of it."""
    parsed = documents.profile_info(recorded({**INFO, "InstanceProfileArn": arn}))

    assert (parsed.arn, parsed.name, parsed.code) == (None, None, "Success")


@pytest.mark.parametrize("field", ["accountId", "region", "instanceId"])
@pytest.mark.parametrize("value", ["\u0661" * 12, "eu-central-\u0661", "i-0123456789abcde\uff10", "", None, 5, SECRET])
def test_an_identity_field_of_another_shape_is_dropped(field: str, value: object) -> None:
    """Ids and regions are ASCII of their known shape, or nothing; digits of other scripts are none."""
    parsed = outcome(documents.identity, recorded({**IDENTITY, field: value}))

    if field == "instanceId":
        assert isinstance(parsed, ImdsError)
    else:
        assert isinstance(parsed, Identity)
        assert (parsed.account_id if field == "accountId" else parsed.region) is None


# Time.


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        pytest.param("2024-06-21T01:26:39Z", (2024, 6, 21, 1, 26, 39), id="as-recorded"),
        pytest.param("2024-06-21T01:26:39.123Z", (2024, 6, 21, 1, 26, 39), id="milliseconds"),
        pytest.param("2024-06-21T01:26:39+00:00", (2024, 6, 21, 1, 26, 39), id="zero-offset"),
        pytest.param("2024-06-21T01:26:39+0230", (2024, 6, 20, 22, 56, 39), id="east"),
        pytest.param("2024-06-21T01:26:39-02:30", (2024, 6, 21, 3, 56, 39), id="west"),
        pytest.param("0001-01-01T00:00:00Z", (1, 1, 1, 0, 0, 0), id="year-1"),
        pytest.param("9999-12-31T23:59:59Z", (9999, 12, 31, 23, 59, 59), id="year-9999"),
    ],
)
def test_a_time_is_read_in_utc(text: str, moment: tuple[int, int, int, int, int, int]) -> None:
    """A time with its zone becomes an aware one in UTC."""
    read_time = timestamp(text)

    assert read_time == datetime(*moment, tzinfo=timezone.utc)
    assert read_time is not None
    assert read_time.tzinfo is timezone.utc


@pytest.mark.parametrize(
    "text",
    [
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+23:00",
        "9999-12-31T23:59:59-23:59",
        "10000-01-01T00:00:00Z",
        "2024-06-21T01:26:39",
        "2024-06-21T01:26:39Z\n",
        " 2024-06-21T01:26:39Z",
        "2024-06-21T01:26:60Z",
        "\u0662024-06-21T01:26:39Z",
        "2024-06-21 01:26:39Z",
        "",
        None,
    ],
)
def test_what_is_no_time_is_none(text: str | None) -> None:
    """Neither an impossible time nor one without a zone is guessed at, and an overflow is no crash."""
    assert timestamp(text) is None


# Total, and silent about secrets.

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40) | st.sampled_from(SECRETS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_KNOWN_KEYS = sorted({*SUCCESS, *INFO, *IDENTITY, "Message", "code", "TOKEN", "To\u212aen"})
_KEYS = st.sampled_from(_KNOWN_KEYS) | st.text(max_size=8)
_OBJECTS = st.dictionaries(_KEYS, _VALUES, max_size=10).map(lambda fields: json.dumps(fields).encode())
_SPOILT = st.tuples(_OBJECTS, st.integers(0, 400), st.binary(max_size=4)).map(
    lambda drawn: drawn[0][: drawn[1]] + drawn[2] + drawn[0][drawn[1] + 1 :]
)


@EVERY_PARSER
@given(body=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
@example(body=b'"\\ud800"')
@example(body=b'{"AccessKeyId": "\\ud800", "Expiration": "\\udfff"}')
@example(body=b'{"Code": "\\ud800"}')
def test_every_parser_is_total_over_arbitrary_bytes(parse: Parser, body: bytes) -> None:
    """Whatever the bytes: a value, or an `ImdsError`; never another exception."""
    outcome(parse, body)


@EVERY_PARSER
@given(body=_OBJECTS | _SPOILT)
def test_no_secret_leaves_a_parser_from_whatever_field(parse: Parser, body: bytes) -> None:
    """Secrets in any field, the wrong ones included, in whole and in spoilt documents: nothing says them."""
    parsed = spoken(outcome(parse, body))

    assert not [secret for secret in SECRETS if secret in parsed]


@EVERY_PARSER
@pytest.mark.parametrize("secret", SECRETS)
def test_no_secret_leaves_from_swapped_fields(parse: Parser, secret: str) -> None:
    """Every field of every document contains the secret, one at a time and all at once."""
    whole = {**IDENTITY, **INFO, **SUCCESS, "Message": "Instance Profile does not contain a role."}
    bodies = [recorded({**whole, field: secret}) for field in whole]
    bodies += [recorded({**whole, field: f"Instance Profile with Id {secret} cannot be found."}) for field in whole]
    bodies += [recorded(dict.fromkeys(whole, secret)), recorded({secret: secret, **whole})]

    assert not [body for body in bodies if secret in spoken(outcome(parse, body))]


@EVERY_PARSER
@pytest.mark.parametrize("spoil", [b"\xff", b'"', b"\0"], ids=["not-utf-8", "not-json", "nul"])
def test_no_secret_hangs_from_the_error_of_a_spoilt_document(parse: Parser, spoil: bytes) -> None:
    """The errors of the decoders contain the whole document: none of them is in the chain, not even suppressed."""
    parsed = outcome(parse, recorded(SUCCESS) + spoil)

    assert not [secret for secret in SECRETS if secret in spoken(parsed)]
    assert not isinstance(parsed, ImdsError) or (parsed.__cause__, parsed.__context__) == (None, None)


@EVERY_PARSER
@given(body=_OBJECTS | _SPOILT)
@example(body=b'{"AccessKeyId": "ASIAIOSFODNN7EXAMPLE", "of": {"AccessKeyId": "ASIAANOTHERONEXAMPLE"}}')
@example(body=b'{"AccessKeyId": "ASIAIOSFODNN7EXAMPLE", "accesskeyid": "\\u0041SIAANOTHERONEXAMPLE", "Token": "  "}')
@example(body=b'{"Token": "a longer one with a \n raw line end"}')
def test_a_parser_says_the_same_of_a_body_whose_secrets_it_overwrites(parse: Parser, body: bytes) -> None:
    """Whatever the document, what is overwritten changes neither the value nor the failure."""
    plain, overwritten = outcome(parse, body), outcome(parse, bytearray(body))

    assert getattr(overwritten, "failure", overwritten) == getattr(plain, "failure", plain)


@pytest.mark.parametrize("write", [recorded, lambda fields: json.dumps(fields).encode()], ids=["recorded", "compact"])
@pytest.mark.parametrize("cut", [None, -1, -3, 300], ids=str)
@pytest.mark.parametrize("case", [str, str.lower], ids=["as-recorded", "lower-case"])
def test_the_secrets_are_overwritten_before_the_document_is_read(
    write: Callable[[dict[str, Any]], bytes], cut: int | None, case: Callable[[str], str]
) -> None:
    """Of a body that can be written to nothing secret is left when its JSON is parsed, be it whole or cut off."""
    body = bytearray(write({case(key): value for key, value in SUCCESS.items()})[:cut])
    outcome(read, body)

    assert b"Success" in body
    assert [secret for secret in SECRETS if secret[:8].encode() in body] == []


@pytest.mark.parametrize("spoil", [b"\xff\xfe", "\u20ac".encode(), b" ", b"\n", b"\0"], ids=repr)
@pytest.mark.parametrize("secret", [KEY_ID, SECRET, TOKEN], ids=["key-id", "secret-key", "token"])
def test_a_secret_with_a_stray_byte_in_it_is_overwritten_around_it(secret: str, spoil: bytes) -> None:
    """A decoder that refuses the byte keeps a copy of the document in its error: no secret is in it any more."""
    middle = len(secret) // 2
    spoilt = secret[:middle].encode() + spoil + secret[middle:].encode()
    body = bytearray(recorded(SUCCESS).replace(secret.encode(), spoilt))
    assert spoilt in body
    outcome(read, body)

    assert spoil in body
    assert [each for each in (KEY_ID, SECRET, TOKEN) for half in (each[:8], each[-8:]) if half.encode() in body] == []


def test_a_value_keeps_no_reference_to_what_it_was_read_from() -> None:
    """No object that the result refers to is, or contains, a secret."""
    parsed = read(recorded({**SUCCESS, "Token": "".join(TOKEN)}))
    seen: list[object] = []
    waiting: list[object] = [vars(parsed)]
    while waiting:
        thing = waiting.pop()
        if isinstance(thing, (str, dict, tuple)):
            seen.append(thing)
            waiting += gc.get_referents(thing)

    assert not [thing for thing in seen if isinstance(thing, str) and any(secret in thing for secret in SECRETS)]
