"""Which clock is kept by: what is remembered survives a forged `Date`, and a local clock that is wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from builders import (
    DAY,
    HOUR,
    INSTANCE_ID,
    START,
    Lookout,
    Platform,
    answered,
    credentials,
    detached,
    memory_with,
    moment,
    simulate,
    unanswered,
)
from forms import some
from promises import Area, promise
from rolewatch import monitor
from rolewatch.faults import Fault
from rolewatch.http.page import page_time
from rolewatch.monitor.classify import classify
from rolewatch.monitor.clock import CONFIRMED, keep_time
from rolewatch.monitor.memory import Memory
from rolewatch.monitor.state_file import StateFile
from rolewatch.observation import Answered, Identity, Moment, Observation
from rolewatch.publish import Snapshot
from rolewatch.settings import LimitSettings, Settings
from rolewatch.vocabulary import EventKind, State

YEAR = 365 * 86400.0
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
END = datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone.utc)
WRONG = {
    "12 h ahead": 12 * 3600.0,
    "12 h behind": -12 * 3600.0,
    "6 min behind": -360.0,
    "40 days ahead": 40 * 86400.0,
    "40 days behind": -40 * 86400.0,
    "10 years ahead": 10 * YEAR,
    "in 1970": (EPOCH - START).total_seconds(),
}
"""How a local clock is wrong, in seconds."""
FORGED = {
    "9999": END,
    "tomorrow": START + 36 * HOUR,
    "in 6 hours": START + 8 * HOUR,
    "6 hours ago": START - 4 * HOUR,
    "1970": EPOCH,
    "the year 1": datetime(1, 1, 1, tzinfo=timezone.utc),
}


RESTARTS = ("no restart", "restart before", "restart after", "restart before and after")


def forged(date: datetime, at: float, *, document: datetime | None = None) -> Answered:
    """Return an observation *at* seconds after `START`: IMDS's clock shows *date*, its set *document* or *date*."""
    made = document or date
    until = made + 6 * HOUR if made < END - DAY else END
    good = Platform().at(at)
    return replace(good, date=date, credentials=credentials(last_updated=made, expiration=until, serial=0xF0F0))


def kept(memory: Memory, directory: Path) -> dict[str, Any]:
    """Return what the state file keeps of *memory*; without the evidence of `clock_skew`, the last offset."""
    file = StateFile(directory)
    file.save(memory, moment())
    state: dict[str, Any] = json.loads(file.path.read_text())
    state["faults"].get(Fault.CLOCK_SKEW.value, {}).pop("evidence", None)
    return state


def restarted(lookout: Lookout, directory: Path) -> Lookout:
    """Return the lookout of a daemon that is started on the state file of *lookout*."""
    StateFile(directory).save(lookout.memory, moment())
    memory = StateFile(directory).load(boot_id=lookout.memory.boot_id)
    return Lookout(lookout.settings, memory=memory, now=lookout.now)


def single(memory: Memory, seen: Observation, now: Moment) -> Snapshot:
    """Return what `check` makes of *seen*, where a daemon left *memory* behind."""
    settings = Settings()
    memory = keep_time(memory, seen, now)
    verdict = classify(seen, monitor.prior(memory, seen, settings, now), settings.limits, now)
    return monitor.single_poll(memory, seen, verdict, settings, now)


FORGED_DATES = pytest.mark.parametrize("date", some(FORGED, "9999", "tomorrow", "1970"))
HOWEVER_WRONG = pytest.mark.parametrize("error", some(WRONG, "12 h ahead", "40 days behind", "in 1970"))


# A forged poll


@FORGED_DATES
@pytest.mark.parametrize("error", [0.0, -12 * 3600.0], ids=["local clock right", "local clock wrong"])
def test_a_forged_poll_changes_nothing_that_is_kept(date: datetime, error: float, tmp_path: Path) -> None:
    """Not the newest date, not the set that the next rotation is measured from, no interval, no fault."""
    lookout, at = Lookout(), 2.1 * 3600
    simulate(lookout, Platform().at, 0, at, clock_error=error)
    before, offset = kept(lookout.memory, tmp_path), lookout.snapshot().clock_offset
    lookout.see(forged(date, at), moment(at, clock_error=error))

    assert kept(lookout.memory, tmp_path) == before
    assert lookout.snapshot().clock_offset == offset


