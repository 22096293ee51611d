"""The values of settings: types, durations, addresses and names. Strict, bounded, and with a remedy in each message."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import date
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolewatch.config.keys import KEYS, VALUE_TYPES
from rolewatch.config.types import (
    Duration,
    Several,
    Switch,
    Text,
    UnusableError,
    ValueType,
    Whole,
    choice,
    endpoint,
    is_trusted,
    listen,
    shown,
)
from rolewatch.settings import IPV4, IPV6
from rolewatch.text import format_duration, parse_duration, printable

DURATION = Duration(5, 3600)
WHOLE = Whole(1, 10)
SWITCH = Switch()
TEXT = Text("anything", lambda text: text.lower(), optional=True)
SEVERAL = Several(TEXT)


@pytest.mark.parametrize(
    ("reader", "given_value", "value"),
    [
        (DURATION, 30, 30.0),
        (DURATION, 30.5, 30.5),
        (DURATION, "1h", 3600.0),
        (DURATION, 5, 5.0),
        (WHOLE, 1, 1),
        (WHOLE, 10, 10),
        (SWITCH, True, True),
        (SWITCH, False, False),
        (TEXT, "Word", "word"),
        (TEXT, "", ""),
        (SEVERAL, "One", ("one",)),
        (SEVERAL, ["One", "two", "ONE"], ("one", "two")),
        (SEVERAL, ("One",), ("one",)),
        (SEVERAL, [], ()),
    ],
)
def test_an_accepted_value_has_the_type_of_the_setting(reader: ValueType, given_value: object, value: object) -> None:
    """A duration is a float, a list is a tuple."""
    read = reader(given_value)

    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("reader", "given_value", "complaint"),
    [
        (DURATION, 2, "is 2s; it must be 5s to 1h"),
        (DURATION, 3601, "is 1h1s; it must be 5s to 1h"),
        (DURATION, -1, "is -1; it must be 5s to 1h"),
        (DURATION, "250ms", "is 250ms; it must be 5s to 1h"),
        (DURATION, float("nan"), "is nan; it must be 5s to 1h"),
        (DURATION, float("inf"), "is inf; it must be 5s to 1h"),
        (DURATION, 10**400, "is a number of many digits; it must be 5s to 1h"),
        (DURATION, "30", 'is "30"; write a duration, as in 30 (seconds), "30s", "1h30m" or "250ms"'),
        (DURATION, True, 'is true; write a duration, as in 30 (seconds), "30s", "1h30m" or "250ms"'),
        (DURATION, [30], 'is a list; write a duration, as in 30 (seconds), "30s", "1h30m" or "250ms"'),
        (WHOLE, 0, "is 0; it must be 1 to 10"),
        (WHOLE, 11, "is 11; it must be 1 to 10"),
        pytest.param(WHOLE, 16**5000, "is a number of many digits; it must be 1 to 10", id="huge-number"),
        (WHOLE, 3.0, "is 3.0; write a whole number, as in 1"),
        (WHOLE, True, "is true; write a whole number, as in 1"),
        (WHOLE, "3", 'is "3"; write a whole number without quotes: 3'),
        (WHOLE, "three", 'is "three"; write a whole number, as in 1'),
        (SWITCH, "true", 'is "true"; write true, without quotes'),
        (SWITCH, "Off", 'is "Off"; write false, without quotes'),
        (SWITCH, 1, "is 1; write true, without quotes"),
        pytest.param(
            SWITCH, 16**5000, "is a number of many digits; write true or false, without quotes", id="huge-switch"
        ),
        (SWITCH, {}, "is a table; write true or false, without quotes"),
        (TEXT, 5, "is 5; write a text in quotes"),
        (TEXT, date(2026, 11, 23), "is a date or time; write a text in quotes"),
        (SEVERAL, 5, 'is 5; write a list of texts, as in ["one", "two"]'),
        (SEVERAL, ["one", 5], "is 5; write a text in quotes"),
    ],
)
def test_a_refused_value_is_shown_with_what_to_write(reader: ValueType, given_value: object, complaint: str) -> None:
    """The message contains the value and an example of a right one."""
    with pytest.raises(UnusableError) as caught:
        reader(given_value)

    assert str(caught.value) == complaint


def test_an_error_about_an_item_has_its_index() -> None:
    """The message then has the line of the item."""
    with pytest.raises(UnusableError) as caught:
        SEVERAL(["one", "two", 3])

    assert caught.value.item == 2


@pytest.mark.parametrize(
    ("reader", "text", "meant"),
    [
        (DURATION, "30", 30.0),
        (DURATION, " 0.5 ", 0.5),
        (DURATION, "1\x1f", 1.0),
        (DURATION, "30s", "30s"),
        (DURATION, "1e9", "1e9"),
        (WHOLE, "3", 3),
        (WHOLE, "\x1c3\n", 3),
        (WHOLE, "three", "three"),
        (WHOLE, "9" * 5000, "9" * 5000),
        (SWITCH, "YES", True),
        (SWITCH, "0", False),
        (SWITCH, "perhaps", "perhaps"),
        (TEXT, "text", "text"),
        (SEVERAL, "app-*, batch", ["app-*", "batch"]),
        (SEVERAL, "a,b c", ["a", "b", "c"]),
        (SEVERAL, " , ", []),
        (SEVERAL, "", []),
    ],
)
def test_text_of_the_environment_is_converted(reader: ValueType, text: str, meant: object) -> None:
    """The environment has no types. Numbers, switches and lists are read from text only there."""
    assert reader.from_text(text) == meant


@pytest.mark.parametrize(
    ("given_value", "text"),
    [
        ("a\nb\x1b[31m", '"a\\nb\\x1b[31m"'),
        ("\udcff", '"\\udcff"'),
        ("x" * 100, '"' + "x" * 60 + '…"'),
        ("http://user:hunter2@h/", "a text that is not shown, because it may contain a password"),
        ({}, "a table"),
        ([], "a list"),
        (False, "false"),
    ],
)
def test_a_value_is_shown_on_one_line_and_without_a_password(given_value: object, text: str) -> None:
    """Messages go to the journal: no line breaks, no control characters, no secrets."""
    assert shown(given_value) == text


@given(st.text())
def test_printable_text_is_on_one_line_and_can_be_encoded(text: str) -> None:
    """No character in the name of a file breaks a line or a terminal."""
    made = printable(text)

    assert made.isprintable()
    assert made.encode().decode() == made


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def assert_read_or_complained_of(name: str, value: object) -> None:
    """Assert that the reader of *name* returns its type, or complains on one line."""
    try:
        outcome = KEYS[name].read(value)
    except UnusableError as error:
        outcome = str(error)
        is_right = outcome.isprintable()
    else:
        is_right = type(outcome) is type(KEYS[name].default)

    assert is_right, outcome


@pytest.mark.parametrize("name", list(KEYS))
@given(value=JSON)
def test_any_value_is_accepted_in_the_right_type_or_refused(name: str, value: object) -> None:
    """`UnusableError` is the only exception."""
    assert_read_or_complained_of(name, value)


@pytest.mark.parametrize("name", list(KEYS))
@given(text=st.text())
def test_any_text_of_the_environment_is_accepted_or_refused(name: str, text: str) -> None:
    """The same for the environment."""
    assert_read_or_complained_of(name, KEYS[name].read.from_text(text))


@pytest.mark.parametrize("name", list(KEYS))
def test_every_default_is_a_valid_value(name: str) -> None:
    """The shipped file contains the defaults."""
    assert KEYS[name].read(KEYS[name].default) == KEYS[name].default


def test_every_value_type_belongs_to_a_setting() -> None:
    """A setting without a value type fails at import."""
    assert list(VALUE_TYPES) == list(KEYS)


# Durations.


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30.0),
        ("5m", 300.0),
        ("6h", 21600.0),
        ("1h30m", 5400.0),
        ("1h30m15s", 5415.0),
        ("1h 30m", 5400.0),
        (" 30s ", 30.0),
        ("250ms", 0.25),
        ("2.5s", 2.5),
        ("1s500ms", 1.5),
        ("0s", 0.0),
        ("1h250ms", 3600.25),
        ("90m", 5400.0),
        ("7d", 604800.0),
        ("1d 2h30m", 95400.0),
    ],
)
def test_a_duration_is_read_in_common_units(text: str, seconds: float) -> None:
    """Days to milliseconds, the larger unit first, with or without spaces between."""
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "30",
        "s",
        "-30s",
        "+30s",
        "30S",
        "5 m",
        "30m1h",
        "1h1d",
        "1h1h",
        "1e3s",
        ".5s",
        "1.s",
        "\N{ARABIC-INDIC DIGIT THREE}s",
        "30s;",
        "30s\n30s",
        "nan",
        "infs",
        "9" * 60 + "s",
    ],
)
def test_other_text_is_no_duration(text: str) -> None:
    """No sign, no bare number, no unit out of order, only ASCII digits."""
    assert parse_duration(text) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (0.25, "250ms"),
        (0.0005, "0.5ms"),
        (2.0, "2s"),
        (2.5, "2.5s"),
        (90.0, "1m30s"),
        (300.0, "5m"),
        (3600.0, "1h"),
        (5400.0, "1h30m"),
        (86400.0, "24h"),
        (3661.1, "1h1m1.1s"),
    ],
)
def test_seconds_are_written_in_common_units(seconds: float, text: str) -> None:
    """Without units that are zero, and without digits that floating point adds."""
    assert format_duration(seconds) == text


@given(st.floats(min_value=0, max_value=1e6, allow_nan=False).map(lambda seconds: round(seconds, 3)))
def test_a_formatted_duration_is_read_back(seconds: float) -> None:
    """`parse_duration` is the inverse of `format_duration`."""
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, abs=1e-6)


@given(st.text() | st.from_regex(r"[0-9.]*h?[0-9.]*m?[0-9. ]*(ms|s)?", fullmatch=True))
def test_any_text_is_a_duration_or_none(text: str) -> None:
    """No text raises an exception or gives a negative or infinite duration."""
    seconds: float | None = parse_duration(text)

    assert seconds is None or 0 <= seconds < float("inf")


# Addresses: where IMDS is, and where the HTTP endpoint listens.


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://169.254.169.254", "http://169.254.169.254"),
        ("http://169.254.169.254/", "http://169.254.169.254"),
        ("HTTP://LOCALHOST:1338", "http://localhost:1338"),
        ("http://127.0.0.1:1338/", "http://127.0.0.1:1338"),
        ("http://127.0.0.1:0080", "http://127.0.0.1:80"),
        ("http://[fd00:ec2::254]", "http://[fd00:ec2::254]"),
        ("http://[FD00:EC2::254]:80", "http://[fd00:ec2::254]:80"),
        ("http://[fe80::1%25eth0]", "http://[fe80::1%25eth0]"),
        ("http://imds.example.org:8080", "http://imds.example.org:8080"),
    ],
)
def test_an_endpoint_is_scheme_host_and_port(text: str, url: str) -> None:
    """In lower case and without a slash at the end."""
    assert endpoint(text) == url


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("169.254.169.254", 'is "169.254.169.254"; write a URL'),
        ("imds", 'is "imds"; write a URL'),
        ("file:///etc/passwd", "write a URL"),
        ("https://169.254.169.254", "IMDS speaks plain http"),
        ("http://169.254.169.254/latest", "more than scheme, host and port"),
        ("http://127.0.0.1?x=hunter2", "more than scheme, host and port"),
        ("http://127.0.0.1#x", "more than scheme, host and port"),
        ("http://127.0.0.1 ", "more than scheme, host and port"),
        ("http://127.0.0.1\r\nX: y", "more than scheme, host and port"),
        ("http://user:hunter2@127.0.0.1", "not shown"),
        ("http://hunter2@127.0.0.1/", "not shown"),
        ("user:hunter2@127.0.0.1", "not shown"),
        ("http://", "write http://HOST"),
        ("http:///", "write http://HOST"),
        ("http://::1", "an IPv6 address in brackets"),
        ("http://[::1", "an IPv6 address in brackets"),
        ("http://[1.2.3.4]", "neither an IP address nor a name"),
        ("http://[:::]", "neither an IP address nor a name"),
        ("http://127.1", "neither an IP address nor a name"),
        ("http://2852039166", "neither an IP address nor a name"),
        ("http://256.1.1.1", "neither an IP address nor a name"),
        ("http://a..b", "neither an IP address nor a name"),
        ("http://127.0.0.1:0", "the port 0"),
        ("http://127.0.0.1:65536", "the port 65536"),
        ("http://127.0.0.1:123456", "write http://HOST"),
        ("http://127.0.0.1:http", "write http://HOST"),
    ],
)
def test_other_text_is_no_endpoint(text: str, why: str) -> None:
    """The message has an example, and does not show what could be a password."""
    with pytest.raises(UnusableError, match=re.escape(why)) as caught:
        endpoint(text)

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "trusted"),
    [
        (IPV4, True),
        (IPV6, True),
        ("http://169.254.0.1:80", True),
        ("http://127.0.0.1:1338", True),
        ("http://127.9.9.9", True),
        ("http://[::1]:1338", True),
        ("http://[fe80::1%25eth0]", True),
        ("http://localhost", True),
        ("http://10.0.0.1", False),
        ("http://169.255.169.254", False),
        ("http://[fd00:ec3::254]", False),
        ("http://[::ffff:169.254.169.254]", False),
        ("http://0.0.0.0", False),
        ("http://localhost.example.org", False),
        ("http://imds.example.org", False),
    ],
)
def test_only_link_local_and_loopback_are_trusted(url: str, trusted: bool) -> None:  # noqa: FBT001 - a table's column
    """Rolewatch reads a secret there, which must not leave the host."""
    assert is_trusted(endpoint(url)) is trusted


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:10169", "127.0.0.1:10169"),
        ("127.0.0.1:0", "127.0.0.1:0"),
        ("[::1]:10169", "[::1]:10169"),
        ("[::]:10169", "[::]:10169"),
        ("[fe80::1%eth0]:10169", "[fe80::1%eth0]:10169"),
        ("localhost:10169", "localhost:10169"),
        ("*:10169", "*:10169"),
        (":10169", "*:10169"),
        ("0.0.0.0:65535", "0.0.0.0:65535"),
    ],
)
def test_an_address_to_listen_on_is_host_and_port(text: str, address: str) -> None:
    """An IP address, localhost, or all addresses; Prometheus's exporters write ``:10169`` for all."""
    assert listen(text) == address


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("10169", "write the host, too: 127.0.0.1:10169"),
        ("127.0.0.1", "write HOST:PORT"),
        ("127.0.0.1:", "write HOST:PORT"),
        ("127.0.0.1:65536", "a port up to 65535"),
        ("127.0.0.1:-1", "write HOST:PORT"),
        ("::1:10169", "an IPv6 address in brackets"),
        ("[::1]", "write HOST:PORT"),
        ("[localhost]:1", "write HOST:PORT"),
        ("http://127.0.0.1:10169", "not a URL"),
        ("metrics.example.org:10169", "whose host is no IP address"),
        ("256.0.0.1:10169", "whose host is no IP address"),
        ("", "write HOST:PORT"),
        ("/run/rolewatch.sock", "write HOST:PORT"),
    ],
)
def test_other_text_is_no_address_to_listen_on(text: str, why: str) -> None:
    """The message has an example."""
    with pytest.raises(UnusableError, match=re.escape(why)):
        listen(text)


