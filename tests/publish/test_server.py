"""The server against peers that are slow, broken, greedy or many. Real sockets, on loopback."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.floods import RESET
from promises import Area, promise
from publish.raw import OTHER_HOST, PATIENCE, answer, ask, dial, endpoint, exchange, hung_up, idle, read_all, reset
from publish.serving import echo, serving
from rolewatch.errors import UnavailableError, UsageError
from rolewatch.http.request import Request, Response
from rolewatch.http.server import MAX_CONNECTIONS, MAX_HEAD, Server
from stalls import longest_stall

GET = b"GET /there HTTP/1.1\r\nHost: x\r\n\r\n"
LOOPBACK = ("127.0.0.1:0",)


@pytest.fixture
def address() -> Iterator[str]:
    """Return the address of a server that echoes."""
    with serving() as server:
        yield server.addresses[0]


# -- requests ----------------------------------------------------------------------------------------------------------


def test_a_get_is_answered_and_the_connection_closed(address: str) -> None:
    """One request per connection: a scraper that connects every minute leaves none open."""
    response = ask(address, "/there?a=1&b=2")

    assert response.status == 200
    assert response.body == b"('GET', '/there', 'a=1&b=2')"
    assert response.headers["Connection"] == "close"
    assert response.headers["Content-Length"] == str(len(response.body))


def test_a_url_within_the_target_stays_as_it_was_sent(address: str) -> None:
    """Only a target that is a URL itself, as a proxy would ask, is cut down to its path."""
    assert ask(address, "/there?next=http://host/x").body == b"('GET', '/there', 'next=http://host/x')"
    assert ask(address, "/http://host/x").body == b"('GET', '/http://host/x', '')"


def test_a_head_gets_the_head_of_the_get(address: str) -> None:
    """The same fields, the length included, and no body."""
    got, headed = ask(address, "/there"), ask(address, "/there", "HEAD")

    assert headed.body == b""
    assert headed.headers == {**got.headers, "Content-Length": str(len(b"('HEAD', '/there', '')"))}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH", "get", "BREW"])
def test_other_methods_are_refused_with_what_is_allowed(address: str, method: str) -> None:
    """The endpoint has nothing to change."""
    response = ask(address, "/there", method)

    assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")


def test_the_answer_arrives_although_a_body_was_sent(address: str) -> None:
    """A socket closed with bytes unread is reset, and the peer would see no answer at all."""
    body = b"x" * 100_000
    response = answer(exchange(address, b"POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + body))

    assert response.status == 405


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"GET /metrics\r\n", 400, id="HTTP/0.9"),
        pytest.param(b"GET /metrics\r\n\r\n", 400, id="HTTP/0.9 and an empty line"),
        pytest.param(b"GET  / HTTP/1.1\r\n\r\n", 400, id="two spaces"),
        pytest.param(b"GET / HTTP/1.1 \r\n\r\n", 400, id="a space too many"),
        pytest.param(b"GET /a b HTTP/1.1\r\n\r\n", 400, id="a space in the path"),
        pytest.param(b"GET /\xff HTTP/1.1\r\n\r\n", 400, id="a path that is not ASCII"),
        pytest.param(b"GET /\x00 HTTP/1.1\r\n\r\n", 400, id="a NUL in the path"),
        pytest.param(b"GET / HTTP/x\r\n\r\n", 400, id="no version"),
        pytest.param(b"GET / ICY/1.1\r\n\r\n", 400, id="another protocol"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, id="HTTP/2"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, id="TLS"),
        pytest.param(b"\r\n\r\n", 400, id="empty lines"),
        pytest.param(b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400, id="a header without a colon"),
        pytest.param(b"GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n", 400, id="a folded header"),
        pytest.param(b"GET / HTTP/1.1\r\nA b: c\r\n\r\n", 400, id="a space in a header's name"),
        pytest.param(b"GET / HTTP/1.1\r\n: b\r\n\r\n", 400, id="a header without a name"),
        pytest.param(b"GET / HTTP/1.1\r\nA: b\x00\r\n\r\n", 400, id="a NUL in a header"),
        pytest.param(b"GET / HTTP/1.1\r\nA: b\rC: d\r\n\r\n", 400, id="a lone carriage return"),
    ],
)
def test_what_is_not_http_is_refused_at_once(address: str, sent: bytes, status: int) -> None:
    """The response has the reason, and no client waits for a timeout."""
    began = time.monotonic()
    response = answer(exchange(address, sent))

    assert response.status == status
    assert response.body.endswith((b".\n", b"?\n"))
    assert time.monotonic() - began < 4


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"GET /there HTTP/1.0\r\n\r\n", id="HTTP/1.0"),
        pytest.param(b"GET /there HTTP/1.1\n\n", id="bare line feeds"),
        pytest.param(b"GET http://host:1/there HTTP/1.1\r\n\r\n", id="as a proxy would ask"),
        pytest.param(b"GET /there HTTP/1.1\r\nA:b\r\nA: \t c \t\r\nX:\r\nY: \xe9\r\n\r\n", id="odd headers"),
    ],
)
def test_unusual_requests_are_answered(address: str, sent: bytes) -> None:
    """Lenient where that is harmless: `printf | nc` is a scraper, too."""
    assert answer(exchange(address, sent)).body == b"('GET', '/there', '')"


def test_headers_are_found_by_their_names_in_lower_case() -> None:
    """Repeated ones are joined (RFC 9110)."""
    seen: list[Request] = []

    def keep(request: Request) -> Response:
        seen.append(request)
        return Response(200, b"")

    with serving(keep) as server:
        exchange(server.addresses[0], b"GET / HTTP/1.1\r\nAccept: a;q=1\r\nACCEPT:b\r\nX-Empty: \r\n\r\n")

    assert seen[0].headers == {"accept": "a;q=1, b", "x-empty": ""}


def test_a_request_may_come_byte_by_byte(address: str) -> None:
    """However TCP cuts it."""
    assert answer(exchange(address, *(bytes([byte]) for byte in GET))).status == 200


def test_a_peer_may_close_its_side_after_the_request(address: str) -> None:
    """`nc -N` shuts its side down right after the request."""
    with dial(address) as connection:
        connection.sendall(GET)
        connection.shutdown(socket.SHUT_WR)

        assert answer(read_all(connection)).status == 200


def test_of_several_requests_the_first_is_answered(address: str) -> None:
    """There is no pipelining: the response has `Connection: close`."""
    response = exchange(address, GET.replace(b"/there", b"/first") + GET * 50)

    assert response.count(b"HTTP/1.1 ") == 1
    assert b"/first" in response


@promise(Area.SCRAPERS, "a head of 100 kB", "it is refused with 431")
@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", id="a header"),
        pytest.param(b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n", id="a path"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000 + b"\r\n", id="headers"),
        pytest.param(b"x" * 100_000, id="a word"),
    ],
)
def test_a_giant_head_is_refused(address: str, sent: bytes) -> None:
    """Memory is bounded, and the client gets a status."""
    assert answer(exchange(address, sent)).status == 431


def test_a_head_of_the_allowed_size_is_not_refused(address: str) -> None:
    """The limit is exact."""
    start = b"GET /there HTTP/1.1\r\nX: "
    fits = start + b"x" * (MAX_HEAD - len(start)) + b"\r\n\r\n"

    assert answer(exchange(address, fits)).status == 200
    assert answer(exchange(address, fits.replace(b"X: ", b"X: y"))).status == 431


def test_a_peer_that_keeps_sending_is_reset(address: str) -> None:
    """The server discards what follows a request, up to a limit."""
    with dial(address) as connection, pytest.raises(OSError, match=r"reset|[Bb]roken pipe"):
        connection.sendall(b"x" * 50_000_000)


# -- time --------------------------------------------------------------------------------------------------------------


@promise(Area.SCRAPERS, "a request that drips", "it ends with status 408 at the deadline")
def test_a_slow_request_gets_408_at_the_deadline() -> None:
    """The time is for the whole request, not for the next byte (slow loris)."""
    with serving(deadline=0.4) as server, dial(server.addresses[0]) as connection:
        connection.settimeout(0.02)
        began, response = time.monotonic(), b""
        for byte in b"GET / HTTP/1.1\r\nX: " + b"x" * 10_000:
            with contextlib.suppress(TimeoutError, socket.timeout):
                response = connection.recv(1000)
                break
            connection.sendall(bytes([byte]))

        assert answer(response).status == 408
        assert 0.3 < time.monotonic() - began < 3


def test_a_connection_without_a_request_is_closed_without_a_response() -> None:
    """Such as a port scan, or a spare connection of a browser."""
    with serving(deadline=0.1) as server, dial(server.addresses[0]) as connection:
        assert connection.recv(1000) == b""


@promise(Area.SCRAPERS, "a scraper that does not read its response", "the response's memory is freed at the deadline")
def test_a_peer_that_does_not_read_its_response_is_reset() -> None:
    """The response's memory is freed at the deadline."""
    body = b"x" * 50_000_000
    with serving(lambda _: Response(200, body), deadline=0.3) as server, dial(server.addresses[0]) as connection:
        connection.sendall(GET)

        assert reset([connection]) == 1


