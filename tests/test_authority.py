"""Which host an authority names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolewatch.authority import host_of, is_ip, is_loopback, is_same_ip


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("web-1.example.com", "web-1.example.com"),
        ("web-1.example.com:10169", "web-1.example.com"),
        ("WEB-1.Example.COM.", "web-1.example.com"),
        ("localhost.:80", "localhost"),
        ("my_container:10169", "my_container"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1:", "127.0.0.1"),
        ("127.0.0.1.:80", "127.0.0.1"),
        ("[::1]", "::1"),
        ("[::1]:10169", "::1"),
        ("[FE80::1%eth0]:80", "fe80::1"),
        ("[fe80::1%25eth0]", "fe80::1"),
        ("[::ffff:127.0.0.1]", "::ffff:127.0.0.1"),
    ],
)
def test_a_host_is_named_in_one_form(authority: str, host: str) -> None:
    """Lower case; no port, brackets, zone or trailing dot."""
    assert host_of(authority) == host


@pytest.mark.parametrize(
    "authority",
    [
        "",
        ":80",
        ".",
        "a..b",
        "example.com..",
        "localhost@evil.example",
        "evil.example:80@localhost",
        "localhost, evil.example",
        "localhost evil.example",
        "localhost:80:80",
        "localhost:port",
        "localhost:-1",
        "localhost/",
        "localhost?",
        "localhost#",
        "http://localhost",
        "local%68ost",
        "bücher.example",
        "localhost\0",
        "lôcalhost",
        "::1",
        "[::1",
        "::1]",
        "[]",
        "[localhost]",
        "[127.0.0.1]",
        "[::1]evil.example",
        "[v1.fe80::a]",
        "a" * 64,
        "a." * 127 + "com",
    ],
)
def test_what_names_no_host_is_malformed(authority: str) -> None:
    """None, whatever host a lenient reader could see in it."""
    assert host_of(authority) is None


@pytest.mark.parametrize(
    ("host", "ip", "loopback"),
    [
        ("127.0.0.1", True, True),
        ("127.255.255.254", True, True),
        ("::1", True, True),
        ("0:0:0:0:0:0:0:1", True, True),
        ("10.0.0.1", True, False),
        ("0.0.0.0", True, False),  # noqa: S104 - not bound
        ("::", True, False),
        ("::ffff:127.0.0.1", True, False),
        ("fe80::1", True, False),
        ("localhost", False, False),
        ("127.1", False, False),
        ("2130706433", False, False),
        ("0x7f.0.0.1", False, False),
        ("127.0.0.1.evil.example", False, False),
        ("", False, False),
        ("\0", False, False),
        ("\u0661", False, False),
    ],
)
def test_an_ip_address_is_told_from_a_name(host: str, ip: bool, loopback: bool) -> None:  # noqa: FBT001 - parameters of the test
    """Only the usual form counts: browsers write every other form of an address so."""
    assert (is_ip(host), is_loopback(host)) == (ip, loopback)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("fd00:ec2::254", "fd00:ec2:0::254", True),
        ("fd00:ec2::254", "FD00:0EC2::0.0.2.84", True),
        ("fd00:ec2::254", "fd00:ec2::253", False),
        ("fe80::1%eth0", "fe80::1", True),
        ("fe80::1", "fe80::1%eth0", True),
        ("fe80::1%eth0", "fe80::1%eth1", True),
        ("192.0.2.1", "::ffff:192.0.2.1", False),
        ("evil.example", "evil.example", False),
        ("", "", False),
    ],
)
def test_one_address_has_many_forms(one: str, other: str, same: bool) -> None:  # noqa: FBT001 - parameters of the test
    """Whichever way it is written; a zone says how to get there, and is nothing of the address."""
    assert (is_same_ip(one, other), is_same_ip(other, one)) == (same, same)


@given(st.text(alphabet="aA.-_1:[]%@, \0é", max_size=20))
def test_no_text_raises_and_a_host_names_itself(text: str) -> None:
    """What comes out, read again, is the same host."""
    host: str | None = host_of(text)
    if host is not None:
        assert host_of(f"[{host}]" if ":" in host else host) == host