@given(st.text(alphabet="htp:/[]@%?#.0123456789abfe*LOC \n\0é", max_size=40).map(lambda text: "http://" + text))
def test_any_text_is_an_endpoint_or_refused(text: str) -> None:
    """No text raises another exception, and the canonical form is accepted unchanged."""
    try:
        url = endpoint(text)
    except UnusableError:
        return

    assert endpoint(url) == url
    assert is_trusted(url) in (True, False)


@given(st.text())
def test_any_text_is_an_address_or_refused(text: str) -> None:
    """The same for addresses to listen on."""
    with suppress(UnusableError):
        assert listen(listen(text)) == listen(text)


# Names: patterns of roles and instance profiles, tag keys, hosts, paths.

ROLE = KEYS["expect.role"].read
PROFILE = KEYS["expect.instance_profile"].read
TAG = KEYS["expect.role_tag"].read
HOSTS = KEYS["metrics.allowed_hosts"].read
DIRECTORY = KEYS["state.directory"].read
TEXTFILE = KEYS["textfile.path"].read


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("app-prod", "app-prod"),
        ("App_Prod+=,.@-", "App_Prod+=,.@-"),
        ("app-*", "app-*"),
        ("*", "*"),
        ("app-?", "app-?"),
        ("app-[abc]", "app-[abc]"),
        ("app-[a-c]", "app-[a-c]"),
        ("app-[!0-9]", "app-[!0-9]"),
        ("app-[a-]", "app-[a-]"),
        ("arn:aws:iam::123456789012:role/app-prod", "app-prod"),
        ("arn:aws:iam::123456789012:role/team/web/app-prod", "app-prod"),
        ("arn:aws-cn:iam::123456789012:role/app-*", "app-*"),
        ("arn:aws:iam::*:role/app", "app"),
        ("x" * 64, "x" * 64),
        ("*" + "x" * 64 + "*", "*" + "x" * 64 + "*"),
        ("[abc]" + "x" * 63, "[abc]" + "x" * 63),
    ],
)
def test_a_pattern_of_role_names_is_accepted(text: str, pattern: str) -> None:
    """The characters that IAM allows, wildcards, and an ARN, which is cut to its name."""
    assert ROLE([text]) == (pattern,)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty text"),
        ("arn:aws:iam::123456789012:role/", "not the ARN of a role"),
        ("arn:aws:iam::123456789012:role/team/", "empty text"),
        ("arn:aws:iam::123456789012:instance-profile/app", "not the ARN of a role"),
        ("arn:aws:sts::123456789012:assumed-role/app/i-0123", "not the ARN of a role"),
        ("arn:", "not the ARN of a role"),
        ("team/app", "without its path"),
        ("app-*, batch", 'written as a list: ["one", "two"]'),
        ("app prod", "no name has a space"),
        ("app\n", "no name has a space"),
        ("app-[abc", "no set of characters"),
        ("app-]", "no set of characters"),
        ("app-[]", "no set of characters"),
        ("app-[^a]", "no set of characters"),
        ("app-[*]", "no set of characters"),
        ("app-[c-a]", "range c-a is empty"),
        ("app-[Z-_]", "range Z-_ is empty"),
        ("app/[z-a]", "without its path"),
        ("app:prod", "letters, digits"),
        ("rôle", "letters, digits"),
        ("x" * 65, "at most 64 characters"),
    ],
)
def test_a_pattern_that_matches_no_role_name_is_refused(text: str, why: str) -> None:
    """It would raise `role_mismatch` on the whole fleet."""
    with pytest.raises(UnusableError, match=re.escape(why)):
        ROLE([text])


