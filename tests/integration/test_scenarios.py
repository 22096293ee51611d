"""Every scenario of the one list, through every door, over real sockets."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from forms import one_of_each
from harness import POLLS, Outputs, in_process, timeouts_for
from rolewatch.cli import main
from rolewatch.faults import FAULTS, Fault
from rolewatch.settings import ExpectSettings
from rolewatch.simulator.scenarios import SCENARIOS, Scenario
from rolewatch.vocabulary import FailureLabel, State


def by_fault(scenarios: Iterable[Scenario]) -> pytest.MarkDecorator:
    """Return the parameter ``scenario``; in the quick form, one scenario for each set of faults."""
    return pytest.mark.parametrize(
        "scenario", one_of_each(scenarios, lambda each: each.expect.faults, lambda each: each.name)
    )


def run(directory: Path, scenario: Scenario) -> Outputs:
    """Run a daemon that was started in *scenario* until it must have made up its mind."""
    with in_process(directory, scenario.name, expect=ExpectSettings(role=scenario.expect.expect_role)) as daemon:
        return daemon.run()


@by_fault(SCENARIOS)
def test_every_publisher_reports_the_scenario(scenario: Scenario, tmp_path: Path) -> None:
    """Metrics, status, journal and systemd have the faults and the state that the scenario expects."""
    expect = scenario.expect
    seen = run(tmp_path, scenario)

    states = {state.value: seen.sample("rolewatch_state", state=state.value) for state in State}
    assert states == {state.value: float(state is expect.state) for state in State}
    active = [fault for fault in Fault if seen.sample("rolewatch_fault_active", fault=fault.value) == 1.0]
    assert tuple(active) == expect.faults
    transient = any(fault.times for fault in scenario.conditions.network_faults)
    failures = {label: seen.sample("rolewatch_poll_failures_total", reason=label.value) for label in FailureLabel}
    if not transient:
        assert failures == {label: float(POLLS if label is expect.failure else 0) for label in FailureLabel}
    assert seen.status["state"] == expect.state.value
    assert [fault["fault"] for fault in seen.status["faults"]] == [fault.value for fault in expect.faults]
    raised = [entry["ROLEWATCH_FAULT"] for entry in seen.events("fault_raised")]
    assert sorted(raised) == sorted(fault.value for fault in expect.faults)
    for entry in seen.events("fault_raised"):
        entry_fault = Fault(entry["ROLEWATCH_FAULT"])
        assert entry["MESSAGE_ID"] == FAULTS[entry_fault].message_id
        severity = FAULTS[entry_fault].severity_with({}, usable=expect.state is State.DEGRADED)
        assert entry["PRIORITY"] == str(severity.value)
        assert entry["MESSAGE"].startswith(f"{entry_fault.value}: {FAULTS[entry_fault].title}")
    if expect.reason:
        (entry,) = [each for each in seen.events("fault_raised") if "ROLEWATCH_REASON" in each]
        assert entry["ROLEWATCH_REASON"] == expect.reason.value
    assert any(expect.state.value in line for line in seen.notifications if line.startswith("STATUS="))
    assert (seen.ready, seen.healthy) == (200, 200)


OF_IDENTITY = {"imds_intercepted_emulator"}
"""What only the identity document shows. A daemon that has read it reads it again in an hour."""


@by_fault(each for each in SCENARIOS if each.expect.faults and each.name not in OF_IDENTITY)
def test_a_fault_that_comes_and_goes_is_raised_once_and_cleared_once(scenario: Scenario, tmp_path: Path) -> None:
    """From health into the scenario and back: each fault is raised once, cleared once, and the end is health."""
    expect = scenario.expect
    with in_process(tmp_path, "healthy", expect=ExpectSettings(role=scenario.expect.expect_role)) as daemon:
        daemon.timeouts = timeouts_for(scenario)
        seen = daemon.run((2, daemon.switch(scenario.name)), (7, daemon.switch("healthy")), polls=12)

    for kind in ("fault_raised", "fault_cleared"):
        faults = [entry["ROLEWATCH_FAULT"] for entry in seen.events(kind)]
        assert sorted(faults) == sorted(fault.value for fault in expect.faults), kind
    states = [entry["ROLEWATCH_STATE"] for entry in seen.events("state_changed")]
    assert states[0] == "ok"
    assert states[-1] == "ok"
    assert expect.state.value in states
    assert seen.status["state"] == "ok"


@by_fault(SCENARIOS)
def test_check_reports_the_scenario_in_each_format(
    scenario: Scenario,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`check` prints state and faults, and its exit status is the state's."""
    monkeypatch.setenv("ROLEWATCH_IMDS_TIMEOUT", str(timeouts_for(scenario).timeout))
    monkeypatch.setenv("ROLEWATCH_IMDS_DEADLINE", str(timeouts_for(scenario).deadline))
    words = ["check"]
    for pattern in scenario.expect.expect_role:
        words += ["--expect-role", pattern]
    with in_process(tmp_path, scenario.name) as daemon:
        printed = {}
        for name in ("json", "nagios", "text"):
            daemon.switch(scenario.name)()
            assert main([*words, "--format", name, "--endpoint", daemon.endpoint]) == scenario.expect.state.exit_code
            printed[name] = capsys.readouterr().out

    document = json.loads(printed["json"])
    assert document["schema"] == 1
    assert document["state"] == scenario.expect.state.value
    assert [fault["fault"] for fault in document["faults"]] == [fault.value for fault in scenario.expect.faults]
    assert all(fault["fix"] and fault["takes_effect"] and fault["cause"] for fault in document["faults"])
    status = ("OK", "WARNING", "CRITICAL", "UNKNOWN")[scenario.expect.state.exit_code]
    assert printed["nagios"].startswith(f"ROLEWATCH {status} - ")
    assert printed["nagios"].count("\n") == 1
    assert all(fault.value in printed["nagios"] for fault in scenario.expect.faults)
    assert printed["text"].startswith(scenario.expect.state.value.upper())
    assert all(f"\n{fault.value}: {FAULTS[fault].title}" in printed["text"] for fault in scenario.expect.faults)
