"""The hop limit, measured from the host: a real IMDS on loopback, whose answers have a TTL."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from builders import answered, faults, judge, memory_with, unanswered
from harness import utc_now
from rolewatch import monitor
from rolewatch.cli import main
from rolewatch.faults import Fault
from rolewatch.imds.client import Client
from rolewatch.imds.hop_limit import Measurement
from rolewatch.monitor.classify import Prior
from rolewatch.monitor.loop import Loop, Wake
from rolewatch.settings import ExpectSettings, ImdsSettings
from rolewatch.simulator import Simulator
from rolewatch.simulator.conditions import HEALTHY, Effect, NetworkFault, Target
from rolewatch.vocabulary import EventKind, State
from stage import Stage, Time


@pytest.fixture(params=["127.0.0.1", "::1"])
def imds(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    """Give an IMDS on loopback, by IPv4 and by IPv6."""
    with Simulator(now=utc_now, host=request.param) as simulator:
        yield simulator


def measured(endpoint: str, most: int, timeout: float = 5.0) -> int | None:
    """Return the hop limit of the IMDS at *endpoint*."""
    return Measurement(endpoint, range(2, most + 1), timeout=timeout, monotonic=time.monotonic).result()


@pytest.mark.parametrize(("limit", "most", "expected"), [(1, 2, 1), (2, 2, 2), (2, 3, 2), (5, 3, 3), (None, 2, 2)])
def test_the_limit_is_measured_up_to_what_is_needed(
    imds: Simulator, limit: int | None, most: int, expected: int
) -> None:
    """One request for each value; an answer with a lower TTL does not arrive."""
    imds.enter(replace(HEALTHY, hop_limit=limit))

    assert measured(imds.endpoint, most, timeout=5.0 if expected == most else 0.2) == expected
    assert len(imds.requests) == most - 1


@pytest.mark.parametrize("fault", [NetworkFault(Effect.STATUS, status=429), NetworkFault(Effect.RESET)])
def test_an_answer_that_is_no_token_measures_nothing(imds: Simulator, fault: NetworkFault) -> None:
    """A throttled request arrived, and says nothing of tokens."""
    imds.enter(replace(HEALTHY, network_faults=(fault,)))

    assert measured(imds.endpoint, 2) is None


def test_without_a_connection_nothing_is_measured(imds: Simulator) -> None:
    """Nor with a host name, because resolving it may block a stop."""
    imds.enter(replace(HEALTHY, listening=False))

    assert measured(imds.endpoint, 2) is None
    assert measured("http://localhost", 2) is None


# The daemon


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Give a daemon's loop whose IMDS has a hop limit of 1."""
    now = Time()
    with Simulator(now=now.utc, scenario_name="hop_limit_of_one") as simulator:
        yield Stage(simulator, now)


def watch(stage: Stage, expect: ExpectSettings) -> Loop:
    """Return the loop with the settings *expect*. The time-out of a measurement passes in the pauses."""
    stage.settings = replace(stage.settings, expect=expect)
    client = Client(stage.imds.endpoint, stage.settings.imds, monotonic=lambda: stage.time().uptime)
    loop = stage.watch()
    loop.setup = replace(loop.setup, client=client)
    return loop


def test_a_limit_too_low_for_containers_is_a_fault_until_it_is_raised(stage: Stage) -> None:
    """The host's own credentials are usable: degraded, never unknown."""
    stage.run(watch(stage, ExpectSettings(containers=True)), 1200, (600, lambda: stage.imds.switch("healthy")))

    (raised,) = stage.recorder.events(EventKind.FAULT_RAISED)
    assert raised.fault is Fault.IMDS_HOP_LIMIT
    assert (raised.fields["hop_limit"], raised.fields["needed_hop_limit"]) == (1, 2)
    assert "work until" not in raised.message
    (cleared,) = stage.recorder.events(EventKind.FAULT_CLEARED)
    assert cleared.fields["duration_seconds"] in range(540, 1000)
    assert {report.snapshot.state for report in stage.recorder.reports} == {State.OK, State.DEGRADED}
    assert stage.recorder.reports[-1].snapshot.hop_limit == 2


def test_the_need_is_a_number(stage: Stage) -> None:
    """One reporter needed 3."""
    stage.imds.enter(replace(HEALTHY, hop_limit=2))
    stage.run(watch(stage, ExpectSettings(containers=True, container_hop_limit=3)), 300)

    (raised,) = stage.recorder.events(EventKind.FAULT_RAISED)
    assert (raised.fields["hop_limit"], raised.fields["needed_hop_limit"]) == (2, 3)