def test_a_peer_that_does_not_close_is_reset() -> None:
    """After its response it has the deadline to close."""
    with serving(deadline=0.2) as server, dial(server.addresses[0]) as connection:
        connection.sendall(GET)

        assert answer(read_all(connection)).status == 200
        assert reset([connection]) == 1


# -- numbers -----------------------------------------------------------------------------------------------------------


def test_a_hundred_scrapers_at_once_are_all_served(address: str) -> None:
    """No client is refused: a pair of Prometheus servers has far fewer."""
    with idle(address, 100) as connections:
        for each in connections:
            each.sendall(GET)
        statuses = [answer(read_all(each)).status for each in connections]

    assert statuses == [200] * 100


@promise(Area.SCRAPERS, "a thousand idle connections", "the oldest are closed, and a scraper is served")
@pytest.mark.usefixtures("many_files")
def test_a_thousand_idle_connections_lock_no_scraper_out() -> None:
    """The oldest are closed. The scraper is served while the others stay, and their number is bounded."""
    with serving(deadline=10 * PATIENCE) as server, idle(server.addresses[0], 1000) as connections:
        assert ask(server.addresses[0]).status == 200

        assert hung_up(connections, least=1000 - MAX_CONNECTIONS) >= 1000 - MAX_CONNECTIONS
        assert threading.active_count() < 10


