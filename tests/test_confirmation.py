"""What a confirmation found out from AWS becomes active in the daemon, with its age, and goes stale."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import START, diagnosis
from promises import Area, promise
from rolewatch.cli.poll_once import confirmation_request
from rolewatch.errors import ConfirmationError
from rolewatch.faults import CONFIRMED_FAULTS, Fault
from rolewatch.monitor.confirmation import AHEAD, DECIDED_BY, ConfirmationFile, decode
from rolewatch.settings import ConfirmSettings, Settings
from rolewatch.simulator import Simulator
from rolewatch.text import rfc3339
from rolewatch.vocabulary import EventKind, State
from stage import Stage, Time

HOUR = 3600.0


def test_every_confirmed_fault_has_the_check_that_decides_it() -> None:
    """A fault that only AWS can show would otherwise never be cleared."""
    assert set(DECIDED_BY.values()) == set(CONFIRMED_FAULTS)


def test_what_was_found_decided_and_left_open_is_distinguished() -> None:
    """A fault that was found is active, one whose check passed is not, and an undecided one is not reported."""
    read = decode(diagnosis(Fault.ROLE_SWAP_PENDING, Fault.ROTATION_OVERDUE, undecided=Fault.CREDENTIALS_REJECTED))

    assert read.at == START
    assert [finding.fault for finding in read.findings] == [Fault.ROLE_SWAP_PENDING]
    assert read.findings[0].evidence == {"role": "web-server"}
    assert read.undetermined == (Fault.CREDENTIALS_REJECTED,)


def test_a_check_that_was_skipped_decides_nothing() -> None:
    """No credentials, or no network: all four stay as they were."""
    assert decode(diagnosis(checks=[])).undetermined == CONFIRMED_FAULTS


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("{", id="cut off"),
        pytest.param("[]", id="a list"),
        pytest.param("{}", id="nothing in it"),
        pytest.param(diagnosis(schema=2), id="another schema"),
        pytest.param(diagnosis(polled="yesterday"), id="no time"),
        pytest.param(diagnosis(faults=[{"fault": "bad_weather", "evidence": {}}]), id="an unknown fault"),
        pytest.param(
            diagnosis(faults=[{"fault": "role_swap_pending", "evidence": {"token": "x"}}]), id="unknown evidence"
        ),
        pytest.param(
            diagnosis(faults=[{"fault": "role_swap_pending", "evidence": {"role": "a\nb"}}]), id="two lines of evidence"
        ),
        pytest.param(diagnosis(checks={"a": 1}), id="checks of another shape"),
        pytest.param("[" * 100_000, id="deep"),
    ],
)
def test_what_is_no_diagnosis_is_refused(text: str) -> None:
    """With an error of our own, for any contents."""
    with pytest.raises(ConfirmationError):
        decode(text)


@promise(
    Area.SECRETS,
    "the evidence of a confirmation is hostile: keys, a token, markup or 200 kB where a name should be",
    "it is refused, and nothing of it is repeated",
)
@pytest.mark.parametrize("key", ["role", "instance_profile", "instance_profile_id", "code", "confirmed", "document"])
@pytest.mark.parametrize(
    "value",
    [
        pytest.param("ASIACANARY7CANARY7QX", id="a key id"),
        pytest.param("wJalrCANARYtnFEMI/K7MDENG+bPxRfiCYCANARY", id="a secret key"),
        pytest.param("IQoJb3JpZ2luX2VjCANARY" + "Zm9vYmFy" * 100, id="a token"),
        pytest.param("CANARY" * 30_000, id="200 kB"),
        pytest.param("<script>CANARY()</script>", id="markup"),
        pytest.param("CANARY\x1b[2J", id="escapes for a terminal"),
        pytest.param({"CANARY": 1}, id="an object"),
    ],
)
def test_evidence_that_is_no_name_is_refused(key: str, value: object) -> None:
    """Evidence is shown on the page and in the journal. Another process writes it: only what can be a name passes."""
    text = diagnosis(faults=[{"fault": "role_swap_pending", "evidence": {key: value}}])
    with pytest.raises(ConfirmationError) as caught:
        decode(text)

    assert "CANARY" not in str(caught.value)


def test_a_schema_that_is_no_number_is_not_repeated() -> None:
    """The complaint goes to the journal, and quotes nothing but numbers."""
    with pytest.raises(ConfirmationError) as caught:
        decode(diagnosis(schema="CANARY"))

    assert "CANARY" not in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=9,
)


@given(changes=st.dictionaries(st.sampled_from(["schema", "instance_id", "checks", "faults", "polled"]), JSON))
def test_any_json_is_read_or_refused(changes: dict[str, Any]) -> None:
    """The daemon must survive whatever another process writes."""
    with contextlib.suppress(ConfirmationError):
        decode(json.dumps({**json.loads(diagnosis(Fault.ROLE_SWAP_PENDING)), **changes}))


def test_the_file_need_not_be_there(tmp_path: Path) -> None:
    """Before the first confirmation there is none."""
    assert ConfirmationFile(tmp_path / "evidence.json").read(START) is None


def test_a_bad_file_is_complained_of_once_and_a_good_one_is_read_again(tmp_path: Path) -> None:
    """It is read when it has changed, and not at every poll."""
    file = ConfirmationFile(tmp_path / "evidence.json")
    file.path.write_text("{")
    with pytest.raises(ConfirmationError):
        file.read(START)

    assert file.read(START) is None
    file.path.write_text(diagnosis(Fault.TRUST_POLICY_DENIES_EC2))
    first = file.read(START)
    assert first is not None
    assert file.read(START) is first


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    """No diagnosis has a megabyte."""
    file = ConfirmationFile(tmp_path / "evidence.json")
    file.path.write_bytes(b" " * (1 << 20))

    with pytest.raises(ConfirmationError, match="larger than"):
        file.read(START)


def test_a_pipe_in_the_place_of_the_file_does_not_hold_up_the_daemon(tmp_path: Path) -> None:
    """Who confirms is another user. The daemon does not wait for a writer who never comes."""
    file = ConfirmationFile(tmp_path / "evidence.json")
    os.mkfifo(file.path)

    with pytest.raises(ConfirmationError, match="not a regular file"):
        file.read(START)


def test_a_file_without_an_end_does_not_fill_the_daemon() -> None:
    """Its size is no promise: as much is read as a diagnosis may have, and not more."""
    file = ConfirmationFile(
        Path("/proc/kallsyms")
    )  # a regular file of no bytes, by stat(2), and of megabytes when read

    with pytest.raises(ConfirmationError, match="larger than"):
        file.read(START)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Yield a healthy IMDS, and a confirmation that may leave its evidence."""
    now = Time()
    with Simulator(now=now.utc) as imds:
        stage = Stage(imds, now, confirmation=ConfirmationFile(tmp_path / "evidence.json"))
        confirm = ConfirmSettings(file=str(tmp_path / "evidence.json"), request=str(tmp_path / "request"))
        stage.settings = replace(stage.settings, confirm=confirm)
        yield stage


