"""The control port."""

from __future__ import annotations

import json

import pytest

from rolewatch.simulator import Simulator
from rolewatch.simulator.scenarios import SCENARIOS
from simulator.asking import Client, Clock

LEAF = "meta-data/iam/security-credentials/web-server"


@pytest.fixture
def control(simulator: Simulator) -> Client:
    """Return a client of the control port."""
    return Client(simulator.control or "")


def test_the_scenario_is_switched_and_told(control: Client, simulator: Simulator) -> None:
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
    """The next look sees another set."""
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
def test_a_wrong_way_in_is_told_the_right_one(control: Client, method: str, path: str, status: int) -> None:
    """404 with all that is there, 405 with Allow."""
    answer = control.ask(method, path)

    assert answer.status == status
    assert status == 404 or answer.headers["Allow"]


def test_there_need_not_be_a_control_port(clock: Clock) -> None:
    """None unless it is asked for."""
    with Simulator(now=clock) as without:
        assert without.control is None
