"""The control port."""

from __future__ import annotations

import http.client
import json
import os
import shlex
import socket
import subprocess
import sys

import pytest

from rolewatch.simulator import Simulator
from rolewatch.simulator.scenarios import SCENARIOS
from simulator.client import Answer, Client, Clock, address
from skips import cannot

AT_ANOTHER_ADDRESS = """
import sys
from simulator.client import Client, Clock
from rolewatch.simulator import Simulator

with Simulator(now=Clock(), control_host=sys.argv[1], control_port=0) as running:
    for host in sys.argv[2:]:
        answer = Client(running.control).ask("GET", "/scenario", Host=host)
        print(answer.status, f"Send the request to {running.control}." in answer.body.decode())
"""
"""Listens on the first argument; prints the status of a request with each other one as its Host, and whether the answer
says where to send it."""

LEAF = "meta-data/iam/security-credentials/web-server"


@pytest.fixture
def control(simulator: Simulator) -> Client:
    """Return a client of the control port."""
    return Client(simulator.control or "")


def test_the_scenario_is_switched_and_reported(control: Client, simulator: Simulator) -> None:
    """PUT the name, GET the name."""
    answer = control.ask("PUT", "/scenario", b"assume-role-unauthorized\n")

    assert (answer.status, answer.body) == (200, b"assume_role_unauthorized\n")
    assert control.ask("GET", "/scenario").body == answer.body
    assert simulator.scenario == "assume_role_unauthorized"


def test_a_wrong_scenario_is_answered_with_the_nearest(control: Client, simulator: Simulator) -> None:
    """400, and nothing changes."""
    answer = control.ask("PUT", "/scenario", b"imds_hoplimit")

    assert (answer.status, simulator.scenario) == (400, "healthy")
    assert b"Did you mean imds_hop_limit" in answer.body


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"x" * 60000])
def test_nonsense_is_a_bad_request(control: Client, body: bytes) -> None:
    """Empty, not UTF-8, or very long."""
    assert control.ask("PUT", "/scenario", body).status == 400


def test_imds_can_be_switched_off_and_on(control: Client, client: Client) -> None:
    """The listener comes and goes at once."""
    control.ask("PUT", "/scenario", b"imds_unreachable")
    with pytest.raises(ConnectionRefusedError):
        client.get(LEAF)
    control.ask("PUT", "/scenario", b"healthy")

    assert client.get(LEAF).status == 200


def test_a_rotation_can_be_forced(control: Client, client: Client) -> None:
    """The next request gets another set."""
    before = client.get(LEAF).body
    answer = control.ask("POST", "/rotate")

    assert (answer.status, client.get(LEAF).body == before) == (200, False)


def test_the_scenarios_are_listed_as_json(control: Client) -> None:
    """All of them, with what is expected."""
    answer = control.ask("GET", "/scenarios")
    listed = json.loads(answer.body)

    assert answer.headers["Content-Type"] == "application/json"
    assert [each["name"] for each in listed] == [each.name for each in SCENARIOS]
    assert [each["state"] for each in listed] == [each.expect.state.value for each in SCENARIOS]


def test_the_first_page_says_what_there_is(control: Client) -> None:
    """Each path that is named there is there; HEAD has no body."""
    page = control.ask("GET", "/").body.decode()
    for line in page.splitlines():
        method, path = line.split()[:2]
        assert control.ask(method, path, b"healthy" if method == "PUT" else b"").status == 200, line

    assert control.ask("HEAD", "/").body == b""


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/rotate", 405), ("POST", "/scenario", 405), ("GET", "/latest/", 404)]
)
def test_a_wrong_path_is_answered_with_the_right_one(control: Client, method: str, path: str, status: int) -> None:
    """404 with all that is there, 405 with Allow."""
    answer = control.ask(method, path)

    assert answer.status == status
    assert status == 404 or answer.headers["Allow"]


def raw(url: str, *lines: str) -> Answer:
    """Send a request of *lines* to *url*, exactly as they are, and return the answer."""
    with socket.create_connection(address(url), timeout=5) as connection:
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        response = http.client.HTTPResponse(connection)
        response.begin()
        return Answer(response.status, dict(response.getheaders()), response.read())


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1339", ""])
@pytest.mark.parametrize(("method", "path"), [("PUT", "/scenario"), ("POST", "/rotate"), ("GET", "/scenario")])
def test_a_request_of_a_web_page_is_refused(
    control: Client, simulator: Simulator, method: str, path: str, origin: str
) -> None:
    """Any Origin, the port's own too: 403, nothing changes, and the answer says what to do."""
    answer = control.ask(method, path, b"credentials_expired", Origin=origin)

    assert (answer.status, simulator.scenario) == (403, "healthy")
    assert b"as curl does" in answer.body