@FORGED_DATES
@pytest.mark.parametrize("error", [0.0, -12 * 3600.0], ids=["local clock right", "local clock wrong"])
def test_a_forged_date_judges_no_credentials(date: datetime, error: float, tmp_path: Path) -> None:
    """The `Date` alone is broken: neither this poll nor the outage after it calls the credentials expired."""
    lookout, at = Lookout(), 2.1 * 3600
    simulate(lookout, Platform().at, 0, at, clock_error=error)
    before, state = kept(lookout.memory, tmp_path), lookout.memory.status.state
    lookout.see(replace(Platform().at(at), date=date), moment(at, clock_error=error))

    assert kept(lookout.memory, tmp_path) == before
    assert (lookout.memory.status.state, lookout.memory.status.usable) == (state, True)
    simulate(lookout, lambda _: unanswered(), at + 30, at + 300, clock_error=error)
    assert set(lookout.active()) - {Fault.CLOCK_SKEW} == {Fault.IMDS_UNREACHABLE}
    assert lookout.memory.status.usable is True


@pytest.mark.parametrize("error", [0.0, -12 * 3600.0], ids=["local clock right", "local clock wrong"])
def test_a_date_that_goes_back_once_hides_no_expiry(error: float) -> None:
    """Three hours back, in a poll whose credentials have expired in truth."""
    lookout, stuck, at = Lookout(), Platform(stuck=((0, 10 * 3600),)), 7 * 3600.0
    simulate(lookout, stuck.at, 0, at, step=300, clock_error=error)
    assert Fault.CREDENTIALS_EXPIRED in lookout.active()
    seen = replace(stuck.at(at), date=moment(at).utc - 3 * HOUR)
    lookout.see(seen, moment(at, clock_error=error))

    assert lookout.memory.faults[Fault.CREDENTIALS_EXPIRED].unseen == 0
    assert lookout.memory.status.usable is False


@pytest.mark.parametrize("error", [12 * 3600.0, -12 * 3600.0], ids=["ahead", "behind"])
def test_an_answer_without_date_is_judged_by_the_believed_clock(error: float) -> None:
    """A wrong local clock and one `Date` that cannot be read: no expiry is invented, and none is hidden."""
    for platform, at, expired in ((Platform(), 2.1 * 3600, False), (Platform(stuck=((0, 10**5),)), 7 * 3600.0, True)):
        lookout = Lookout()
        simulate(lookout, platform.at, 0, at, step=300, clock_error=error)
        lookout.see(replace(platform.at(at), date=None), moment(at, clock_error=error))

        assert lookout.memory.status.usable is not expired
        assert (Fault.CREDENTIALS_EXPIRED in lookout.active()) is expired


def test_a_first_date_that_was_never_confirmed_judges_no_answer_without_one() -> None:
    """It was plausible and alone: whatever has no `Date` after it is judged by the local clock."""
    lookout = Lookout()
    lookout.see(replace(Platform().at(0), date=START + 8 * HOUR), moment())
    simulate(lookout, lambda elapsed: replace(Platform().at(elapsed), date=None), 30, 120)

    assert lookout.active() == ()
    assert lookout.memory.status.usable is True


def test_a_forged_date_gives_no_boot_grace() -> None:
    """The age of the instance is judged by the believed clock, too."""
    pending = START - HOUR
    lookout = Lookout()
    lookout.see(answered(identity=Identity(INSTANCE_ID, pending_time=pending)), moment())
    lookout.memory = memory_with(lookout.memory, usable_seen=False)
    lookout.see(detached(date=pending + timedelta(seconds=10)), moment(30))

    assert Fault.INSTANCE_PROFILE_DETACHED in lookout.memory.faults


def test_a_single_poll_is_not_judged_by_a_date_before_the_last_one_that_was_kept(tmp_path: Path) -> None:
    """`check` and `diagnose` have the state file: a `Date` three hours before the set was last seen is wrong."""
    lookout, stuck, at = Lookout(), Platform(stuck=((0, 10**5),)), 7 * 3600.0
    simulate(lookout, stuck.at, 0, at, step=300)
    memory = restarted(lookout, tmp_path).memory
    snapshot = single(memory, replace(stuck.at(at), date=moment(at).utc - 3 * HOUR), moment(at))

    assert Fault.CREDENTIALS_EXPIRED in {each.fault for each in snapshot.faults}
    assert snapshot.credentials.usable is False


