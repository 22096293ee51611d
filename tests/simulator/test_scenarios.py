"""The one list of scenarios: whole, and in itself consistent."""

from __future__ import annotations

import re

import pytest

from rolewatch.errors import UsageError
from rolewatch.faults import Fault
from rolewatch.simulator import Simulator
from rolewatch.simulator.conditions import HEALTHY, Effect
from rolewatch.simulator.scenarios import SCENARIOS, Group, Scenario, scenario
from rolewatch.vocabulary import FailureLabel, State
from simulator.client import Client

BY_NAME = pytest.mark.parametrize("each", SCENARIOS, ids=lambda each: each.name)
OF_IMDS = {Fault.IMDS_UNREACHABLE, Fault.IMDS_HOP_LIMIT, Fault.IMDS_DISABLED, Fault.IMDS_ERROR}


def test_every_effect_has_a_scenario() -> None:
    """What the simulator can do to an answer is shown somewhere."""
    assert {fault.effect for each in SCENARIOS for fault in each.conditions.network_faults} == set(Effect)


def test_every_state_has_a_scenario() -> None:
    """All five."""
    assert {each.expect.state for each in SCENARIOS} == set(State)


def test_every_failure_label_has_a_scenario() -> None:
    """Each label of `rolewatch_poll_failures_total` is counted somewhere."""
    assert {each.expect.failure for each in SCENARIOS} == {*FailureLabel, None}


def test_names_are_unique_and_the_tour_begins_in_health() -> None:
    """A name finds one scenario."""
    names = [each.name for each in SCENARIOS]

    assert (len(set(names)), names[0]) == (len(names), "healthy")
    assert SCENARIOS[0].conditions == HEALTHY


@BY_NAME
def test_a_scenario_is_well_declared(each: Scenario) -> None:
    """Names are words, titles no sentences, notes sentences; faults are in the order of `Fault`, each once."""
    faults = each.expect.faults

    assert re.fullmatch(r"[a-z][a-z0-9_]*", each.name)
    assert not each.title.endswith(".")
    assert not each.note or each.note.endswith(".")
    assert faults == tuple(fault for fault in Fault if fault in faults)


@BY_NAME
def test_the_expectation_is_consistent(each: Scenario) -> None:
    """A reason comes with a fault of IMDS and with no other; ok and starting have no fault, the others have one.

    Another responder may be known without a failed request.
    """
    expect = each.expect

    if expect.reason is not None:
        assert {*OF_IMDS, Fault.IMDS_INTERCEPTED}.intersection(expect.faults)
    else:
        assert not OF_IMDS.intersection(expect.faults)
    assert bool(expect.faults) == (expect.state not in (State.OK, State.STARTING))
    assert each.group is not Group.HEALTHY or expect.state is State.OK
    assert expect.exit_code == {"ok": 0, "degraded": 1, "failed": 2}.get(expect.state.value, 3)


def test_a_scenario_is_found_by_its_name() -> None:
    """Dashes, capitals and blanks are forgiven."""
    assert scenario(" Imds-Hop-Limit\n").name == "imds_hop_limit"


@pytest.mark.parametrize(
    ("wrong", "near"),
    [("imds_hoplimit", "imds_hop_limit"), ("credentials_expire", "credentials_expired"), ("utf8", "invalid_utf8")],
)
def test_a_wrong_name_is_answered_with_the_nearest(wrong: str, near: str) -> None:
    """And with where the others are."""
    with pytest.raises(UsageError, match=rf"Did you mean .*{near}.*--list"):
        scenario(wrong)


def test_a_name_that_is_near_nothing_is_answered_with_the_list() -> None:
    """However long or strange it is."""
    with pytest.raises(UsageError, match=r"there is no scenario 'x+'\. `rolewatch simulate --list`"):
        scenario("x" * 1000)


@BY_NAME
def test_every_scenario_leaves_the_simulator_alive(each: Scenario, simulator: Simulator) -> None:
    """Whatever it did to a client that asked, the next scenario is served."""
    simulator.switch(each.name)
    client = Client(simulator.endpoint)
    client.timeout = 0.2
    for path in ("meta-data/iam/info", "meta-data/iam/security-credentials/web-server"):
        client.attempt(path)
    simulator.switch("healthy")
    client.timeout = 5

    assert client.renew().status == 200
    assert client.get("meta-data/iam/security-credentials/web-server").status == 200