@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS"])
@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(["Host: evil.example"], id="a name"),
        pytest.param(["Host: localhost:1339"], id="localhost"),
        pytest.param(["Host: 10.0.0.1:1339"], id="an address that is not loopback"),
        pytest.param(["Host: 0.0.0.0:1339"], id="every address"),
        pytest.param(["Host: 127.0.0.1.evil.example"], id="a name like an address"),
        pytest.param(["Host: 127.1"], id="a short form"),
        pytest.param(["Host: [::ffff:127.0.0.1]"], id="a mapped address"),
    ],
)
def test_a_host_that_is_no_loopback_address_is_misdirected(simulator: Simulator, method: str, lines: list[str]) -> None:
    """421, nothing changes, and the answer says where to send it."""
    url = str(simulator.control)
    answer = raw(url, f"{method} /scenario HTTP/1.1", "Content-Length: 0", *lines)

    assert (answer.status, simulator.scenario) == (421, "healthy")
    assert answer.headers["Connection"] == "close"
    assert f"Send the request to {url}." in answer.body.decode()


@pytest.mark.parametrize(
    ("target", "lines"),
    [
        pytest.param("/scenario", [], id="no Host"),
        pytest.param("/scenario", ["Host:"], id="an empty Host"),
        pytest.param("/scenario", ["Host: 127.0.0.1", "Host: evil.example"], id="two"),
        pytest.param("/scenario", ["Host: evil.example", "Host: 127.0.0.1"], id="two, in the other order"),
        pytest.param("/scenario", ["Host: 127.0.0.1@evil.example"], id="a user name"),
        pytest.param("/scenario", ["Host: evil.example/127.0.0.1"], id="a path"),
        pytest.param("http:///scenario", ["Host: 127.0.0.1"], id="a URL without a host"),
        pytest.param("http://me@127.0.0.1/scenario", ["Host: 127.0.0.1"], id="a URL with a user name"),
    ],
)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_request_that_names_no_single_host_is_refused(
    simulator: Simulator, version: str, target: str, lines: list[str]
) -> None:
    """400, in either version of HTTP."""
    answer = raw(str(simulator.control), f"GET {target} HTTP/{version}", *lines)

    assert (answer.status, b"healthy" in answer.body) == (400, False)


@pytest.mark.parametrize(
    ("url", "host", "status"),
    [
        ("http://evil.example/scenario", "127.0.0.1", 421),
        ("http://127.0.0.1/scenario", "evil.example", 200),
        ("/scenario", "127.8.9.10", 200),
        ("/scenario", "[::1]:1", 200),
    ],
)
def test_the_host_of_a_url_comes_before_the_header(simulator: Simulator, url: str, host: str, status: int) -> None:
    """As RFC 9112 (3.2.2) says; a port says nothing, for tunnels change it."""
    assert raw(str(simulator.control), f"GET {url} HTTP/1.1", f"Host: {host}").status == status


def test_a_forwarded_host_is_ignored(control: Client) -> None:
    """Who may set one header may set the other."""
    assert control.ask("GET", "/scenario", X_Forwarded_Host="evil.example").status == 200
    assert control.ask("GET", "/scenario", Host="evil.example", X_Forwarded_Host="127.0.0.1").status == 421


def test_the_control_port_answers_at_ipv6_loopback(clock: Clock) -> None:
    """By its literal in brackets."""
    with Simulator(now=clock, control_host="::1", control_port=0) as running:
        assert Client(str(running.control)).ask("GET", "/scenario").status == 200
        assert raw(str(running.control), "GET /scenario HTTP/1.1", "Host: localhost").status == 421


@pytest.mark.parametrize(
    ("chosen", "answered", "refused"),
    [
        ("192.0.2.1", ["192.0.2.1"], ["192.0.2.2"]),
        ("2001:db8::1", ["[2001:db8::1]", "[2001:DB8:0::1]:80", "[2001:db8::0.0.0.1]"], ["[2001:db8::2]", "192.0.2.1"]),
        ("fe80::1%lo", ["[fe80::1%lo]", "[fe80::1%25lo]", "[fe80::1]", "[fe80:0::1]"], ["[fe80::2%lo]"]),
    ],
)
def test_the_control_port_answers_at_the_address_that_was_chosen_for_it(
    chosen: str, answered: list[str], refused: list[str]
) -> None:
    """Where --control names another address than loopback, that one is answered too, in each form; in a namespace."""
    plain = shlex.quote(chosen.partition("%")[0])
    command = f'ip link set lo up; ip address add {plain} dev lo; exec {shlex.quote(sys.executable)} -c "$0" "$@"'
    hosts = [*answered, "127.0.0.1", *refused, "evil.example"]
    try:
        done = subprocess.run(
            ["unshare", "--net", "sh", "-euc", command, AT_ANOTHER_ADDRESS, chosen, *hosts],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        cannot("unshare is not installed: apt-get install util-linux")
    if "unshare failed" in done.stderr:
        cannot("a network namespace needs root")

    expected = ["200 False"] * (len(answered) + 1) + ["421 True"] * (len(refused) + 1)
    assert done.stdout.splitlines() == expected, done.stderr


def test_there_need_not_be_a_control_port(clock: Clock) -> None:
    """None unless it is asked for."""
    with Simulator(now=clock) as without:
        assert without.control is None
