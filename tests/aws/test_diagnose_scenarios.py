"""Every scenario of the simulator, with no network beyond IMDS: the right state, cause and fix all the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness import PATIENT, QUICK, timeouts_for
from rolewatch.faults import ROOT_CAUSES
from rolewatch.settings import ImdsSettings
from rolewatch.simulator import Simulator
from rolewatch.simulator.scenarios import SCENARIOS, Scenario

pytest.importorskip("moto")

from aws import cloud
from forms import one_of_each

BY_FAULT = pytest.mark.parametrize(
    "scenario", one_of_each(SCENARIOS, kind=lambda each: each.expect.faults, name=lambda each: each.name)
)
CLOSED = "http://127.0.0.1:9"
"""Discard: nobody listens there."""
IN_TURN = ImdsSettings(timeout=2.0, deadline=4.0)
"""For an IMDS that lets time pass: what diagnose asks for after that is still answered."""


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no endpoint of AWS be reached, and botocore try only once."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", CLOSED)


def run(directory: Path, scenario: Scenario, *words: str) -> cloud.Run:
    """Diagnose an instance that is in *scenario*."""
    settings = directory / "rolewatch.toml"
    bounds = IN_TURN if timeouts_for(scenario) is QUICK else PATIENT
    settings.write_text(f"[imds]\ndisabled = false\ntimeout = {bounds.timeout}\ndeadline = {bounds.deadline}\n")
    with Simulator(now=cloud.now, scenario_name=scenario.name) as simulator:
        more = [*words, "--json"]
        for pattern in scenario.expect.expect_role:
            more += ["--expect-role", pattern]
        return cloud.run_diagnose(["--config", str(settings), "--endpoint", simulator.endpoint, *more])


@BY_FAULT
def test_a_scenario_is_diagnosed_by_imds_alone(scenario: Scenario, tmp_path: Path) -> None:
    """Faults and state are those of the scenario's list, the root cause is one of them, and it has a fix.

    No check of AWS passes or fails: each says why it could not be made, and who can make it.
    """
    result = run(tmp_path, scenario)

    for check in result.document["checks"]:
        if check["id"].startswith(("ec2.", "iam.", "aws.")):
            assert check["status"] in ("skipped", "unknown"), check
            assert "rolewatch diagnose --instance-id" in check["who"], check
    assert result.status == scenario.expect.state.exit_code
    assert result.document["state"] == scenario.expect.state.value
    assert result.faults == [fault.value for fault in scenario.expect.faults]
    if not scenario.expect.faults:
        assert result.document["root_cause"] is None
        return
    first = min(scenario.expect.faults, key=ROOT_CAUSES.index)
    assert result.root["fault"] == first.value
    assert result.root["fix"]
    assert result.root["takes_effect"]
    assert [check for check in result.document["checks"] if check.get("fault") == first.value]
    if scenario.expect.reason:
        assert result.document["faults"][0]["evidence"]["reason"] == scenario.expect.reason.value


def test_units_are_judged_before_aws_is_called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A child process makes a unit's request: it is not forked beside a call to AWS that was given up and goes on."""
    log, systemctl, config = (tmp_path / name for name in ("log", "systemctl", "config"))
    systemctl.write_text(f"#!/bin/sh\necho units >> {log}\n")
    systemctl.chmod(0o755)
    config.write_text(f"[default]\ncredential_process = sh -c 'echo aws >> {log}; exit 1'\n")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    run(tmp_path, next(each for each in SCENARIOS if each.name == "healthy"), "--all-units")

    assert log.read_text().split() == ["units", "aws"]