def test_the_name_of_an_instance_profile_may_be_longer() -> None:
    """128 characters; the name of a role has 64 (IAM quotas)."""
    assert PROFILE(["x" * 128, "arn:aws:iam::123456789012:instance-profile/p"]) == ("x" * 128, "p")
    with pytest.raises(UnusableError, match="at most 128 characters"):
        PROFILE(["x" * 129])


@given(st.text(alphabet="aZ9_-!^[]*?=,.@+&|~", max_size=12))
def test_an_accepted_pattern_never_raises_in_the_classifier(text: str) -> None:
    """`fnmatch` before Python 3.9.13 raises `re.error` for an empty range. The classifier compares in lower case."""
    try:
        patterns = ROLE([text])
    except UnusableError:
        return

    assert isinstance(patterns, tuple)
    assert fnmatchcase("app", str(patterns[0]).lower()) in (True, False)


@pytest.mark.parametrize("text", ["Role", "team:role", "a+-=.,_:@9", "x" * 128, ""])
def test_a_tag_key_that_imds_can_serve_is_accepted(text: str) -> None:
    """The empty key means that no tag is read."""
    assert TAG(text) == text


@pytest.mark.parametrize("text", ["my role", "team/role", ".", "..", "_index", "x" * 129, "rôle", "a\n"])
def test_a_tag_key_that_imds_cannot_serve_is_refused(text: str) -> None:
    """IMDS would always answer 404, and the role would never be compared."""
    with pytest.raises(UnusableError, match="IMDS cannot serve"):
        TAG(text)


