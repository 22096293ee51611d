"""The server with TLS, against clients that are good, wrong, half-open, old, or no clients of TLS at all."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from certificates import Authority, Pair
from promises import Area, promise
from publish.raw import PATIENCE, answer, dial, endpoint, exchange, hung_up, idle, read_all
from publish.serving import serving
from rolewatch.http import tls
from rolewatch.http.request import Request, Response
from rolewatch.http.server import MAX_CONNECTIONS, MAX_HEAD, Server

PAGE = b"x" * 30_000
GET = b"GET /there HTTP/1.1\r\nHost: x\r\n\r\n"
needs_curl = pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return the CA of servers and scrapers."""
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def server_pair(authority: Authority) -> Pair:
    """Return what the server shows."""
    return authority.issue()


@pytest.fixture(scope="module")
def scraper(authority: Authority) -> Pair:
    """Return what a scraper shows."""
    return authority.issue("prometheus")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """Return what a scraper of another CA shows."""
    return Authority(tmp_path_factory.mktemp("other"), "other").issue("prometheus")


def page(_: Request) -> Response:
    """Answer with `PAGE`."""
    return Response(200, PAGE)


@pytest.fixture
def secured(authority: Authority, server_pair: Pair) -> Iterator[Server]:
    """Return a server with TLS."""
    with serving(page, tls=tls.make_context(authority.settings(server_pair))) as server:
        yield server


@pytest.fixture
def mutual(authority: Authority, server_pair: Pair) -> Iterator[Server]:
    """Return a server that asks for certificates, too."""
    with serving(page, tls=tls.make_context(authority.settings(server_pair, client_ca=authority.own.cert))) as server:
        yield server