def test_where_no_containers_are_expected_the_limit_is_only_shown(stage: Stage) -> None:
    """At one request an hour."""
    stage.run(watch(stage, ExpectSettings()), 3500)

    assert {report.snapshot.state for report in stage.recorder.reports} == {State.OK}
    assert stage.recorder.reports[-1].snapshot.hop_limit == 1
    assert len(stage.imds.requests) == 4 * len(stage.recorder.reports) + 2  # and the identity document


def test_neither_a_poll_nor_a_stop_waits_for_the_measurement(stage: Stage) -> None:
    """Its answer never comes, and its time-out is 15 seconds."""
    begun = time.monotonic()
    stage.run_script(stage.watch(), [Wake.POLL, Wake.STOP])

    assert time.monotonic() - begun < 10
    assert stage.recorder.reports[-1].snapshot.hop_limit is None


def test_a_late_answer_is_no_hop_limit_for_the_daemon_either(stage: Stage) -> None:
    """A request beside the polls has more time than theirs: here until another program has got a token."""
    stage.settings = replace(stage.settings, imds=ImdsSettings(timeout=0.1))
    stage.imds.enter(replace(HEALTHY, network_faults=(NetworkFault(Effect.LATENCY, Target.TOKEN, seconds=0.3),)))
    loop, others = stage.watch(), Client(stage.imds.endpoint, ImdsSettings(), monotonic=time.monotonic)

    for _ in range(4):
        loop.poll()
        others.session()

    (raised,) = stage.recorder.events(EventKind.FAULT_RAISED)
    assert (raised.fault, raised.fields["reason"]) == (Fault.IMDS_ERROR, "slow")


def test_a_limit_that_cannot_be_measured_keeps_no_other_finding() -> None:
    """The fault of a silent IMDS ends with its answers; one that was measured stands until it is measured again."""
    unknown = Prior(needed_hop_limit=2)

    assert Fault.IMDS_HOP_LIMIT not in judge(answered(), unknown).undetermined
    assert Fault.IMDS_HOP_LIMIT in judge(answered(), replace(unknown, hop_limit_was_low=True)).undetermined


def test_a_silent_imds_has_no_hop_limit() -> None:
    """What was measured counts if the poll after it is answered; a poll that is not leaves the fault as it was."""
    assert monitor.update_hop_limit(memory_with(), unanswered(), 1).hop_limit.measured is None
    assert monitor.update_hop_limit(memory_with(), answered(), 1).hop_limit.measured == 1
    low = Prior(hop_limit=1, needed_hop_limit=2)
    assert Fault.IMDS_HOP_LIMIT in judge(unanswered(), low).undetermined
    assert faults(judge(answered(), low)) == (Fault.IMDS_HOP_LIMIT,)
    assert faults(judge(answered(), Prior(hop_limit=1))) == ()


# One poll


def test_check_measures_where_containers_are_expected(
    imds: Simulator, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It shows the limit in a line, and both figures in the fault, with the command that raises it."""
    imds.switch("hop_limit_of_one")
    monkeypatch.setenv("ROLEWATCH_IMDS_TIMEOUT", "300ms")
    assert main(["check", "--endpoint", imds.endpoint]) == State.OK.exit_code
    assert "hop limit" not in capsys.readouterr().out
    monkeypatch.setenv("ROLEWATCH_EXPECT_CONTAINERS", "true")

    assert main(["check", "--endpoint", imds.endpoint]) == State.DEGRADED.exit_code
    shown = capsys.readouterr().out
    assert "hop limit         1: too low for containers behind a bridge\n" in shown
    assert "hop_limit=1, needed_hop_limit=2" in shown
    assert "--http-put-response-hop-limit 2" in shown
    monkeypatch.setenv("ROLEWATCH_EXPECT_CONTAINER_HOP_LIMIT", "3")
    assert main(["check", "--json", "--endpoint", imds.endpoint]) == State.DEGRADED.exit_code
    document = json.loads(capsys.readouterr().out)
    assert document["hop_limit"] == 1
    assert "--http-put-response-hop-limit 3" in document["faults"][0]["fix"][1]["command"]


def test_a_late_answer_is_no_hop_limit(
    imds: Simulator, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`check` waits longer once: a slow IMDS is slow, and a proxy with a dead backend answers in the end."""
    imds.enter(replace(HEALTHY, network_faults=(NetworkFault(Effect.LATENCY, Target.TOKEN, seconds=0.5),)))
    monkeypatch.setenv("ROLEWATCH_IMDS_TIMEOUT", "400ms")

    assert main(["check", "--json", "--endpoint", imds.endpoint]) == State.UNKNOWN.exit_code
    (fault,) = json.loads(capsys.readouterr().out)["faults"]
    assert (fault["fault"], fault["evidence"]["reason"]) == ("imds_error", "slow")