def evidence(stage: Stage, *faults: Fault, **changes: Any) -> None:
    """Write the evidence of a confirmation of this moment."""
    assert stage.confirmation is not None
    instance = {"instance_id": "i-0123456789abcdef0", "polled": rfc3339(stage.time.utc())}
    stage.confirmation.path.write_text(diagnosis(*faults, **{**instance, **changes}))


def raised(stage: Stage) -> list[Fault]:
    """Return the faults that were raised, in their order."""
    return [event.fault for event in stage.recorder.events(EventKind.FAULT_RAISED) if event.fault]


def test_one_confirmation_raises_what_needs_one(stage: Stage) -> None:
    """A swap that is pending is in metric and journal like any other fault, and says when it was confirmed."""
    stage.run(stage.watch(), 10 * 60, (60, lambda: evidence(stage, Fault.ROLE_SWAP_PENDING)))

    snapshot = stage.recorder.reports[-1].snapshot
    assert raised(stage) == [Fault.ROLE_SWAP_PENDING]
    assert [active.fault for active in snapshot.faults] == [Fault.ROLE_SWAP_PENDING]
    assert str(snapshot.faults[0].evidence["confirmed"]) >= rfc3339(START + timedelta(seconds=60))
    assert snapshot.state is State.DEGRADED


def test_the_last_confirmation_is_published_while_there_is_one(stage: Stage) -> None:
    """None before it, and none once its evidence is removed."""
    file = stage.confirmation
    assert file is not None
    stage.run(stage.watch(), 10 * 60, (60, lambda: evidence(stage)), (300, file.path.unlink))

    seen = [report.snapshot.confirmed for report in stage.recorder.reports]
    (at,) = {each for each in seen if each}
    assert START + timedelta(seconds=60) <= at < START + timedelta(seconds=120)
    assert (seen[0], seen[-1]) == (None, None)