def test_the_oldest_connection_makes_room() -> None:
    """With room for two, the first of three goes, and the other two are served."""
    with serving(max_connections=2) as server, idle(server.addresses[0], 3) as (first, second, third):
        for each in (second, third):
            each.sendall(GET)

        assert answer(read_all(second)).status == answer(read_all(third)).status == 200
        assert hung_up([first]) == 1


@promise(
    Area.SCRAPERS,
    "a host that opens more connections than there is room for",
    "it evicts only its own",
)
def test_a_host_that_opens_many_connections_evicts_its_own() -> None:
    """A scraper of another host, whose connection is older than all of them, is served."""
    with serving(max_connections=4) as server, dial(server.addresses[0]) as scraper, contextlib.ExitStack() as stack:
        flood = [stack.enter_context(dial(server.addresses[0], OTHER_HOST)) for _ in range(10)]
        assert hung_up(flood[6:7]) == 1  # room for three of them; the seventh made it for the last
        scraper.sendall(GET)

        assert answer(read_all(scraper)).status == 200


def test_a_peer_that_resets_does_no_harm(address: str) -> None:
    """Neither before its request nor after it."""
    for sent in (b"", b"GET", GET):
        with dial(address) as connection:
            connection.sendall(sent)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    assert ask(address).status == 200


WITHOUT_FILES = """
import resource, sys, time
from rolewatch.http.request import Response
from rolewatch.http.server import Server

server = Server(lambda request: Response(200, b"well"), addresses=("127.0.0.1:0",))
server.start()
resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
begun = time.process_time()
print(server.addresses[0], flush=True)
sys.stdin.read()
print(type(server.take_failure()).__name__, time.process_time() - begun)
server.stop()
"""


