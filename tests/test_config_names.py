"""Names: patterns of roles and instance profiles, tag keys, words, hosts, directories."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolewatch.config.keys import KEYS
from rolewatch.config.names import words
from rolewatch.config.types import UnusableError

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
    """What IAM allows in a name, wildcards, and an ARN, which is cut down to the name."""
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
def test_what_no_role_can_be_called_is_refused(text: str, why: str) -> None:
    """A pattern that can match nothing would raise `role_mismatch` on the whole fleet."""
    with pytest.raises(UnusableError, match=re.escape(why)):
        ROLE([text])


def test_the_name_of_an_instance_profile_may_be_longer() -> None:
    """128 characters, where a role has 64 (IAM quotas)."""
    assert PROFILE(["x" * 128, "arn:aws:iam::123456789012:instance-profile/p"]) == ("x" * 128, "p")
    with pytest.raises(UnusableError, match="at most 128 characters"):
        PROFILE(["x" * 129])


@given(st.text(alphabet="aZ9_-!^[]*?=,.@+&|~", max_size=12))
def test_an_accepted_pattern_never_stops_the_classifier(text: str) -> None:
    """On older Pythons `fnmatch` raises `re.error` for an empty range; the classifier lowers the case before."""
    try:
        patterns = ROLE([text])
    except UnusableError:
        return

    assert isinstance(patterns, tuple)
    assert fnmatchcase("app", str(patterns[0]).lower()) in (True, False)


@pytest.mark.parametrize("text", ["Role", "team:role", "a+-=.,_:@9", "x" * 128, ""])
def test_a_tag_key_that_imds_can_serve_is_accepted(text: str) -> None:
    """And the empty one, which means that no tag is looked at."""
    assert TAG(text) == text


@pytest.mark.parametrize("text", ["my role", "team/role", ".", "..", "_index", "x" * 129, "rôle", "a\n"])
def test_a_tag_key_that_imds_cannot_serve_is_refused(text: str) -> None:
    """It would be a 404 for ever, and the role would never be compared."""
    with pytest.raises(UnusableError, match="IMDS cannot serve"):
        TAG(text)


def test_one_word_of_a_few_is_taken_in_any_case() -> None:
    """`INFO` is what some people write."""
    assert words("info", "debug")("INFO") == "info"
    with pytest.raises(UnusableError, match='is "loud"; write info or debug'):
        words("info", "debug")("loud")


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
def test_a_host_is_a_name_or_a_domain(text: str, name: str) -> None:
    """In the form in which the Host of a request is compared."""
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
def test_what_is_no_host_name_is_refused(text: str, why: str) -> None:
    """It would match nothing, and nobody would know why the page answers 421."""
    with pytest.raises(UnusableError, match=why):
        HOSTS([text])


def test_a_directory_is_an_absolute_path() -> None:
    """A relative one would hang on where the daemon was started."""
    assert (DIRECTORY("/var/lib/rolewatch"), DIRECTORY("")) == ("/var/lib/rolewatch", "")
    for text in ("lib", "./lib", "~/lib", "/a\nb", "/a\0b"):
        with pytest.raises(UnusableError, match="write an absolute path"):
            DIRECTORY(text)


def test_a_text_file_is_one_that_node_exporter_reads() -> None:
    """It takes what ends in `.prom`, and passes over all else without a word."""
    assert (TEXTFILE("/var/lib/node/rolewatch.prom"), TEXTFILE("")) == ("/var/lib/node/rolewatch.prom", "")
    for text in ("/var/lib/node", "/var/lib/node/", "/var/lib/rolewatch.prom.txt", "/var/lib/rolewatch.PROM"):
        with pytest.raises(UnusableError, match=r"files that end in \.prom only"):
            TEXTFILE(text)
    with pytest.raises(UnusableError, match="write an absolute path"):
        TEXTFILE("rolewatch.prom")
