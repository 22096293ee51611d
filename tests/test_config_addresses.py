"""Addresses: where IMDS is asked, and where the HTTP endpoint listens."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolewatch.config.addresses import IPV4, IPV6, endpoint, is_trusted, listen
from rolewatch.config.types import UnusableError


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
    """In one form, whatever the case and the slash at the end."""
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
        ("http://user:hunter2@127.0.0.1", "not shown here"),
        ("http://hunter2@127.0.0.1/", "not shown here"),
        ("user:hunter2@127.0.0.1", "not shown here"),
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
def test_what_is_no_endpoint_is_refused(text: str, why: str) -> None:
    """With what to write instead; and nothing is shown that could be a password."""
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
    """What is read at an endpoint is a secret, so it must not leave the host."""
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
    """An IP address, localhost or everything; ``:10169`` is how Prometheus's exporters say everything."""
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
        ("[localhost]:1", "whose host is no IP address"),
        ("http://127.0.0.1:10169", "not a URL"),
        ("metrics.example.org:10169", "whose host is no IP address"),
        ("256.0.0.1:10169", "whose host is no IP address"),
        ("", "write HOST:PORT"),
        ("/run/rolewatch.sock", "write HOST:PORT"),
    ],
)
def test_what_is_no_address_to_listen_on_is_refused(text: str, why: str) -> None:
    """With what to write instead."""
    with pytest.raises(UnusableError, match=re.escape(why)):
        listen(text)


@given(st.text(alphabet="htp:/[]@%?#.0123456789abfe*LOC \n\0é", max_size=40).map(lambda text: "http://" + text))
def test_any_text_is_an_endpoint_or_refused(text: str) -> None:
    """No text raises another exception, and an accepted one is accepted again, as it is."""
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