def test_a_rejection_needs_two_confirmations_however_many_polls_pass(stage: Stage) -> None:
    """IAM is eventually consistent: one refusal may be early. The polls in between count for nothing."""
    stage.run(
        stage.watch(),
        2 * HOUR,
        (60, lambda: evidence(stage, Fault.CREDENTIALS_REJECTED)),
        (HOUR, lambda: evidence(stage, Fault.CREDENTIALS_REJECTED)),
    )

    events = stage.recorder.events(EventKind.FAULT_RAISED)
    assert [event.fault for event in events] == [Fault.CREDENTIALS_REJECTED]
    at = [report.snapshot.moment.utc for report in stage.recorder.reports if events[0] in report.events]
    assert at[0] >= START + timedelta(seconds=HOUR)
    snapshot = stage.recorder.reports[-1].snapshot
    assert (snapshot.state, snapshot.credentials.usable) == (State.FAILED, False)


def test_a_confirmation_that_finds_a_fault_fixed_clears_it(stage: Stage) -> None:
    """At once: the next one is hours off, and it is no flicker."""
    stage.run(
        stage.watch(),
        HOUR,
        (60, lambda: evidence(stage, Fault.TRUST_POLICY_DENIES_EC2)),
        (600, lambda: evidence(stage)),
    )

    assert [event.fault for event in stage.recorder.events(EventKind.FAULT_CLEARED)] == [Fault.TRUST_POLICY_DENIES_EC2]
    assert stage.recorder.reports[-1].snapshot.state is State.OK


def test_a_confirmation_that_could_not_decide_leaves_a_fault_active(stage: Stage) -> None:
    """Throttled or denied is no answer."""
    fault = Fault.TRUST_POLICY_DENIES_EC2
    stage.run(
        stage.watch(),
        HOUR,
        (60, lambda: evidence(stage, fault)),
        (600, lambda: evidence(stage, undecided=fault)),
    )

    assert [active.fault for active in stage.recorder.reports[-1].snapshot.faults] == [fault]


def test_evidence_goes_stale(stage: Stage) -> None:
    """Twice the interval old, it is not accepted any more: the fault is cleared, and does not stay active for ever."""
    stage.settings = replace(stage.settings, confirm=replace(stage.settings.confirm, interval=600.0))
    stage.run(stage.watch(), HOUR, (60, lambda: evidence(stage, Fault.ROLE_SWAP_PENDING)))

    cleared = stage.recorder.events(EventKind.FAULT_CLEARED)
    assert [event.fault for event in cleared] == [Fault.ROLE_SWAP_PENDING]
    at = [report.snapshot.moment.utc for report in stage.recorder.reports if cleared[0] in report.events]
    assert timedelta(minutes=20) < at[0] - START < timedelta(minutes=23)


@pytest.mark.parametrize("ahead", [AHEAD + timedelta(minutes=10), timedelta(hours=5), timedelta(days=3650)], ids=str)
def test_evidence_of_the_future_is_refused_and_reported(stage: Stage, ahead: timedelta) -> None:
    """Evidence from before now grows old; what is dated later could be believed for as long as its writer wants."""
    watch = stage.watch()
    later = rfc3339(START + timedelta(minutes=1) + ahead)
    stage.run(watch, 3 * 60, (60, lambda: evidence(stage, Fault.ROLE_SWAP_PENDING, polled=later)))

    assert raised(stage) == []
    assert watch.memory.confirmed_at is None
    assert watch.publisher_failures["confirmation"] == 1
    (event,) = stage.recorder.events(EventKind.PUBLISHER_FAILED)
    assert later in event.message


def test_evidence_a_little_ahead_is_believed(stage: Stage) -> None:
    """A clock that is stepped back by some seconds between two polls makes no evidence false."""
    later = rfc3339(START + timedelta(seconds=60) + AHEAD)
    stage.run(stage.watch(), 10 * 60, (60, lambda: evidence(stage, Fault.ROLE_SWAP_PENDING, polled=later)))

    assert raised(stage) == [Fault.ROLE_SWAP_PENDING]


def test_evidence_of_the_future_is_believed_when_its_time_has_come(stage: Stage) -> None:
    """The local clock was in 1970 at the boot: what an earlier confirmation left behind counts once NTP has set it."""
    later = rfc3339(START + timedelta(minutes=30))
    stage.run(stage.watch(), 45 * 60, (60, lambda: evidence(stage, Fault.ROLE_SWAP_PENDING, polled=later)))

    assert raised(stage) == [Fault.ROLE_SWAP_PENDING]


def test_a_local_clock_that_is_set_back_clears_nothing(stage: Stage) -> None:
    """Evidence that was accepted once stays, though it seems to be of the future now."""

    def set_back() -> None:
        stage.time.error = -3600.0

    stage.run(stage.watch(), 30 * 60, (60, lambda: evidence(stage, Fault.ROLE_SWAP_PENDING)), (600, set_back))

    assert Fault.ROLE_SWAP_PENDING in {active.fault for active in stage.recorder.reports[-1].snapshot.faults}
    assert stage.recorder.events(EventKind.FAULT_CLEARED) == []