def fetch(server: Server, context: ssl.SSLContext) -> http.client.HTTPResponse:
    """Ask as a scraper does, and read the page."""
    host, port = endpoint(server.addresses[0])
    connection = http.client.HTTPSConnection(host, port, context=context, timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.request("GET", "/metrics")
        response = connection.getresponse()
        assert response.read() in (PAGE, b"")
        return response


@contextlib.contextmanager
def talking(server: Server, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    """Open a connection with a complete handshake, which raises if the server closes it without close_notify."""
    with dial(server.addresses[0]) as raw:
        client = context.wrap_socket(raw, server_hostname="localhost", suppress_ragged_eofs=False)
        with client:
            yield client


def curl(server: Server, *words: object) -> subprocess.CompletedProcess[str]:
    """Ask with curl."""
    url = f"https://{server.addresses[0]}/metrics"
    command = ["curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", "10", *map(str, words), url]
    return subprocess.run(command, check=False, capture_output=True, text=True)


# -- good clients ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_a_scraper_gets_its_page(secured: Server, authority: Authority, version: str) -> None:
    """Whole, with either version."""
    context = authority.trusting()
    context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version)

    assert fetch(secured, context).status == 200


@needs_curl
def test_curl_gets_the_page_with_the_certificate_of_its_ca(mutual: Server, authority: Authority, scraper: Pair) -> None:
    """Both sides present a certificate."""
    got = curl(mutual, "--cacert", authority.own.cert, "--cert", scraper.cert, "--key", scraper.key)

    assert (got.returncode, got.stdout, got.stderr) == (0, PAGE.decode(), "")


def test_a_request_may_come_byte_by_byte(secured: Server, authority: Authority) -> None:
    """However TCP cuts the records: of the handshake, and of the request."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = authority.trusting().wrap_bio(incoming, outgoing, server_hostname="localhost")
    received: list[bytes] = []

    def talk() -> None:
        client.do_handshake()
        if not received:
            client.write(GET)
            received.append(b"")
        received.append(client.read(1 << 16))

    with dial(secured.addresses[0]) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while len(b"".join(received)) < len(PAGE):
            with contextlib.suppress(ssl.SSLWantReadError):
                talk()
                continue
            for byte in outgoing.read():
                connection.sendall(bytes([byte]))
            incoming.write(connection.recv(1))

    assert received[1].startswith(b"HTTP/1.1 200 OK\r\n")


def test_the_response_ends_with_close_notify(secured: Server, authority: Authority) -> None:
    """RFC 8446, 6.1: without a close_notify a client cannot distinguish the end from an attack."""
    with talking(secured, authority.trusting()) as client:
        client.sendall(GET)

        assert answer(read_all(client)).body == PAGE


def test_a_giant_head_is_refused_within_tls_too(secured: Server, authority: Authority) -> None:
    """And the client can read why."""
    with talking(secured, authority.trusting()) as client:
        client.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 2 * MAX_HEAD)

        assert answer(read_all(client)).status == 431


def test_sockets_that_systemd_hands_in_speak_it_too(authority: Authority, server_pair: Pair) -> None:
    """The sockets of the unit have no TLS."""
    context = tls.make_context(authority.settings(server_pair))
    own = socket.create_server(("127.0.0.1", 0))
    with own, serving(page, tls=context, addresses=("nonsense",), sockets=(own,)) as server:
        assert fetch(server, authority.trusting()).status == 200


@promise(Area.SCRAPERS, "TLS: handshake after handshake", "no session is kept in memory")
def test_no_session_is_remembered(authority: Authority, server_pair: Pair) -> None:
    """OpenSSL would keep 20,480 of TLS 1.2 in memory, and would resume a session without verifying the client again."""
    context = tls.make_context(authority.settings(server_pair))
    assert context
    with serving(page, tls=context) as server:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            client = authority.trusting()
            client.maximum_version = version
            for _ in range(5):
                fetch(server, client)
        server.stop()

    assert context.session_stats()["accept_good"] == 10
    assert (context.session_stats()["number"], context.session_stats()["hits"]) == (0, 0)


# -- clients that are turned away --------------------------------------------------------------------------------------


@needs_curl
def test_curl_without_a_certificate_gets_an_alert(mutual: Server, authority: Authority) -> None:
    """It gets a TLS alert, and no page."""
    got = curl(mutual, "--cacert", authority.own.cert)

    assert got.returncode != 0
    assert got.stdout == ""
    assert "certificate required" in got.stderr


@needs_curl
def test_curl_with_the_certificate_of_another_ca_gets_an_alert(
    mutual: Server, authority: Authority, stranger: Pair
) -> None:
    """Likewise."""
    got = curl(mutual, "--cacert", authority.own.cert, "--cert", stranger.cert, "--key", stranger.key)

    assert got.returncode != 0
    assert got.stdout == ""
    assert "unknown ca" in got.stderr


@needs_curl
def test_curl_that_does_not_trust_the_certificate_sees_that(secured: Server, stranger: Pair) -> None:
    """The other way round."""
    got = curl(secured, "--cacert", stranger.cert)

    assert (got.returncode, got.stdout) == (60, "")


@pytest.mark.parametrize(
    ("least", "offered"),
    [("tls12", "-tls1_1"), ("tls13", "-tls1_2")],
    ids=["TLS 1.1", "TLS 1.2 where 1.3 is asked for"],
)
def test_an_old_version_of_tls_gets_an_alert(authority: Authority, server_pair: Pair, least: str, offered: str) -> None:
    """`openssl s_client` shows the alert."""
    context = tls.make_context(authority.settings(server_pair, min_version=least))
    with serving(page, tls=context) as server:
        got = subprocess.run(
            ["openssl", "s_client", "-connect", server.addresses[0], offered, "-cipher", "DEFAULT@SECLEVEL=0"],
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )

    assert got.returncode != 0
    assert "alert protocol version" in got.stderr


def test_a_request_in_plain_http_gets_400(secured: Server) -> None:
    """As where `scheme: https` was forgotten: Prometheus shows the status."""
    received = answer(exchange(secured.addresses[0], GET))

    assert (received.status, received.body) == (400, b"This port speaks TLS: use https:// instead of http://.\n")


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00",
        b"\r\n\r\n",
        b"\x16\x03\x01\x00\x05hello",
        b"\x16\x03\x01\xff\xff" + b"x" * 70_000,
        b"\xff" + os.urandom(5000),
    ],
    ids=["NUL", "lines", "no handshake", "a record too long", "random"],
)
def test_garbage_ends_the_connection(authority: Authority, server_pair: Pair, sent: bytes) -> None:
    """At once, or at the deadline where it might become a handshake; others are served meanwhile."""
    context = tls.make_context(authority.settings(server_pair))
    with serving(page, tls=context, deadline=3) as server, dial(server.addresses[0]) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(sent)

        assert fetch(server, authority.trusting()).status == 200
        assert hung_up([connection]) == 1


def test_a_client_cannot_ask_for_another_handshake(secured: Server, authority: Authority) -> None:
    """In TLS 1.2 each costs the server more than the client."""
    command = ["openssl", "s_client", "-connect", secured.addresses[0], "-tls1_2", "-CAfile", str(authority.own.cert)]
    got = subprocess.run(command, input="R\n", check=False, capture_output=True, text=True, timeout=PATIENCE)

    assert "no renegotiation" in got.stderr


# -- time and numbers --------------------------------------------------------------------------------------------------


def hello() -> bytes:
    """Return the first message of a client."""
    outgoing = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("sent", [b"", hello()[:100], hello()], ids=["nothing", "half a hello", "a hello"])
def test_a_handshake_that_is_never_finished_ends_at_the_deadline(
    authority: Authority, server_pair: Pair, sent: bytes
) -> None:
    """It is a part of the request's time."""
    context = tls.make_context(authority.settings(server_pair))
    with serving(page, tls=context, deadline=0.3) as server, dial(server.addresses[0]) as connection:
        connection.sendall(sent)
        began = time.monotonic()

        assert hung_up([connection]) == 1
        assert time.monotonic() - began < 5


@promise(
    Area.SCRAPERS,
    "TLS: half-open handshakes, more than there is room for",
    "the oldest are closed, and a scraper is served",
)
def test_half_open_handshakes_count_as_connections(authority: Authority, server_pair: Pair) -> None:
    """More than there is room for, each having been answered: the oldest are closed, and a scraper is served."""
    context = tls.make_context(authority.settings(server_pair))
    serve = serving(page, tls=context, deadline=10 * PATIENCE)
    with serve as server, idle(server.addresses[0], 2 * MAX_CONNECTIONS) as connections:
        said = hello()
        for each in connections:
            with contextlib.suppress(OSError):
                each.sendall(said)
        assert fetch(server, authority.trusting()).status == 200

        assert hung_up(connections, least=MAX_CONNECTIONS) >= MAX_CONNECTIONS


# -- another context ---------------------------------------------------------------------------------------------------


def test_a_new_certificate_is_for_new_connections_and_closes_none(
    secured: Server, authority: Authority, server_pair: Pair
) -> None:
    """A request that was begun before is answered after."""
    other = authority.issue()

    def shown(client: ssl.SSLSocket) -> bytes | None:
        return client.getpeercert(binary_form=True)

    with talking(secured, authority.trusting()) as old:
        old.sendall(GET[:10])
        secured.tls = tls.make_context(authority.settings(other))
        with talking(secured, authority.trusting()) as new:
            certificates = [shown(old), shown(new)]
        old.sendall(GET[10:])

        assert answer(read_all(old)).status == 200
    assert certificates == [ssl.PEM_cert_to_DER_cert(_first(each.cert)) for each in (server_pair, other)]


def _first(path: Path) -> str:
    return path.read_text()[path.read_text().index("-----BEGIN CERT") :]


def test_another_client_ca_counts_from_now_on(
    mutual: Server, authority: Authority, server_pair: Pair, scraper: Pair, stranger: Pair
) -> None:
    """A client that was accepted is rejected, and the reverse."""
    assert fetch(mutual, authority.trusting(scraper)).status == 200
    other = stranger.cert.parent / "other.crt"
    mutual.tls = tls.make_context(authority.settings(server_pair, client_ca=other))

    assert fetch(mutual, authority.trusting(stranger)).status == 200
    with pytest.raises(ssl.SSLError, match="UNKNOWN_CA"):
        fetch(mutual, authority.trusting(scraper))