@promise(
    Area.IMDS,
    "One poll has a Date and a LastUpdated of another day or year, before or after a restart",
    "Nothing that is kept changes, and the next rotations are counted and learned from",
)
@FORGED_DATES
@pytest.mark.parametrize("restart", some({each: each for each in RESTARTS}, "no restart", "restart before and after"))
def test_a_forged_poll_does_not_stop_the_counting(date: datetime, restart: str, tmp_path: Path) -> None:
    """The next five rotations count five."""
    lookout = Lookout()
    simulate(lookout, Platform().at, 0, 2.1 * 3600)
    if "before" in restart:
        lookout = restarted(lookout, tmp_path)
    lookout.see(forged(date, 2.1 * 3600), moment(2.1 * 3600))
    if "after" in restart:
        lookout = restarted(lookout, tmp_path)
    counted = lookout.snapshot().credentials.rotations
    simulate(lookout, Platform().at, 2.1 * 3600 + 30, 7.5 * 3600)

    assert lookout.snapshot().credentials.rotations - counted == 5
    assert set(lookout.memory.credentials.intervals) == {3600.0}
    assert lookout.active() == ()


@FORGED_DATES
def test_answers_without_a_date_end_a_doubt(date: datetime) -> None:
    """One forged poll, and no `Date` at all after it: the next five rotations count five."""
    lookout = Lookout()
    simulate(lookout, Platform().at, 0, 2.1 * 3600)
    lookout.see(forged(date, 2.1 * 3600), moment(2.1 * 3600))
    counted = lookout.snapshot().credentials.rotations
    simulate(lookout, lambda elapsed: replace(Platform().at(elapsed), date=None), 2.1 * 3600 + 30, 7.5 * 3600)

    assert lookout.snapshot().credentials.rotations - counted == 5
    assert set(lookout.memory.credentials.intervals) == {3600.0}


def test_silence_does_not_end_a_doubt() -> None:
    """Three polls in a row with the same new clock are three, with polls that got no answer between them."""
    lookout = Lookout()
    simulate(lookout, Platform().at, 0, 600)
    for at in (600, 660, 720):
        lookout.see(forged(START + 400 * DAY + timedelta(seconds=at), at), moment(at))
        lookout.see(unanswered(), moment(at + 30))

    assert lookout.memory.clock.date == START + 400 * DAY + timedelta(seconds=720)


@FORGED_DATES
def test_a_forged_poll_in_a_rotation_costs_that_one_at_most(date: datetime) -> None:
    """In the place of the last observation of a set, or of the first of its successor."""
    for at in (3570, 3600):
        lookout = Lookout()
        simulate(lookout, Platform().at, 0, at)
        lookout.see(forged(date, at), moment(at))
        simulate(lookout, Platform().at, at + 30, 6.5 * 3600)

        assert lookout.snapshot().credentials.rotations == 6
        assert set(lookout.memory.credentials.intervals) == {3600.0}


def test_a_set_of_another_year_is_shown_and_not_kept() -> None:
    """IMDS does serve it: what the metrics say of it is true, and nothing is learned from it."""
    lookout = Lookout()
    simulate(lookout, Platform().at, 0, 600)
    snapshot = lookout.see(forged(moment(600).utc, 600, document=START + 400 * DAY), moment(600))

    assert snapshot.credentials.last_updated == START + 400 * DAY
    assert lookout.memory.credentials.last is not None
    assert lookout.memory.credentials.last.last_updated == START
    assert lookout.see(Platform().at(630), moment(630)).credentials.last_updated == START


def test_a_fault_that_is_first_seen_in_a_forged_poll_has_the_right_since() -> None:
    """The fault lasts, and its `since` is kept: it is of the clock that was believed."""
    lookout = Lookout()
    simulate(lookout, Platform().at, 0, 600)
    failed = credentials(code="Failed")
    lookout.see(replace(forged(END, 600), credentials=failed), moment(600))
    lookout.see(replace(Platform().at(630), credentials=failed), moment(630))

    assert [(each.fault, each.since) for each in lookout.snapshot().faults] == [
        (Fault.CREDENTIALS_ERROR, moment(600).utc)
    ]