def test_evidence_of_another_instance_is_not_believed(stage: Stage) -> None:
    """An image that was made of a running instance brings its file along."""
    stage.run(
        stage.watch(), HOUR, (60, lambda: evidence(stage, Fault.ROLE_SWAP_PENDING, instance_id="i-0fedcba9876543210"))
    )

    assert raised(stage) == []


def test_a_restart_does_not_count_a_confirmation_twice(stage: Stage) -> None:
    """The same file, read by a new process, is still one confirmation for each process."""
    evidence(stage, Fault.CREDENTIALS_REJECTED)
    stage.run(stage.watch(), 120)
    stage.run(stage.watch(), 240)

    assert raised(stage) == []


def test_evidence_that_cannot_be_read_is_reported_and_polling_goes_on(stage: Stage) -> None:
    """It is counted, said once, and everything else is as it was."""
    assert stage.confirmation is not None
    path = stage.confirmation.path
    watch = stage.watch()

    def spoil() -> None:
        path.write_text("{")

    stage.run(watch, 600, (60, spoil))

    assert watch.publisher_failures["confirmation"] == 1
    (event,) = stage.recorder.events(EventKind.PUBLISHER_FAILED)
    assert "not a diagnosis" in event.message
    assert stage.recorder.reports[-1].snapshot.state is State.OK


def test_a_raised_fault_asks_for_a_confirmation_within_the_spread(stage: Stage, tmp_path: Path) -> None:
    """A fleet that breaks at once does not ask at once: each instance waits its own part of the spread, once."""
    asked: list[float] = []

    def note() -> None:
        if (tmp_path / "request").exists():
            asked.append(stage.time.elapsed)
            (tmp_path / "request").unlink()

    every_minute = [(60.0 * minute, note) for minute in range(1, 40)]
    stage.run(stage.watch(), 40 * 60, (300, lambda: stage.imds.switch("assume_role_unauthorized")), *every_minute)

    assert len(asked) == 1
    assert 300 < asked[0] < 300 + 60 + stage.settings.confirm.spread + 60


def test_a_fault_that_comes_and_goes_asks_once_in_a_spread(stage: Stage, tmp_path: Path) -> None:
    """The budget of the AWS API is the whole account's, also of an instance that flickers all day."""
    stage.settings = replace(stage.settings, confirm=replace(stage.settings.confirm, spread=1200.0))
    asked: list[float] = []

    def note() -> None:
        with contextlib.suppress(FileNotFoundError):
            (tmp_path / "request").unlink()
            asked.append(stage.time.elapsed)

    every_minute = [(60.0 * minute, note) for minute in range(1, 120)]
    flicker = [
        (240.0 * turn, lambda turn=turn: stage.imds.switch("healthy" if turn % 2 else "assume_role_unauthorized"))
        for turn in range(1, 30)
    ]
    stage.run(stage.watch(), 2 * HOUR, *every_minute, *flicker)

    assert len(raised(stage)) >= 10
    assert 2 <= len(asked) <= 2 * HOUR / 1200
    assert all(later - earlier >= 1200 - 60 for earlier, later in zip(asked, asked[1:]))


@pytest.mark.parametrize(
    ("environ", "setting", "expected"),
    [
        ({}, "", None),
        ({"RUNTIME_DIRECTORY": ""}, "", None),
        ({"RUNTIME_DIRECTORY": "/run/rolewatch"}, "", Path("/run/rolewatch/confirm")),
        ({"RUNTIME_DIRECTORY": "/run/one:/run/two"}, "", Path("/run/one/confirm")),
        ({"RUNTIME_DIRECTORY": "/run/rolewatch"}, "/srv/request", Path("/srv/request")),
    ],
    ids=["no systemd", "nothing", "as the unit", "several", "a setting"],
)
def test_a_request_goes_where_systemd_gives_room_unless_a_setting_says_otherwise(
    environ: dict[str, str], setting: str, expected: Path | None
) -> None:
    """So the units alone switch confirmation on and off; without systemd, and without a setting, nobody is asked."""
    assert confirmation_request(Settings(confirm=ConfirmSettings(request=setting)), environ) == expected


def test_health_asks_for_no_confirmation(stage: Stage, tmp_path: Path) -> None:
    """The timer does, each interval. The budget of the AWS API is the whole account's."""
    stage.run(stage.watch(), HOUR)

    assert not (tmp_path / "request").exists()