def test_a_choice_is_accepted_in_any_case() -> None:
    """Some people write `INFO`."""
    assert choice("info", "debug")("INFO") == "info"
    with pytest.raises(UnusableError, match='is "loud"; write info or debug'):
        choice("info", "debug")("loud")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("app-1.example.com", "app-1.example.com"),
        ("App-1.Example.com.", "app-1.example.com"),
        ("app_1", "app_1"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("*.EC2.internal", "*.ec2.internal"),
        ("*.internal", "*.internal"),
    ],
)
def test_an_allowed_host_is_a_name_or_a_domain(text: str, name: str) -> None:
    """In the form that is compared with the Host of a request."""
    assert HOSTS([text, text]) == (name,)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("10.0.0.1", "IP addresses are always allowed"),
        ("::1", "IP addresses are always allowed"),
        ("[::1]", "IP addresses are always allowed"),
        ("app-1.example.com:10169", "without scheme, port and path"),
        ("http://app-1.example.com", "without scheme, port and path"),
        ("app-1.example.com/", "without scheme, port and path"),
        ("bücher.example", "beginning with xn--"),
        ("*", r"as in \*\.example\.com"),
        ("app-*.example.com", r"as in \*\.example\.com"),
        ("*.*.example.com", r"as in \*\.example\.com"),
        ("*.", r"as in \*\.example\.com"),
        ("*.10.0.0.1", r"as in \*\.example\.com"),
        ("", "is no host name"),
        (".example.com", "is no host name"),
        ("a b", "is no host name"),
        ("localhost, evil", "is no host name"),
        ("a" * 64, "is no host name"),
    ],
)
def test_other_text_is_no_allowed_host(text: str, why: str) -> None:
    """It would match no request, and the page would answer 421."""
    with pytest.raises(UnusableError, match=why):
        HOSTS([text])


def test_a_directory_is_an_absolute_path() -> None:
    """A relative path would depend on the working directory of the daemon."""
    assert (DIRECTORY("/var/lib/rolewatch"), DIRECTORY("")) == ("/var/lib/rolewatch", "")
    for text in ("lib", "./lib", "~/lib", "/a\nb", "/a\0b"):
        with pytest.raises(UnusableError, match="write an absolute path"):
            DIRECTORY(text)


def test_a_text_file_is_one_that_node_exporter_reads() -> None:
    """node_exporter ignores other files without a message."""
    assert (TEXTFILE("/var/lib/node/rolewatch.prom"), TEXTFILE("")) == ("/var/lib/node/rolewatch.prom", "")
    for text in ("/var/lib/node", "/var/lib/node/", "/var/lib/rolewatch.prom.txt", "/var/lib/rolewatch.PROM"):
        with pytest.raises(UnusableError, match=r"files that end in \.prom only"):
            TEXTFILE(text)
    with pytest.raises(UnusableError, match="write an absolute path"):
        TEXTFILE("rolewatch.prom")