def test_a_fault_that_is_not_raised_yet_is_dated_anew_when_the_clock_moves() -> None:
    """The first `Date` is forged and believed, without a doubt; the fault is raised once IMDS's own clock is back."""
    lookout, failed = Lookout(), credentials(code="Failed")
    lookout.see(answered(credentials=failed, date=START + 8 * HOUR), moment())
    lookout.see(answered(credentials=failed, date=moment(30).utc), moment(30))

    assert [(each.fault, each.since) for each in lookout.snapshot().faults] == [(Fault.CREDENTIALS_ERROR, START)]


def test_a_fault_that_is_raised_keeps_its_since() -> None:
    """It is in the journal, and `rolewatch history` finds the end of a fault by its `since`."""
    lookout, failed = Lookout(), credentials(code="Failed")
    for at in (0, 30):
        lookout.see(answered(credentials=failed, date=moment(at).utc + 8 * HOUR), moment(at))
    for at in (60, 90, 120):
        lookout.see(replace(Platform().at(at)), moment(at))

    fault = Fault.CREDENTIALS_ERROR
    (raised,), (cleared,) = (lookout.events(k, fault) for k in (EventKind.FAULT_RAISED, EventKind.FAULT_CLEARED))
    assert raised.fields["since"] == cleared.fields["since"]
    assert cleared.fields["duration_seconds"] == 90


@pytest.mark.parametrize("error", [0.0, 12 * 3600.0], ids=["local clock right", "local clock wrong"])
def test_forging_that_lasts_does_no_harm_once_it_is_over(error: float, tmp_path: Path) -> None:
    """A clock that goes on for hours in 9998 is believed. When IMDS's own is back, all counts again in three polls."""
    lookout, far = Lookout(), END - 400 * DAY - START

    def forger(elapsed: float) -> Answered:
        return forged(START + far + timedelta(seconds=elapsed), elapsed)

    simulate(lookout, Platform().at, 0, 1800, clock_error=error)
    simulate(lookout, forger, 1800, 2 * 3600, clock_error=error)
    assert lookout.memory.credentials.newest is not None
    assert lookout.memory.credentials.newest > START + 400 * DAY
    lookout = restarted(lookout, tmp_path)
    simulate(lookout, Platform().at, 2.1 * 3600, 7.5 * 3600, clock_error=error)

    assert lookout.snapshot().credentials.rotations == 5
    assert set(lookout.memory.credentials.intervals) == {3600.0}
    assert lookout.memory.credentials.newest == START + 7 * HOUR


def test_a_state_file_with_a_date_of_9999_heals(tmp_path: Path) -> None:
    """An earlier version saved a forged date: the first good poll drops it."""
    lookout = Lookout()
    simulate(lookout, Platform().at, 0, 1800)
    lookout.memory = memory_with(lookout.memory, newest=END)
    lookout = restarted(lookout, tmp_path)
    simulate(lookout, Platform().at, 1800, 5.5 * 3600)

    assert lookout.snapshot().credentials.rotations == 5
    assert lookout.memory.credentials.newest == START + 5 * HOUR


# A local clock that is wrong