@promise(
    Area.SCRAPERS,
    "connections that use every file descriptor",
    "it waits without spinning, and recovers when they close",
)
def test_without_file_descriptors_it_waits_and_recovers() -> None:
    """When connections use every descriptor, accept() fails with EMFILE. The server accepts again when they close."""
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "agent")}
    with subprocess.Popen(
        [sys.executable, "-c", WITHOUT_FILES],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout
        address = child.stdout.readline().strip()
        with idle(address, 30):
            pass
        assert ask(address).body == b"well"  # it tries again after a second, which this waits for
        out, err = child.communicate(timeout=PATIENCE)

    failure, cpu = out.split()
    assert (failure, err) == ("OSError", "")
    assert float(cpu) < 0.6, "spinning would cost a second"


# -- the handler -------------------------------------------------------------------------------------------------------


def test_a_handler_that_fails_affects_its_request_only(capfd: pytest.CaptureFixture[str]) -> None:
    """The response does not show the error, nothing is printed, and `take_failure` returns it."""

    def fail(request: Request) -> Response:
        if request.path == "/bad":
            raise ValueError("private")
        return Response(200, b"")

    with serving(fail) as server:
        response = ask(server.addresses[0], "/bad")
        assert ask(server.addresses[0], "/good").status == 200

        assert response.status == 500
        assert b"private" not in response.body
        assert isinstance(server.take_failure(), ValueError)
        assert server.take_failure() is None
    assert "".join(capfd.readouterr()) == ""


# -- start and stop ----------------------------------------------------------------------------------------------------


@promise(Area.SCRAPERS, "open connections when the daemon stops", "it stops within a second")
def test_stop_is_quick_whatever_the_peers_do() -> None:
    """The agent ends within a second of SIGTERM; the endpoint has its share of that."""
    with serving() as server:
        address = server.addresses[0]
        with idle(address, 50) as connections:
            for each in connections[:25]:
                each.sendall(b"GET / HT")
            ask(address)
            begun = time.monotonic()
            server.stop()
            took = time.monotonic() - begun

            assert took - longest_stall(begun) < 1
            assert hung_up(connections, least=50) == 50
        with pytest.raises(ConnectionRefusedError):
            dial(address, OTHER_HOST)  # from the server's own host and, by chance, port it would reach itself
        server.stop()  # and again, which does nothing


def test_the_address_can_be_bound_again_at_once() -> None:
    """A restart finds its port free, in spite of connections in TIME_WAIT."""
    with serving() as first:
        address = first.addresses[0]
        ask(address)
    with serving(addresses=(address,)) as second:
        assert ask(second.addresses[0]).status == 200


def test_the_thread_does_not_keep_the_process_alive() -> None:
    """A daemon whose loop dies must end, so that systemd can start it again."""
    with serving():
        (thread,) = [each for each in threading.enumerate() if each.name == "rolewatch-http"]

        assert thread.daemon


def test_without_an_address_nothing_listens() -> None:
    """`listen = []` means no endpoint, and no thread for it."""
    with serving(addresses=()) as server:
        assert server.addresses == ()
        assert not [each for each in threading.enumerate() if each.name == "rolewatch-http"]


# -- addresses ---------------------------------------------------------------------------------------------------------


def ipv6_works() -> bool:
    """Return whether this machine has ::1."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not ipv6_works(), reason="this machine has no IPv6 loopback")


@needs_ipv6
def test_ipv6_addresses_are_in_brackets() -> None:
    """As in a URL, in both directions."""
    with serving(addresses=("[::1]:0", "127.0.0.1:0")) as server:
        sixth, fourth = server.addresses

        assert sixth.startswith("[::1]:")
        assert fourth.startswith("127.0.0.1:")
        assert ask(sixth).status == ask(fourth).status == 200


@needs_ipv6
def test_both_wildcards_can_share_one_port() -> None:
    """`[::]` is IPv6 only, whatever the sysctl bindv6only is, so that it does not collide with 0.0.0.0."""
    with serving(addresses=("0.0.0.0:0",)) as fourth:
        port = endpoint(fourth.addresses[0])[1]
        with serving(addresses=(f"[::]:{port}",)) as sixth:
            assert sixth.addresses == (f"[::]:{port}",)


def test_a_star_is_every_address() -> None:
    """IPv4 always, IPv6 where the machine has it."""
    with serving(addresses=("*:0",)) as server:
        port = endpoint(server.addresses[0])[1]

        assert ask(f"127.0.0.1:{port}").status == 200
        if ipv6_works():
            assert ask(f"[::1]:{port}").status == 200


def test_localhost_needs_no_resolver() -> None:
    """A resolver that does not respond must not keep the agent from starting."""
    with serving(addresses=("localhost:0",)) as server:
        assert server.addresses[0].startswith("127.0.0.1:")


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "10169",
        ":10169",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:http",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1: 80",
        "127.0.0.1:٣",
        "::1:10169",
        "[::1]",
        "[::1]10169",
        "[]:1",
        "[127.0.0.1:1",
        "example.com:80",
        "300.0.0.1:80",
        "[::g]:80",
        "http://127.0.0.1:10169",
        "127.0.0.1:1\n",
        "\x00:1",
        "a" * 70 + ":1",
    ],
)
def test_a_malformed_address_is_refused(wrong: str) -> None:
    """The message has the address, and an example of a correct one."""
    with pytest.raises(UsageError, match=r"Cannot listen on .*(Write 127\.0\.0\.1:10169|write the address)") as caught:
        Server(echo, addresses=(wrong,)).start()

    assert repr(wrong) in str(caught.value)


def test_an_address_in_use_is_named_with_what_to_do() -> None:
    """The addresses that were bound before it are free again."""
    with serving() as server:
        taken = server.addresses[0]
        free = socket.socket()
        free.bind(("127.0.0.1", 0))
        other = f"127.0.0.1:{free.getsockname()[1]}"
        free.close()

        with pytest.raises(UnavailableError, match=rf"{taken}: another program listens there.*--listen"):
            Server(echo, addresses=(other, taken)).start()
        with serving(addresses=(other,)) as again:
            assert again.addresses == (other,)


def test_an_address_of_another_host_is_named_with_what_to_do() -> None:
    """192.0.2.1 is for documentation only (RFC 5737)."""
    with pytest.raises(UnavailableError, match=r"192\.0\.2\.1:10169: this host has no such address"):
        Server(echo, addresses=("192.0.2.1:10169",)).start()


# -- sockets of systemd -----------------------------------------------------------------------------------------------


def test_passed_sockets_take_precedence_over_addresses() -> None:
    """The socket unit decides; the addresses in the settings are not parsed."""
    with socket.create_server(("127.0.0.1", 0)) as handed_in:
        name = f"127.0.0.1:{handed_in.getsockname()[1]}"
        with serving(addresses=("nonsense",), sockets=(handed_in,)) as server:
            assert server.addresses == (name,)
            assert ask(name).status == 200


def test_a_unix_socket_may_be_passed(tmp_path: Path) -> None:
    """For a proxy in front, which does TLS and authentication."""
    path = str(tmp_path / "rolewatch.sock")
    with socket.socket(socket.AF_UNIX) as handed_in:
        handed_in.bind(path)
        handed_in.listen()
        with serving(sockets=(handed_in,)) as server, socket.socket(socket.AF_UNIX) as connection:
            assert server.addresses == (f"unix:{path}",)
            connection.settimeout(PATIENCE)
            connection.connect(path)
            connection.sendall(GET)

            assert answer(read_all(connection)).status == 200


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["not listening", "datagrams"])
def test_a_socket_that_does_not_listen_is_refused(kind: int) -> None:
    """The message names the settings of the socket unit."""
    with socket.socket(socket.AF_INET, kind) as handed_in:
        handed_in.bind(("127.0.0.1", 0))

        with pytest.raises(UsageError, match=r"ListenStream= and Accept=no"):
            Server(echo, addresses=(), sockets=(handed_in,)).start()
