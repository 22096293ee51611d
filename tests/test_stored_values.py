"""The daemon calculates with the contents of its files: whole polls follow, whatever they contain."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audited import BOOT, AuditedDaemon, Time
from builders import HOUR, LIFE, ROLE, START, UPTIME, diagnosis, moment
from forms import examples
from offline import Scripted
from promises import Area, promise
from rolewatch.errors import ConfirmationError, StateFileError
from rolewatch.faults import Fault
from rolewatch.imds.client import Answer
from rolewatch.monitor.confirmation import ConfirmationFile
from rolewatch.monitor.state_file import StateFile
from rolewatch.observation import Failure
from rolewatch.settings import Settings
from rolewatch.text import rfc3339
from rolewatch.vocabulary import EVIDENCE_KEYS, Phase, Reason
from test_state_file import FULL, paths_of, with_value

NUMBERS: list[Any] = [0, 1, -1, 0.5, 3600, 604_800, 5e-324, 1e12, 1e17, 1e300, 1e999, float("nan"), 2**53, 10**400]
"""Numbers that other numbers cannot be added to, multiplied with or divided by, or that no clock has."""
ANY_NUMBER = st.sampled_from(NUMBERS) | st.floats() | st.integers()
SHARED_DIRECTORY = [HealthCheck.function_scoped_fixture]


def answers(updated: datetime) -> list[Answer | Failure]:
    """Return what IMDS answers a minute after it got the set of *updated*: four documents of a healthy role."""
    document = {
        "Code": "Success",
        "LastUpdated": rfc3339(updated),
        "AccessKeyId": f"ASIA{updated:%H%M%S}EXAMPLE7",
        "SecretAccessKey": "x" * 40,
        "Token": "y" * 40,
        "Expiration": rfc3339(updated + LIFE),
    }
    date = format_datetime(updated + timedelta(seconds=60), usegmt=True)
    bodies = ("token", json.dumps({"Code": "Success"}), ROLE, json.dumps(document))
    return [Answer(200, date, bytearray(body, "utf-8")) for body in bodies]


def poll(daemon: AuditedDaemon, number: int, said: list[Answer | Failure]) -> None:
    """Let *daemon* poll at the hour *number*, and IMDS answer what is *said*."""
    assert isinstance(daemon.clock, Time)
    assert isinstance(daemon.client, Scripted)
    daemon.clock.uptime = UPTIME + 3600.0 * number + 60
    daemon.client.answers = iter(said)
    daemon.poll()


def start_with(directory: Path, state: object) -> None:
    """Start a whole daemon with *state* in its file, unless it refuses that. IMDS is silent, and then rotates."""
    file = StateFile(directory)
    file.path.write_text(json.dumps(state))
    with contextlib.suppress(StateFileError):
        file.load(boot_id=BOOT)
        daemon = AuditedDaemon(Settings(), directory, Scripted(), Time())
        daemon.auditor.since = {fault: rfc3339(each.since) for fault, each in daemon.watch.memory.faults.items()}
        daemon.auditor.restarted(same_boot=True)
        poll(daemon, 0, [Failure(Phase.CONNECT, Reason.REFUSED, "", errno=111)])
        for number in (0, 1, 2):
            poll(daemon, number, answers(START + number * HOUR))


def state(directory: Path) -> Any:  # noqa: ANN401 - any JSON
    """Return the state of a daemon that remembers something of every kind."""
    file = StateFile(directory)
    file.save(replace(FULL, boot_id=BOOT), moment())
    return json.loads(file.path.read_text())


@pytest.mark.parametrize("number", NUMBERS, ids=repr)
@pytest.mark.parametrize("count", [2, 7, 8, 1000])
def test_with_any_intervals_it_watches(number: object, count: int, tmp_path: Path) -> None:
    """A learned cadence is doubled, added to times, and divided by."""
    start_with(tmp_path, {**state(tmp_path), "intervals": [number] * count})


@pytest.mark.slow
@promise(
    Area.SURROUNDINGS,
    "Any number is in the place of any value of the state file",
    "The file is ignored, or whole polls go well with what was loaded: verdict, metrics, page, journal, state file",
)
@given(number=ANY_NUMBER, data=st.data())
@settings(max_examples=examples(400), suppress_health_check=SHARED_DIRECTORY)
def test_with_any_number_in_any_place_it_watches(number: object, data: st.DataObject, tmp_path: Path) -> None:
    """What is loaded can be calculated with, at the first poll and at each that follows."""
    whole = state(tmp_path)
    path = data.draw(st.sampled_from(paths_of(whole)), "path")
    start_with(tmp_path, with_value(whole, path, number))


@pytest.mark.slow
@promise(
    Area.SURROUNDINGS,
    "Any number, or any name, is in the place of any piece of evidence of a confirmation",
    "The evidence is refused, or reported like any other: in verdict, metrics, page, journal and state file",
)
@given(key=st.sampled_from(EVIDENCE_KEYS), value=ANY_NUMBER | st.sampled_from(["web", "7", "true", ""]))
@settings(max_examples=examples(400), suppress_health_check=SHARED_DIRECTORY)
def test_any_evidence_of_a_confirmation_can_be_reported(key: str, value: object, tmp_path: Path) -> None:
    """A name in the place of a number is no number. Another user writes the file."""
    path = tmp_path / "evidence.json"
    found = [{"fault": Fault.ROLE_SWAP_PENDING.value, "evidence": {key: value}}]
    path.write_text(diagnosis(faults=found, instance_id=None))
    (tmp_path / "state.json").unlink(missing_ok=True)
    with contextlib.suppress(ConfirmationError):
        ConfirmationFile(path).read(START)
        daemon = AuditedDaemon(Settings(), tmp_path, Scripted(), Time())
        daemon.watch.setup = replace(daemon.watch.setup, confirmation=ConfirmationFile(path))
        for number in (0, 1):
            poll(daemon, number, answers(START + number * HOUR))
        assert Fault.ROLE_SWAP_PENDING in daemon.watch.memory.faults
