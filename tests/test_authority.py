"""Hosts and ports in authorities and addresses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolewatch.authority import host_of, is_ip, is_loopback, is_same_ip, join_address, split_address


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
def test_a_host_has_one_form(authority: str, host: str) -> None:
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
def test_a_malformed_authority_has_no_host(authority: str) -> None:
    """A lenient parser could find a host in some of them."""
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
def test_an_ip_address_differs_from_a_name(host: str, ip: bool, loopback: bool) -> None:  # noqa: FBT001 - parameters of the test
    """Only the usual notation counts: browsers convert every other one to it."""
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
    """The notation and the zone are ignored."""
    assert (is_same_ip(one, other), is_same_ip(other, one)) == (same, same)


@given(st.text(alphabet="aA.-_1:[]%@, \0é", max_size=20))
def test_any_text_has_a_host_or_none_and_a_host_is_its_own_host(text: str) -> None:
    """Parsing the result again returns the same host."""
    host: str | None = host_of(text)
    if host is not None:
        assert host_of(f"[{host}]" if ":" in host else host) == host


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:10169", "127.0.0.1", 10169),
        ("*:0", "*", 0),
        ("[::1]:65535", "::1", 65535),
        ("[fe80::1%eth0]:80", "fe80::1%eth0", 80),
    ],
)
def test_an_address_is_host_and_port_and_back(text: str, host: str, port: int) -> None:
    """Only an IPv6 address is in brackets."""
    assert split_address(text) == (host, port)
    assert join_address(host, port) == text


@pytest.mark.parametrize(
    "text",
    ["", ":80", "host", "host:", "host:65536", "host:-1", "host: 1", "host:٣", "::1:80", "[::1]", "[host]:80", "[]:1"],
)
def test_a_malformed_address_is_none(text: str) -> None:
    """No part of it is returned."""
    assert split_address(text) is None