@HOWEVER_WRONG
@pytest.mark.parametrize("restart", [False, True], ids=["no restart", "restart each hour"])
def test_a_wrong_local_clock_stops_no_counting(error: float, restart: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a parameter
    """From the first poll on, with IMDS right: every rotation is counted, learned from, and dated by IMDS."""
    lookout, counted = Lookout(), 0
    for begin in range(0, 6 * 3600, 3600):
        simulate(lookout, Platform().at, begin + 600, begin + 4200, clock_error=error)
        if restart:
            counted += lookout.snapshot().credentials.rotations
            lookout = restarted(lookout, tmp_path)

    assert counted + lookout.snapshot().credentials.rotations == 6
    assert set(lookout.memory.credentials.intervals) == {3600.0}
    assert lookout.memory.credentials.newest == START + 6 * HOUR


@HOWEVER_WRONG
def test_a_wrong_local_clock_is_reported_as_before(error: float) -> None:
    """`clock_skew` by the third poll, since the first by IMDS's clock, and with the offset in the same poll."""
    lookout = Lookout(memory=Memory())
    simulate(lookout, Platform().at, 600, 600 + 30 * CONFIRMED, clock_error=error)

    (active,) = lookout.snapshot().faults
    assert (active.fault, active.since) == (Fault.CLOCK_SKEW, moment(600).utc)
    assert lookout.snapshot().clock_offset == error


@HOWEVER_WRONG
def test_a_local_clock_that_is_set_right_changes_nothing(error: float) -> None:
    """NTP comes up after the boot: the skew is over, and the counting goes on as if nothing had been."""
    lookout = Lookout(memory=Memory())
    simulate(lookout, Platform().at, 600, 1200, clock_error=error)
    simulate(lookout, Platform().at, 1200, 5.5 * 3600)

    assert lookout.snapshot().credentials.rotations == 5
    assert {event.fault for event in lookout.events(EventKind.FAULT_RAISED)} == {Fault.CLOCK_SKEW}
    assert lookout.active() == ()


def test_a_local_clock_that_is_far_behind_needs_three_polls_to_be_found_wrong() -> None:
    """A first `Date` forty days ahead may be forged: nothing is learned before the third that agrees with it."""
    lookout = Lookout(memory=Memory())
    learned: list[bool] = []
    for elapsed in (0, 30, 60):
        lookout.see(Platform().at(elapsed), moment(elapsed, clock_error=-40 * 86400))
        learned.append(lookout.memory.credentials.newest is not None)

    assert learned == [False, False, True]


def test_a_step_of_the_local_clock_while_imds_is_silent_moves_no_time_that_is_shown() -> None:
    """The page counts down by the believed clock, and says since when the state is `unknown` by it."""
    lookout = Lookout()
    simulate(lookout, Platform().at, 0, 600)
    simulate(lookout, lambda _: unanswered(), 600, 900, clock_error=10 * 3600)

    snapshot = lookout.snapshot()
    assert snapshot.time == moment(870).utc
    assert (snapshot.state, snapshot.state_since) == (State.UNKNOWN, moment(660).utc)
    assert snapshot.polls.last_success == moment(570).utc
    assert page_time(snapshot, 5.0) == moment(875).utc


def test_what_a_wrong_local_clock_dated_is_dated_anew_by_the_believed_one() -> None:
    """The state, and the last poll that yielded credentials: the first polls are in doubt."""
    lookout = Lookout(Settings(limits=LimitSettings(clock_skew=100 * 86400)), memory=Memory())
    simulate(lookout, Platform().at, 0, 60, clock_error=-40 * 86400)
    lookout.see(unanswered(date=moment(60).utc), moment(60, clock_error=-40 * 86400))

    snapshot = lookout.snapshot()
    assert (snapshot.state_since, snapshot.polls.last_success) == (START, moment(30).utc)
    assert snapshot.time == moment(60).utc


def test_a_single_poll_shows_the_time_that_it_is_judged_by() -> None:
    """`check` counts down by the clock that decided whether the credentials have expired."""
    far = START + 40 * DAY
    snapshot = single(Memory(), answered(date=far, credentials=credentials(updated=far)), moment())

    assert (snapshot.time, snapshot.credentials.usable) == (far, True)


def test_dates_that_contradict_each_other_are_never_believed() -> None:
    """Another `Date` in each poll: no third that agrees with the one before it, however many there are."""
    lookout = Lookout()
    simulate(lookout, Platform().at, 0, 600)
    for number in range(20):
        at = 600 + 30 * number
        lookout.see(forged(START + (number + 2) * DAY, at), moment(at))

    assert lookout.memory.credentials.newest == START
    assert lookout.memory.clock.date == moment(570).utc


def test_an_imds_without_a_clock_is_kept_by_the_local_one() -> None:
    """Emulators send no `Date`: the local clock is all there is."""
    lookout = Lookout()

    def dateless(elapsed: float) -> Observation:
        return replace(Platform().at(elapsed), date=None)

    simulate(lookout, dateless, 0, 3.5 * 3600)

    assert lookout.snapshot().credentials.rotations == 3
    assert lookout.snapshot().clock_offset is None


def test_the_builders_are_of_the_set_that_is_meant() -> None:
    """A forged observation is usable, so that nothing but its dates could keep it from being learned from."""
    lookout = Lookout()

    assert lookout.see(forged(START, 0), moment()).credentials.usable is True
    assert lookout.see(answered(), moment(30)).credentials.usable is True
