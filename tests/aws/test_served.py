"""The served credentials: read for one call, and never shown."""

from __future__ import annotations

import copy
import json
import pickle
import time
from datetime import datetime, timezone

import pytest

from harness import PATIENT, timeouts_for
from rolewatch.aws.credentials import Keys, fetch
from rolewatch.imds.client import Client
from rolewatch.settings import ImdsSettings
from rolewatch.simulator import Simulator
from rolewatch.simulator.scenarios import SCENARIOS, Scenario


def now() -> datetime:
    """Return the time, for the simulator."""
    return datetime.now(timezone.utc)


def asked(simulator: Simulator, settings: ImdsSettings = PATIENT) -> Keys | None:
    """Fetch what *simulator* serves."""
    return fetch(Client(simulator.endpoint, settings, monotonic=time.monotonic))


def test_what_is_served_is_what_is_handed_on() -> None:
    """All three fields, as boto3 wants them."""
    with Simulator(now=now) as simulator:
        keys = asked(simulator)
        assert keys is not None
        assert set(keys.for_boto3().values()) <= simulator.secrets
        assert len(set(keys.for_boto3().values())) == 3


def test_keys_show_nothing() -> None:
    """No representation, no copy, no pickle, no JSON."""
    keys = Keys(role="web", user="canary", secret="canary", token="canary")  # noqa: S106 - made up

    assert "canary" not in f"{keys!r} {keys} {[keys]}"
    for make in (pickle.dumps, copy.copy, json.dumps):
        with pytest.raises(TypeError):
            make(keys)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_no_scenario_raises(scenario: Scenario) -> None:
    """For every answer of IMDS: keys that can be in a header, or None."""
    with Simulator(now=now, scenario_name=scenario.name) as simulator:
        keys = asked(simulator, timeouts_for(scenario))

    assert keys is None or all(value.isprintable() and value for value in keys.for_boto3().values())
