"""Host names that the page and the status are served for, over real sockets, and this host's own names."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from publish.raw import Answer, answer, exchange
from publish.snapshots import OK, STATUS, report
from rolewatch.http import MAX_HOSTS, Endpoint, own_names
from rolewatch.publish.metrics import Metrics

GUARDED = ("/", "/status.json")
OPEN = ("/metrics", "/-/healthy", "/-/ready")
ALLOWED = ("app-1.example.com", "*.fleet.example", "xn--bcher-kva.example")


@contextlib.contextmanager
def endpoint(allowed: Sequence[str] = ALLOWED) -> Iterator[Endpoint]:
    """Run an endpoint that has one report."""
    metrics = Metrics(version="1.2.3", health=lambda: STATUS)
    made = Endpoint(metrics, version="1.2.3", addresses=("127.0.0.1:0",), uptime=lambda: 0.0, allowed_hosts=allowed)
    made.start()
    try:
        for each in (metrics, made):
            each.publish(report(OK))
        yield made
    finally:
        made.stop()


def send(asked: Endpoint, *lines: str) -> Answer:
    """Send a request of *lines*, exactly as they are."""
    return answer(exchange(asked.addresses[0], ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")))


@pytest.fixture(scope="module")
def running() -> Iterator[Endpoint]:
    """Return an endpoint for all tests of this page that change nothing."""
    with endpoint() as made:
        yield made


KNOWN = (
    "127.0.0.1:10169",
    "10.0.0.1",
    "192.0.2.7:80",
    "0.0.0.0",  # noqa: S104 - not bound
    "[::1]:10169",
    "[fe80::1%25eth0]",
    "[fe80::1%eth0]:10169",
    "localhost",
    "LocalHost:8080",
    "localhost.:8080",
    socket.gethostname(),
    f"{socket.gethostname().upper()}:10169",
    socket.gethostname().partition(".")[0],
    "app-1.example.com:10169",
    "APP-1.example.com.",
    "i-0abc.fleet.example",
    "i-0abc.eu-west-1.fleet.example:443",
    "xn--bcher-kva.example",
)
UNKNOWN = (
    "evil.example",
    "evil.example:10169",
    "EVIL.EXAMPLE.",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "evil.localhost",
    "app-1.example.com.evil.example",
    "app-2.example.com",
    "example.com",
    "fleet.example",
    "evilfleet.example",
    "xn--fleet-example.example",
    "127.1",
    "2130706433",
    "0x7f000001",
    f"{socket.gethostname()}.evil.example",
    f"evil.{socket.gethostname()}",
)
MALFORMED = (
    "",
    " ",
    ":10169",
    "localhost@evil.example",
    "evil.example@localhost",
    "http://localhost",
    "localhost/",
    "localhost evil.example",
    "localhost, evil.example",
    "b\xfccher.example",
    "local%68ost",
    "[::1",
    "[localhost]",
    "::1",
    "localhost:80:80",
)


@pytest.mark.parametrize("path", [*GUARDED, "/?refresh=off"])
@pytest.mark.parametrize("host", KNOWN)
def test_a_name_of_this_host_is_answered(running: Endpoint, path: str, host: str) -> None:
    """IP addresses, localhost, the host's own names and those of `allowed_hosts`, however they are written."""
    assert send(running, f"GET {path} HTTP/1.1", f"Host: {host}").status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", [*GUARDED, "/?refresh=off"])
@pytest.mark.parametrize("host", UNKNOWN)
def test_another_name_is_misdirected(running: Endpoint, method: str, path: str, host: str) -> None:
    """421 with one sentence that names the setting, and without data of IMDS."""
    response = send(running, f"{method} {path} HTTP/1.1", f"Host: {host}")

    assert response.status == 421
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    if method == "GET":
        name = host.lower().partition(":")[0].rstrip(".")
        assert response.body.decode() == (
            f"{name} is not known as a name of this host: use an IP address or localhost, or add the name to "
            "allowed_hosts in [metrics] of rolewatch.toml.\n"
        )


@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.parametrize("host", MALFORMED)
def test_a_malformed_host_is_a_bad_request(running: Endpoint, path: str, host: str) -> None:
    """400 (RFC 9112, 3.2). No part of it is used as the host."""
    response = send(running, f"GET {path} HTTP/1.1", f"Host: {host}")

    assert (response.status, response.body) == (
        400,
        b"The request must name one host: send one Host header, HOST or HOST:PORT.\n",
    )


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([], id="none"),
        pytest.param(["Host: localhost", "Host: evil.example"], id="two"),
        pytest.param(["Host: evil.example", "Host: localhost"], id="two, in the other order"),
        pytest.param(["Host: localhost", "Host: localhost"], id="the same twice"),
    ],
)
def test_a_request_with_no_host_or_several_is_refused(
    running: Endpoint, version: str, path: str, lines: list[str]
) -> None:
    """400 in either version of HTTP: every browser sends one Host."""
    assert send(running, f"GET {path} HTTP/{version}", *lines).status == 400


