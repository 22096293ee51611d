"""The simulator as a thing that runs: it starts, switches, refuses and stops."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack

import pytest

from rolewatch.errors import UnavailableError, UsageError
from rolewatch.simulator import Exchange, Simulator
from rolewatch.simulator.server import MAX_CONNECTIONS, MAX_REQUESTS, MAX_SECRETS, Recorder, Request
from simulator.client import Client, Clock, address

LEAF = "meta-data/iam/security-credentials/web-server"


def test_connections_are_refused_and_taken_again(simulator: Simulator, client: Client) -> None:
    """Nothing listens, and the port stays ours: the endpoint is the same afterwards."""
    before = simulator.endpoint
    for _ in range(2):
        simulator.switch("imds_unreachable")
        with pytest.raises(ConnectionRefusedError):
            client.get(LEAF)
        simulator.switch("healthy")
        assert client.get(LEAF).status == 200

    assert simulator.endpoint == before


def test_a_simulator_can_begin_unreachable(clock: Clock) -> None:
    """And become reachable later."""
    with Simulator(now=clock, scenario_name="imds_unreachable") as simulator:
        with pytest.raises(ConnectionRefusedError):
            Client(simulator.endpoint).get(LEAF)
        simulator.switch("healthy")

        assert Client(simulator.endpoint).renew().status == 200


def test_the_control_port_answers_where_imds_does_not(simulator: Simulator) -> None:
    """Otherwise no client could switch back."""
    simulator.switch("imds_unreachable")

    assert Client(simulator.control or "").ask("GET", "/scenario").body == b"imds_unreachable\n"


def test_a_wrong_scenario_changes_nothing(simulator: Simulator) -> None:
    """The error says which are near, and the scenario stays."""
    simulator.switch("slow")
    with pytest.raises(UsageError, match="Did you mean"):
        simulator.switch("slowly")

    assert simulator.scenario == "slow"


def test_requests_are_remembered(simulator: Simulator, client: Client) -> None:
    """In their order, with headers in lower case."""
    client.get(LEAF)
    token, leaf = simulator.requests

    assert (token.method, token.path) == ("PUT", "/latest/api/token")
    assert (leaf.path, leaf.headers["x-aws-ec2-metadata-token"]) == ("/latest/" + LEAF, client.token)


def test_what_is_remembered_shows_no_token(simulator: Simulator, client: Client) -> None:
    """A failing assertion prints requests."""
    client.get(LEAF)

    assert client.token not in repr(simulator.requests)


def test_exchanges_are_logged_without_secrets(clock: Clock) -> None:
    """Method, path and what became of it; neither query nor header."""
    exchanges: list[Exchange] = []
    with Simulator(now=clock, on_exchange=exchanges.append) as simulator:
        client = Client(simulator.endpoint)
        client.renew()
        client.get(LEAF + "?token=" + client.token)
        simulator.switch("slow")
        client.get("nothing")
        simulator.switch("imds_truncated")
        client.attempt(LEAF)

        assert [(each.method, each.path, each.outcome) for each in exchanges] == [
            ("PUT", "/latest/api/token", "200"),
            ("GET", "/latest/" + LEAF, "200"),
            ("GET", "/latest/nothing", "404 (latency)"),
            ("GET", "/latest/" + LEAF, "200 (truncated)"),
        ]
        assert not any(secret in repr(exchanges) for secret in simulator.secrets)


def test_nothing_is_remembered_for_ever() -> None:
    """A simulator that runs for weeks keeps the newest."""
    recorder = Recorder()
    for number in range(MAX_REQUESTS + 5):
        recorder.add_request(Request("GET", str(number)))
    for number in range(MAX_SECRETS + 5):
        recorder.add_secrets([str(number)])

    assert (len(recorder.requests), recorder.requests[0].path) == (MAX_REQUESTS, "5")
    assert (len(recorder.secrets), "4" in recorder.secrets, "5" in recorder.secrets) == (MAX_SECRETS, False, True)


def test_stopping_drops_every_connection(clock: Clock) -> None:
    """Silent and idle ones, too; no thread is left."""
    with ExitStack() as stack:
        with Simulator(now=clock, scenario_name="silent") as simulator:
            open_ones = [
                stack.enter_context(socket.create_connection(address(simulator.endpoint), timeout=5)) for _ in range(5)
            ]
            for each in open_ones[:3]:
                each.sendall(b"GET / HTTP/1.1\r\n")
        ends = []
        for each in open_ones:
            try:
                ends.append(each.recv(1))
            except ConnectionResetError:
                ends.append(b"")

    assert ends == [b""] * 5
    assert "rolewatch-simulator" not in [thread.name for thread in threading.enumerate()]


def renew_for_ever(client: Client) -> None:
    """Take tokens until an error ends it."""
    while True:
        client.renew()


def test_too_many_connections_are_dropped(clock: Clock) -> None:
    """Those that are open stay; when they have gone there is room again."""
    with Simulator(now=clock) as simulator, ExitStack() as stack:
        for _ in range(MAX_CONNECTIONS):
            stack.enter_context(socket.create_connection(address(simulator.endpoint), timeout=5))
        client = Client(simulator.endpoint)
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            renew_for_ever(client)  # until all of the others have been accepted


def test_a_stopped_simulator_has_no_endpoint(clock: Clock) -> None:
    """Nor has one that was not started: the error says what to do."""
    simulator = Simulator(now=clock)
    with pytest.raises(RuntimeError, match="`with`"):
        _ = simulator.endpoint
    with simulator:
        assert simulator.endpoint
    with pytest.raises(RuntimeError, match="`with`"):
        simulator.rotate()


def test_a_simulator_can_be_started_again(clock: Clock) -> None:
    """With another port."""
    simulator = Simulator(now=clock)
    for _ in range(2):
        with simulator:
            assert Client(simulator.endpoint).renew().status == 200


def test_an_address_that_is_taken_is_an_error(clock: Clock, simulator: Simulator) -> None:
    """It names the address; nothing stays behind."""
    host, port = address(simulator.endpoint)
    with pytest.raises(UnavailableError, match=rf"cannot listen on {host} port {port}: Address already in use"):
        Simulator(now=clock, host=host, port=port).__enter__()


def test_a_control_address_that_is_taken_frees_the_other(clock: Clock, simulator: Simulator) -> None:
    """Both or none. A host of the test's own: no other process gets the port in between."""
    host = "127.0.0.77"
    with socket.socket() as free:
        free.bind((host, 0))
        port = free.getsockname()[1]
    refused = Simulator(now=clock, host=host, port=port, control_port=address(simulator.control or "")[1])
    with pytest.raises(UnavailableError, match="already in use"):
        refused.__enter__()
    with socket.socket() as again:
        again.bind((host, port))  # not with SO_REUSEADDR, with which an address is shared that nobody listens on


@pytest.mark.parametrize("speed", [0, -1, 3601, float("nan"), float("inf")])
def test_a_speed_out_of_bounds_is_an_error(clock: Clock, speed: float) -> None:
    """The message has the bound."""
    with pytest.raises(UsageError, match="at most 3600"):
        Simulator(now=clock, speed=speed)


def test_a_faster_simulator_rotates_within_seconds(clock: Clock) -> None:
    """At 3600 times the speed: a set lives for some six seconds, and another one comes each second."""
    with Simulator(now=clock, speed=3600) as simulator:
        client = Client(simulator.endpoint)
        client.renew()
        documents = []
        for _ in range(3):
            documents.append(client.get(LEAF).body)
            clock.move(seconds=1)

    assert len(set(documents)) == 3