@pytest.mark.parametrize("path", OPEN)
@pytest.mark.parametrize("host", [*KNOWN, *UNKNOWN, *MALFORMED])
def test_scrapers_and_probes_may_use_any_name(running: Endpoint, path: str, host: str) -> None:
    """No scrape breaks, whatever service discovery, proxy or load balancer calls this host."""
    assert send(running, f"GET {path} HTTP/1.1", f"Host: {host}").status == 200
    assert send(running, f"GET {path} HTTP/1.0").status == 200


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        ("http://evil.example/status.json", "localhost", 421),
        ("HTTP://evil.example:10169/status.json", "localhost", 421),
        ("https://evil.example/status.json", "localhost", 421),
        ("http://evil.example?", "localhost", 421),
        ("http://localhost@evil.example/status.json", "localhost", 400),
        ("http:///status.json", "localhost", 400),
        ("http://localhost/status.json", "evil.example", 200),
        ("http://127.0.0.1:10169/status.json?x=http://evil.example/", "evil.example", 200),
        ("/status.json?http://localhost/", "evil.example", 421),
        ("//localhost/status.json", "evil.example", 404),
        ("http://evil.example/metrics", "localhost", 200),
    ],
)
def test_the_host_of_a_url_comes_before_the_header(running: Endpoint, target: str, host: str, status: int) -> None:
    """A target that is a whole URL, as proxies send it, has the host (RFC 9112, 3.2.2)."""
    assert send(running, f"GET {target} HTTP/1.1", f"Host: {host}").status == status


@pytest.mark.parametrize("name", ["X-Forwarded-Host", "Forwarded", "X-Host", "X-Original-Host"])
def test_forwarding_headers_are_ignored(running: Endpoint, name: str) -> None:
    """Any client can send them."""
    said = "host=localhost" if name == "Forwarded" else "localhost"

    assert send(running, "GET / HTTP/1.1", "Host: evil.example", f"{name}: {said}").status == 421
    assert send(running, "GET / HTTP/1.1", "Host: localhost", f"{name}: evil.example").status == 200


def test_without_the_setting_a_name_of_the_host_is_enough() -> None:
    """The default allows no other names."""
    hosts = ("app-1.example.com", "i-0abc.fleet.example")
    with endpoint(()) as made:
        statuses = [send(made, "GET / HTTP/1.1", f"Host: {host}").status for host in ("localhost", *hosts)]

    assert statuses == [200, 421, 421]


def test_the_allowed_names_can_be_replaced_while_it_runs() -> None:
    """A reload does that."""
    with endpoint(("old.example",)) as made:
        before = [send(made, "GET / HTTP/1.1", f"Host: {each}.example").status for each in ("old", "new")]
        made.allow(("new.example",))
        after = [send(made, "GET / HTTP/1.1", f"Host: {each}.example").status for each in ("old", "new")]

    assert (before, after) == ([200, 421], [421, 200])


HOSTNAME = socket.gethostname().lower()
LARGE = b"127.0.0.1 x\n" * MAX_HOSTS + f"127.0.1.1 late.example {HOSTNAME}\n".encode()


def test_the_hosts_file_adds_the_fully_qualified_name(tmp_path: Path) -> None:
    """Names on a line with the host name are of this host. Case, tabs, comments and other lines are ignored."""
    hosts = tmp_path / "hosts"
    hosts.write_text(
        "127.0.0.1\tlocalhost blocked.example\n"
        f"127.0.1.1\t{HOSTNAME}.Fleet.Example. {HOSTNAME.upper()} alias # not-this.example\n"
        f"# 127.0.1.1 commented.example {HOSTNAME}\n"
        f"10.0.0.9 other.example x{HOSTNAME}\n"
        "0.0.0.0 ads.example\n\n"
    )

    short = HOSTNAME.partition(".")[0]
    assert own_names(hosts) == {HOSTNAME, short, f"{HOSTNAME}.fleet.example", "alias"}


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe\0", LARGE])
def test_an_unusable_hosts_file_adds_no_name(tmp_path: Path, content: object) -> None:
    """Missing, empty, not text, or larger than what is read."""
    hosts = tmp_path / "hosts"
    if isinstance(content, bytes):
        hosts.write_bytes(content)

    assert own_names(hosts) == {HOSTNAME, HOSTNAME.partition(".")[0]}


def test_curl_reaches_the_page_by_its_usual_names(running: Endpoint) -> None:
    """A tunnel to another port of localhost, and a proxy's Host of its upstream, are such names."""
    port = running.addresses[0].rpartition(":")[2]
    for url, options in (
        (f"http://localhost:{port}/", ["--ipv4"]),
        (f"http://127.0.0.1:{port}/status.json", []),
        ("http://localhost:8080/", ["--connect-to", f"::127.0.0.1:{port}"]),
        ("http://app-1.example.com/", ["--connect-to", f"::127.0.0.1:{port}"]),
    ):
        command = ["curl", "--silent", "--noproxy", "*", "--output", "/dev/null", "--write-out", "%{http_code}"]
        done = subprocess.run([*command, *options, url], capture_output=True, text=True, check=True)
        assert done.stdout == "200", url
