"""Memory: debouncing, states, events, boot grace, changes of role, rotation and its cadence, over simulated time."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor import Auditor
from builders import (
    DAY,
    HOUR,
    INSTANCE_ID,
    LIFE,
    ROLE,
    SECOND,
    START,
    UPTIME,
    Lookout,
    Platform,
    answered,
    credentials,
    detached,
    failure,
    info,
    memory_with,
    moment,
    not_found,
    refused,
    simulate,
    unanswered,
    without_role,
)
from forms import examples
from observations import observations
from rolewatch import monitor
from rolewatch.faults import FAULTS, IMDS_FAULTS, Fault
from rolewatch.monitor.classify import classify
from rolewatch.monitor.clock import keep_time
from rolewatch.monitor.memory import Memory
from rolewatch.observation import Absent, Answered, Identity, Moment, Observation, RoleListing, Tags
from rolewatch.settings import ExpectSettings, LimitSettings, Settings
from rolewatch.text import rfc3339
from rolewatch.vocabulary import CredentialStatus, EventKind, FailureLabel, Level, Phase, Reason, State

EXPECTING = Settings(expect=ExpectSettings(role=(ROLE,)))
BLIND = unanswered()
HOP_LIMIT = unanswered(Reason.NO_ANSWER, Phase.TOKEN)
DISABLED = unanswered(Reason.FORBIDDEN, Phase.TOKEN)
GARBLED = answered(credentials=failure(Reason.MALFORMED))
MISSING = answered(credentials=Absent())
WITHOUT_ROLE = answered(info=without_role(), listing=Absent(), credentials=None)

SHOWN: dict[Fault, Observation] = {
    Fault.IMDS_UNREACHABLE: BLIND,
    Fault.IMDS_HOP_LIMIT: HOP_LIMIT,
    Fault.IMDS_DISABLED: DISABLED,
    Fault.IMDS_ERROR: GARBLED,
    Fault.INSTANCE_PROFILE_DETACHED: detached(),
    Fault.INSTANCE_PROFILE_NOT_FOUND: answered(info=not_found()),
    Fault.INSTANCE_PROFILE_WITHOUT_ROLE: WITHOUT_ROLE,
    Fault.CREDENTIALS_MISSING: MISSING,
    Fault.ASSUME_ROLE_UNAUTHORIZED: answered(credentials=refused()),
    Fault.CREDENTIALS_ERROR: answered(credentials=credentials(code="Failed")),
    Fault.CREDENTIALS_EXPIRED: answered(credentials=credentials(updated=START - HOUR, life=HOUR)),
    Fault.ROTATION_OVERDUE: answered(credentials=credentials(updated=START - 4 * HOUR)),
    Fault.ROLE_MISMATCH: answered(listing=RoleListing("other"), credentials=credentials(role="other")),
    Fault.CLOCK_SKEW: answered(date=START - HOUR, credentials=credentials(updated=START - HOUR)),
}
"""For each fault, an observation that shows it and no other, under `EXPECTING`."""
EACH = pytest.mark.parametrize("fault", list(SHOWN), ids=lambda fault: fault.value)


def healthy_lookout() -> Lookout:
    """Return a lookout that has seen a healthy instance, and expects its role."""
    lookout = Lookout(EXPECTING)
    lookout.see_all(answered(), answered())
    return lookout


# Debouncing


@EACH
def test_a_fault_is_raised_after_as_many_polls_as_the_table_says(fault: Fault) -> None:
    """Not by one less; `since` is when it was first seen, by IMDS's clock."""
    lookout = healthy_lookout()
    for _ in range(FAULTS[fault].debounce - 1):
        lookout.see(SHOWN[fault])
        assert lookout.active() == ()
    lookout.see(SHOWN[fault])

    assert lookout.active() == (fault,)
    (active,) = lookout.snapshot().faults
    now = lookout.now.utc - timedelta(seconds=lookout.memory.clock.offset or 0.0)
    assert (now - active.since).total_seconds() == 30 * (FAULTS[fault].debounce - 1)
    (event,) = lookout.events(EventKind.FAULT_RAISED)
    usable = lookout.snapshot().credentials.usable
    assert (event.fault, event.level) == (fault, FAULTS[fault].severity_with(active.evidence, usable=usable))


@EACH
def test_a_fault_is_cleared_after_two_polls_without_it(fault: Fault) -> None:
    """Not by one: hysteresis, the same for metric and journal."""
    lookout = healthy_lookout()
    lookout.see_all(*[SHOWN[fault]] * 3)
    lookout.see(answered())
    assert lookout.active() == (fault,)
    lookout.see(answered())

    assert lookout.active() == ()
    assert lookout.snapshot().state is State.OK
    (event,) = lookout.events(EventKind.FAULT_CLEARED)
    assert event.fault is fault


@pytest.mark.parametrize(
    "fault", [fault for fault in SHOWN if FAULTS[fault].debounce > 1], ids=lambda fault: fault.value
)
def test_a_flicker_never_raises(fault: Fault) -> None:
    """One poll fewer than the debounce requires, then a healthy one, fifty times: no event."""
    lookout = healthy_lookout()
    for _ in range(50):
        lookout.see_all(*[SHOWN[fault]] * (FAULTS[fault].debounce - 1))
        lookout.see(answered())

    assert not lookout.events(EventKind.FAULT_RAISED)
    assert {event.fields["state"] for event in lookout.events(EventKind.STATE_CHANGED)} == {"ok"}


def test_one_poll_without_a_fault_between_two_with_it_does_not_clear() -> None:
    """A fault that is observed at every second poll is one active fault, reported once."""
    lookout = healthy_lookout()
    lookout.see_all(MISSING, MISSING)
    for _ in range(20):
        lookout.see_all(answered(), MISSING)

    assert lookout.active() == (Fault.CREDENTIALS_MISSING,)
    assert not lookout.events(EventKind.FAULT_CLEARED)


@pytest.mark.parametrize("fault", [fault for fault in SHOWN if fault not in IMDS_FAULTS], ids=lambda fault: fault.value)
def test_a_fault_stays_active_while_imds_gives_no_answer(fault: Fault) -> None:
    """Without an answer the fault is undetermined: it stays active, with its `since`, until two polls clear it."""
    lookout = healthy_lookout()
    lookout.see_all(*[SHOWN[fault]] * 3)
    since = lookout.memory.faults[fault].since
    lookout.see_all(*[BLIND] * 100)

    assert lookout.active() == (Fault.IMDS_UNREACHABLE, fault)
    assert lookout.memory.faults[fault].since == since
    lookout.see_all(answered(), answered())
    assert lookout.active() == ()


@pytest.mark.parametrize(
    "observations",
    [
        [BLIND, HOP_LIMIT],
        [HOP_LIMIT, GARBLED],
        [BLIND, GARBLED],
        [BLIND, DISABLED],
        [BLIND, HOP_LIMIT, GARBLED],
    ],
    ids=["connect, token", "token, document", "connect, document", "connect, forbidden", "all"],
)
def test_an_imds_that_fails_now_here_now_there_is_a_fault_nevertheless(observations: list[Observation]) -> None:
    """Dropped packets hit the SYN, then the token, then a document: a fault is reported within ten polls."""
    lookout = healthy_lookout()
    for observation in (observations * 10)[:10]:
        lookout.see(observation)

    assert set(lookout.active()) & set(IMDS_FAULTS)
    assert lookout.snapshot().state is State.UNKNOWN


@given(observations=st.lists(st.sampled_from([BLIND, HOP_LIMIT, DISABLED, GARBLED]), min_size=54, max_size=54))
@settings(max_examples=examples(50))
def test_no_order_of_failures_hides_that_imds_is_unreachable(observations: list[Observation]) -> None:
    """In whatever order the failures come, an unreachable IMDS is reported at the 54th poll at the latest."""
    lookout = healthy_lookout()
    lookout.see_all(*observations)

    assert lookout.events(EventKind.FAULT_RAISED)
    assert lookout.snapshot().state is State.UNKNOWN


# Reminders


def test_a_lasting_fault_is_reported_every_hour() -> None:
    """For a day: raised once, then repeated once an hour; the metric never leaves."""
    lookout = healthy_lookout()
    simulate(lookout, lambda elapsed: answered(credentials=refused(), date=moment(elapsed).utc), 60, 86400)
    times = [
        *lookout.times(EventKind.FAULT_RAISED, Fault.ASSUME_ROLE_UNAUTHORIZED),
        *lookout.times(EventKind.FAULT_PERSISTS, Fault.ASSUME_ROLE_UNAUTHORIZED),
    ]

    assert len(lookout.events(EventKind.FAULT_RAISED)) == 1
    assert len(times) == 24
    assert {after - before for before, after in zip(times, times[1:])} == {3600.0}
    assert lookout.active() == (Fault.ASSUME_ROLE_UNAUTHORIZED,)


def test_the_reminder_is_a_setting() -> None:
    """`limits.reminder` seconds."""
    lookout = Lookout(Settings(limits=LimitSettings(reminder=600.0)))
    simulate(lookout, lambda elapsed: replace(WITHOUT_ROLE, date=moment(elapsed).utc), 0, 3600)

    assert len(lookout.times(EventKind.FAULT_PERSISTS)) == 5


def test_trap_exit_or_silence_after_a_day_of_503() -> None:
    """24 hours of 503: fault and state stay visible; failed polls 1, 10, 100 and 1000 are reported."""
    throttled = unanswered(Reason.THROTTLED, Phase.TOKEN)
    lookout = healthy_lookout()
    simulate(lookout, lambda _: throttled, 60, 86400)

    assert lookout.active() == (Fault.IMDS_ERROR,)
    assert lookout.snapshot().state is State.UNKNOWN
    failed = [event.fields["failures"] for event in lookout.events(EventKind.POLL_FAILED)]
    assert failed == [1, 10, 100, 1000]
    assert len(lookout.events(EventKind.FAULT_PERSISTS)) == 23
    assert lookout.snapshot().polls.failures == {FailureLabel.THROTTLED: 2878}


def test_throttled_polls_are_counted_in_a_row() -> None:
    """For the schedule to back off by; anything else ends it."""
    throttled = unanswered(Reason.THROTTLED, Phase.TOKEN)
    lookout = Lookout()
    counts = []
    for observation in (throttled, throttled, throttled, BLIND, throttled, answered()):
        lookout.see(observation)
        counts.append(lookout.memory.polls.throttled)

    assert counts == [1, 2, 3, 0, 1, 0]


def test_failed_polls_are_counted_anew_after_a_calm_hour() -> None:
    """The first failure of another day is reported again; one within the hour is not."""
    lookout = healthy_lookout()
    lookout.see(BLIND)
    simulate(lookout, Platform().at, 120, 1800)
    lookout.see(BLIND)
    assert len(lookout.events(EventKind.POLL_FAILED)) == 1
    simulate(lookout, Platform().at, 1830, 5700)
    lookout.see(BLIND)

    assert len(lookout.events(EventKind.POLL_FAILED)) == 2


# States


def test_the_first_healthy_poll_is_ok() -> None:
    """Nothing is known before it, and nothing has to be confirmed in it."""
    lookout = Lookout()
    assert lookout.snapshot().state is State.STARTING
    lookout.see(answered())

    assert lookout.snapshot().state is State.OK
    (event,) = lookout.events(EventKind.STATE_CHANGED)
    assert (event.fields["previous_state"], event.fields["state"]) == ("starting", "ok")


def test_the_first_state_waits_for_a_fault_that_the_first_poll_saw() -> None:
    """Not "ok: nothing is wrong" two seconds before a fault; a flicker is over after another poll."""
    other_role = SHOWN[Fault.ROLE_MISMATCH]
    lookout = Lookout(EXPECTING)
    lookout.see(other_role)

    assert (lookout.snapshot().state, lookout.events(EventKind.STATE_CHANGED)) == (State.STARTING, [])
    assert lookout.snapshot().credentials.usable

    lookout.see(other_role)
    (event,) = lookout.events(EventKind.STATE_CHANGED)
    assert (event.fields["previous_state"], event.fields["state"]) == ("starting", "degraded")

    flicker = Lookout(EXPECTING)
    flicker.see_all(other_role, answered())
    assert flicker.snapshot().state is State.OK


def test_that_the_credentials_are_lost_is_an_error() -> None:
    """Who reads only errors reads it; the way back is a notice."""
    lookout = healthy_lookout()
    lookout.see_all(WITHOUT_ROLE, WITHOUT_ROLE, answered(), answered())
    levels = [(event.fields["state"], event.level) for event in lookout.events(EventKind.STATE_CHANGED)]

    assert levels == [("ok", Level.NOTICE), ("failed", Level.ERROR), ("degraded", Level.NOTICE), ("ok", Level.NOTICE)]


@EACH
def test_the_state_follows_from_the_fault(fault: Fault) -> None:
    """`unknown` where IMDS gives no usable answer, `failed` without usable credentials, `degraded` with them."""
    lookout = healthy_lookout()
    lookout.see_all(*[SHOWN[fault]] * 3)
    expected = State.FAILED
    if fault in IMDS_FAULTS:
        expected = State.UNKNOWN
    elif fault in (
        Fault.INSTANCE_PROFILE_NOT_FOUND,  # shown with the old credentials still served
        Fault.ROTATION_OVERDUE,
        Fault.ROLE_MISMATCH,
        Fault.CLOCK_SKEW,
    ):
        expected = State.DEGRADED

    assert lookout.snapshot().state is expected
    assert lookout.snapshot().credentials.usable is (expected is not State.FAILED)


def test_credentials_that_are_missing_for_one_poll_are_no_failure() -> None:
    """The profile's role is gone and the old credentials are served: one 404 is a flicker here as anywhere."""
    early = answered(info=without_role())
    lookout = healthy_lookout()
    lookout.see_all(early, early, WITHOUT_ROLE)
    assert lookout.snapshot().state is State.DEGRADED
    lookout.see_all(early, WITHOUT_ROLE, early)
    assert lookout.snapshot().state is State.DEGRADED
    lookout.see_all(WITHOUT_ROLE, WITHOUT_ROLE)

    assert lookout.snapshot().state is State.FAILED
    assert lookout.snapshot().credentials.expiration is None


def test_there_are_none_whatever_the_reason_of_the_moment() -> None:
    """Now the document is missing, now EC2 cannot assume the role: neither is confirmed, that there are none is."""
    lookout = healthy_lookout()
    for _ in range(5):
        lookout.see_all(MISSING, answered(credentials=refused()))

    assert lookout.snapshot().state is State.FAILED
    assert lookout.snapshot().credentials.usable is False


def test_credentials_that_expire_fail_at_once() -> None:
    """Time is no flicker."""
    lookout = healthy_lookout()
    lookout.see(SHOWN[Fault.CREDENTIALS_EXPIRED])

    assert lookout.snapshot().state is State.FAILED


def test_credentials_that_expire_while_imds_is_blind_are_not_usable_any_more() -> None:
    """The last word on them was until when they work."""
    lookout = Lookout()
    lookout.see(answered(credentials=credentials(updated=START, life=HOUR)), moment(0))
    simulate(lookout, lambda _: BLIND, 30, 3600)
    assert lookout.snapshot().credentials.usable is True
    simulate(lookout, lambda _: BLIND, 3600, 3700)

    assert lookout.snapshot().credentials.usable is False
    assert lookout.snapshot().state is State.UNKNOWN


def test_a_wrong_clock_does_not_end_credentials_while_imds_is_blind() -> None:
    """A day ahead: the clock is corrected by what `Date` said last."""
    lookout = Lookout()
    document = answered(credentials=credentials(updated=START, life=HOUR))
    lookout.see(document, moment(0, clock_error=86400))
    simulate(lookout, lambda _: BLIND, 30, 3600, clock_error=86400)
    assert lookout.snapshot().credentials.usable is True
    simulate(lookout, lambda _: BLIND, 3600, 3700, clock_error=86400)

    assert lookout.snapshot().credentials.usable is False


def test_a_state_of_ok_never_has_a_fault_beside_it() -> None:
    """A wrong clock is confirmed by a poll without credentials: the last status of those is kept."""
    lookout = healthy_lookout()
    lookout.see_all(answered(date=START - HOUR), answered(date=START - HOUR))
    lookout.see(replace(GARBLED, date=START - HOUR))

    assert lookout.active() == (Fault.CLOCK_SKEW,)
    assert lookout.snapshot().state is State.DEGRADED


def test_a_restarted_daemon_knows_the_state_at_the_first_poll() -> None:
    """The fault is still active, so nothing is left to confirm; it is reported as lasting, not as new."""
    before = healthy_lookout()
    before.see_all(WITHOUT_ROLE, WITHOUT_ROLE)
    kept = memory_with(
        boot_id="boot",
        instance_id=INSTANCE_ID,
        faults={fault: replace(each, logged_at=None) for fault, each in before.memory.faults.items()},
        usable_seen=True,
    )
    lookout = Lookout(EXPECTING, memory=kept, now=before.now)
    lookout.see(WITHOUT_ROLE)

    assert lookout.snapshot().state is State.FAILED
    assert not lookout.events(EventKind.FAULT_RAISED)
    assert len(lookout.events(EventKind.FAULT_PERSISTS)) == 1


# The boot grace

BOOTED = START - timedelta(minutes=1)


def booting(pending: datetime | None = BOOTED, **changes: object) -> Answered:
    """Return an observation of an instance without an ``iam`` subtree yet."""
    return detached(identity=Identity(INSTANCE_ID, pending_time=pending), **changes)


@pytest.mark.parametrize(
    "observation", [booting(), replace(booting(), info=info(), listing=Absent())], ids=["no iam", "no role"]
)
def test_no_alarm_at_boot(observation: Answered) -> None:
    """Credentials that are not there yet, five minutes after `pendingTime`, are no fault; a second later they are."""
    lookout = Lookout(memory=Memory())
    for elapsed in range(0, 240, 30):
        lookout.see(replace(observation, date=moment(elapsed).utc), moment(elapsed))
        assert (lookout.snapshot().state, lookout.active()) == (State.STARTING, ())
    lookout.see(replace(observation, date=moment(240).utc), moment(240))
    lookout.see(replace(observation, date=moment(270).utc), moment(270))

    assert lookout.snapshot().state is State.FAILED


def test_the_grace_is_by_imds_clock_and_not_by_a_wrong_local_one() -> None:
    """A day ahead at boot, before NTP: no alarm nevertheless."""
    lookout = Lookout(memory=Memory())
    for elapsed in range(0, 240, 30):
        lookout.see(booting(date=moment(elapsed).utc), moment(elapsed, clock_error=86400))

    assert Fault.INSTANCE_PROFILE_DETACHED not in lookout.active()


@pytest.mark.parametrize("pending", [None, START + DAY], ids=["no pendingTime", "pendingTime in the future"])
def test_the_grace_is_by_uptime_where_pending_time_is_not_there(pending: datetime | None) -> None:
    """Grace applies 60 s after the kernel's start, and no longer 10 minutes after it."""
    young, old = Lookout(memory=Memory()), Lookout(memory=Memory())
    for elapsed in (0, 30, 60):
        young.see(booting(pending, date=START), moment(elapsed, uptime=60))
        old.see(booting(pending, date=START), moment(elapsed, uptime=600))

    assert young.active() == ()
    assert old.active() == (Fault.INSTANCE_PROFILE_DETACHED,)


def test_a_reboot_gives_no_new_grace() -> None:
    """`pendingTime` is that of the start, and a reboot takes no credentials away."""
    lookout = Lookout(memory=Memory())
    lookout.see_all(*[booting(START - DAY, date=START)] * 2)

    assert lookout.active() == (Fault.INSTANCE_PROFILE_DETACHED,)


def test_the_grace_ends_with_the_first_credentials() -> None:
    """Who had credentials and loses them in the fifth minute has a fault."""
    lookout = Lookout(memory=Memory())
    lookout.see_all(answered(identity=Identity(INSTANCE_ID, pending_time=BOOTED)), detached(), detached())

    assert lookout.active() == (Fault.INSTANCE_PROFILE_DETACHED,)


def test_an_imds_that_comes_up_late_leaves_no_unknown_behind() -> None:
    """At boot IMDS is out of reach, then it answers and has no credentials yet: starting, then ok."""
    lookout = Lookout(memory=Memory())
    lookout.see_all(BLIND, BLIND, BLIND)
    assert lookout.snapshot().state is State.UNKNOWN
    lookout.see_all(booting(date=START), booting(date=START))
    assert (lookout.snapshot().state, lookout.active()) == (State.STARTING, ())
    lookout.see(answered())

    assert lookout.snapshot().state is State.OK


def test_unknown_ends_when_imds_answers_again_though_nothing_is_confirmed() -> None:
    """Unreachable, then no iam subtree yet, then no such profile: one poll each is no verdict, but IMDS answers."""
    lookout = Lookout(memory=Memory())
    lookout.see_all(BLIND, BLIND, BLIND, booting(date=START), replace(booting(date=START), info=not_found()))

    assert (lookout.snapshot().state, lookout.active()) == (State.STARTING, ())


def test_a_fault_of_the_first_minute_leaves_no_failure_behind() -> None:
    """At boot IMDS says that there is no such profile, then, still in the grace, nothing: that is starting again."""
    lookout = Lookout(memory=Memory())
    absent = replace(booting(date=START), info=not_found())
    lookout.see_all(absent, absent)
    assert lookout.snapshot().state is State.FAILED
    lookout.see_all(booting(date=START), booting(date=START))

    assert (lookout.snapshot().state, lookout.active()) == (State.STARTING, ())


# The instance


def test_a_memory_of_another_instance_is_dropped_with_an_event() -> None:
    """An image that was made of a running instance: its role, cadence and faults are not ours."""
    kept = memory_with(healthy_lookout().memory, intervals=(600.0, 600.0), tags_at=0.0)
    lookout = Lookout(memory=kept)
    other = answered(
        identity=Identity("i-0fedcba9876543210"),
        listing=RoleListing("app-server"),
        credentials=credentials(role="app-server", serial=9),
    )
    lookout.see(other)
    assert lookout.memory.instance.id == INSTANCE_ID
    lookout.see(other)

    (event,) = lookout.events(EventKind.STATE_FILE_IGNORED)
    assert event.fields["problem"] == "another instance"
    assert lookout.memory.instance.id == "i-0fedcba9876543210"
    assert lookout.memory.credentials.intervals == ()
    assert not lookout.events(EventKind.ROLE_CHANGED)
    assert not lookout.events(EventKind.CREDENTIALS_ROTATED)


FORGED = Identity("i-0fedcba9876543210")


@pytest.mark.parametrize(
    "after",
    [
        [answered(identity=Identity(INSTANCE_ID))],
        [answered()],
        [BLIND, answered(identity=Identity(INSTANCE_ID))],
        [answered(identity=Identity("i-0fedcba9876543211"))],
    ],
    ids=["the right one", "no answer", "silence, then the right one", "another one again"],
)
def test_one_forged_identity_document_changes_nothing(after: list[Observation]) -> None:
    """The memory stays, no event says otherwise, and the next rotation is learned from."""
    lookout = Lookout(memory=memory_with(healthy_lookout().memory, intervals=(600.0, 600.0)))
    lookout.see(answered(identity=FORGED))
    assert monitor.identity_due(lookout.memory, ExpectSettings(), lookout.now)
    lookout.see_all(*after)

    assert lookout.memory.instance.id == INSTANCE_ID
    assert lookout.memory.credentials.intervals == (600.0, 600.0)
    assert lookout.memory.instance.rival is None
    assert not lookout.events(EventKind.STATE_FILE_IGNORED)
    assert lookout.snapshot().identity != FORGED


def test_nothing_is_learned_while_the_instance_is_in_doubt() -> None:
    """A rotation that the memory of another instance would see is none."""
    lookout = Lookout(memory=memory_with(healthy_lookout().memory, intervals=(600.0, 600.0)))
    lookout.see(answered(identity=FORGED, credentials=credentials(updated=START, serial=9)))

    assert not lookout.events(EventKind.CREDENTIALS_ROTATED)
    assert lookout.snapshot().credentials.last_updated == START


def test_the_first_identity_is_checked_again_within_about_an_hour() -> None:
    """A forged first one is put right by the next two answers."""
    lookout = Lookout(memory=Memory(boot_id="boot"))
    lookout.see(answered(identity=FORGED))
    assert not monitor.identity_due(lookout.memory, ExpectSettings(), moment(3600))
    assert monitor.identity_due(lookout.memory, ExpectSettings(), moment(3660))
    lookout.see_all(*[answered(identity=Identity(INSTANCE_ID))] * 2)

    assert lookout.memory.instance.id == INSTANCE_ID
    assert lookout.snapshot().identity == Identity(INSTANCE_ID)


def test_tags_and_the_repeated_identity_are_not_asked_for_in_the_same_poll() -> None:
    """So that no minute has more than ten requests."""
    wanted = ExpectSettings(role_tag="ExpectedRole")
    memory = memory_with(identity=Identity(INSTANCE_ID), identity_at=0.0, tags_at=0.0, requested_at=0.0)

    assert monitor.tags_due(memory, wanted, moment())
    assert not monitor.identity_due(memory, wanted, moment())
    assert not monitor.tags_due(memory_with(memory, rival=FORGED.instance_id), wanted, moment())


def test_a_single_poll_drops_the_memory_of_another_instance_at_once() -> None:
    """`check` cannot ask again, and saves nothing."""
    memory, _ = monitor.update_instance(
        memory_with(instance_id=INSTANCE_ID, intervals=(600.0, 600.0)),
        answered(identity=FORGED),
        moment(),
        at_once=True,
    )

    assert (memory.instance.identity, memory.credentials.intervals) == (FORGED, ())


def test_what_this_process_raised_stays_when_the_memory_is_dropped() -> None:
    """IMDS was unreachable when an image was started: its fault is this instance's, and its end is reported."""
    lookout = Lookout(memory=memory_with(boot_id="boot", instance_id="i-0fedcba9876543210"))
    auditor = Auditor()
    found = answered(identity=Identity(INSTANCE_ID))
    for observation in (BLIND, BLIND, BLIND, found, found):
        lookout.published.clear()
        snapshot = lookout.see(observation)
        auditor.take(snapshot, [event for _, event in lookout.published], lookout.memory)

    assert len(lookout.events(EventKind.FAULT_CLEARED, Fault.IMDS_UNREACHABLE)) == 1
    assert lookout.snapshot().state is State.OK


def test_a_memory_of_this_instance_is_kept_without_an_event() -> None:
    """The identity document only confirms it."""
    lookout = Lookout(memory=memory_with(instance_id=INSTANCE_ID, intervals=(600.0, 600.0)))
    lookout.see(answered(identity=Identity(INSTANCE_ID, region="eu-central-1")))

    assert not lookout.events(EventKind.STATE_FILE_IGNORED)
    assert lookout.snapshot().credentials.rotation_interval == 600.0
    assert lookout.snapshot().identity == Identity(INSTANCE_ID, region="eu-central-1")


# Expectations


@pytest.mark.parametrize(
    ("expect", "expected"),
    [
        (ExpectSettings(), ()),
        (ExpectSettings(role_tag="ExpectedRole"), ("app-*",)),
        (ExpectSettings(role=("web-*",), role_tag="ExpectedRole"), ("web-*",)),
    ],
    ids=["any", "by tag", "by settings first"],
)
def test_the_expected_role_comes_from_the_settings_or_else_from_the_tag(
    expect: ExpectSettings, expected: tuple[str, ...]
) -> None:
    """A tag that nobody asked for expects nothing."""
    lookout = Lookout(Settings(expect=expect))
    lookout.see_all(*[answered(tags=Tags(role="app-*"))] * 2)

    assert lookout.snapshot().expected.role == expected
    assert (lookout.active() == (Fault.ROLE_MISMATCH,)) is (expected == ("app-*",))


@pytest.mark.parametrize(
    ("expect", "tag", "none"),
    [
        (ExpectSettings(none=True), None, True),
        (ExpectSettings(none=True, role_tag="ExpectedRole"), "web-server", True),
        (ExpectSettings(role_tag="ExpectedRole"), "-", True),
        (ExpectSettings(role_tag="ExpectedRole", role=("web-*",)), "-", False),
        (ExpectSettings(), "-", False),
    ],
)
def test_that_no_role_is_expected_comes_from_the_settings_or_else_from_the_tag(
    expect: ExpectSettings, tag: str | None, *, none: bool
) -> None:
    """Then an instance without a profile is ok from the first poll on, and a profile is `role_mismatch`."""
    lookout = Lookout(Settings(expect=expect))
    lookout.see_all(*[detached(tags=Tags(role=tag))] * 3)
    without = (lookout.snapshot().state, lookout.snapshot().credentials.usable)
    lookout.see_all(*[answered(tags=Tags(role=tag))] * 3)

    assert lookout.snapshot().expected.none is none
    assert without == ((State.OK, None) if none else (State.FAILED, False))
    assert (lookout.active() == (Fault.ROLE_MISMATCH,)) is none


def test_a_profile_that_goes_where_none_is_expected_takes_its_expiry_along() -> None:
    """Nothing counts down a set that IMDS has withdrawn."""
    lookout = Lookout(Settings(expect=ExpectSettings(none=True)))
    lookout.see_all(*[answered()] * 3)
    before = lookout.snapshot()
    lookout.see_all(*[detached()] * 3)
    after = lookout.snapshot()

    assert (before.state, before.credentials.usable, before.credentials.expiration is None) == (
        State.DEGRADED,
        True,
        False,
    )
    assert (after.state, after.credentials.usable, after.credentials.expiration) == (State.OK, None, None)


def test_tags_are_asked_for_seldom_and_only_where_they_are_wanted() -> None:
    """At the first poll, then every ten minutes, and again after a poll that got no answer."""
    wanted = ExpectSettings(role_tag="ExpectedRole")
    fresh = Memory()
    known, _ = monitor.update_instance(fresh, answered(tags=Tags()), moment())

    assert not monitor.tags_due(fresh, ExpectSettings(), moment())
    assert monitor.tags_due(fresh, wanted, moment())
    assert not monitor.tags_due(known, wanted, moment(599))
    assert monitor.tags_due(known, wanted, moment(600))


def test_what_was_not_answered_is_requested_again_after_two_minutes() -> None:
    """Identity and tags: not at every poll, and without end until they are answered."""
    wanted = ExpectSettings(role_tag="ExpectedRole")
    asked = memory_with(requested_at=moment().uptime)

    assert monitor.identity_due(Memory(), wanted, moment())
    assert not monitor.identity_due(asked, wanted, moment(119))
    assert not monitor.tags_due(asked, wanted, moment(119))
    assert monitor.identity_due(asked, wanted, moment(120))
    assert monitor.tags_due(asked, wanted, moment(120))
    known, _ = monitor.update_instance(asked, answered(identity=Identity(INSTANCE_ID)), moment())
    assert not monitor.identity_due(known, ExpectSettings(), moment(3599))
    assert monitor.identity_due(known, ExpectSettings(), moment(3600))


# Changes of role and profile

OTHER = answered(listing=RoleListing("app-server"), credentials=credentials(role="app-server", serial=9))


def test_trap_role_name_cached_for_ever() -> None:
    """A role that is swapped while we run is an event, after two polls, and no fault; the next poll is judged by it."""
    lookout = Lookout()
    lookout.see_all(answered(), OTHER)
    assert not lookout.events(EventKind.ROLE_CHANGED)
    lookout.see_all(OTHER, OTHER)

    (event,) = lookout.events(EventKind.ROLE_CHANGED)
    assert (event.fields["previous_role"], event.fields["role"]) == (ROLE, "app-server")
    assert lookout.active() == ()
    assert not lookout.events(EventKind.CREDENTIALS_ROTATED)


def test_a_role_that_flickers_did_not_change() -> None:
    """The roles alternate: neither is reported twice in a row."""
    lookout = Lookout()
    for _ in range(20):
        lookout.see_all(answered(), OTHER)

    assert not lookout.events(EventKind.ROLE_CHANGED)


def test_a_profile_that_is_replaced_by_another_is_an_event() -> None:
    """The role may be the same."""
    lookout = Lookout()
    other = answered(info=info(name="app-server-profile"))
    lookout.see_all(answered(), other, other)

    (event,) = lookout.events(EventKind.ROLE_CHANGED)
    assert event.fields["instance_profile"] == "app-server-profile"


@pytest.mark.parametrize(
    "observation", [answered(info=not_found()), BLIND, GARBLED, detached(), WITHOUT_ROLE, answered(info=failure())]
)
def test_a_fault_is_no_change_of_role(observation: Observation) -> None:
    """What is not named has not changed; when it is back, it is what it was."""
    lookout = Lookout()
    lookout.see_all(answered(), observation, observation, observation, answered(), answered())

    assert not lookout.events(EventKind.ROLE_CHANGED)


# Rotation


def set_of(minutes: int, serial: int = 0) -> Answered:
    """Return an observation of a set that was made so many minutes after `START`."""
    return answered(
        credentials=credentials(updated=START + timedelta(minutes=minutes), serial=serial or minutes),
        date=START + timedelta(minutes=minutes, seconds=10),
    )


def test_a_new_set_is_an_event() -> None:
    """With the cadence, once that is learned."""
    lookout = Lookout()
    simulate(lookout, Platform().at, 0, 3 * 3600 + 60)

    rotated = lookout.events(EventKind.CREDENTIALS_ROTATED)
    assert len(rotated) == lookout.snapshot().credentials.rotations == 3
    assert "rotation_interval_seconds" not in rotated[0].fields
    assert rotated[2].fields["rotation_interval_seconds"] == 3600


def test_documents_that_alternate_are_no_rotations() -> None:
    """Two hosts of IMDS that serve an older and a newer set in turn: one rotation, not one a minute."""
    lookout = Lookout()
    older, newer = (replace(set_of(minutes), date=START) for minutes in (-60, -1))
    for _ in range(20):
        lookout.see_all(older, newer)

    assert lookout.snapshot().credentials.rotations == 1
    assert len(lookout.memory.credentials.intervals) <= 1


def test_a_set_that_was_only_dated_anew_is_no_rotation() -> None:
    """The access key id distinguishes two sets, not what the document says of its time."""
    lookout = Lookout()
    lookout.see_all(set_of(0, 1), set_of(5, 1), set_of(10, 1))

    assert lookout.snapshot().credentials.rotations == 0


def test_one_document_from_the_future_does_not_end_the_learning() -> None:
    """A LastUpdated that lies years ahead of IMDS's own clock is nonsense, and no newer one will ever come."""
    lookout = Lookout()
    platform = Platform()
    simulate(lookout, platform.at, 0, 1800)
    nonsense = credentials(updated=datetime(9998, 1, 1, tzinfo=timezone.utc), serial=99)
    lookout.see(replace(platform.at(1800), credentials=nonsense), moment(1800))
    simulate(lookout, platform.at, 1830, 6 * 3600)

    assert lookout.snapshot().credentials.rotation_interval == 3600.0


def test_an_error_document_with_keys_in_it_is_no_set() -> None:
    """`Failed` with everything else in place: there are no credentials, so none were rotated."""
    lookout = Lookout()
    failed = answered(credentials=credentials(code="Failed", updated=START + HOUR, serial=7), date=START + HOUR)
    lookout.see_all(answered(), failed, failed)

    assert lookout.snapshot().credentials.rotations == 0
    assert lookout.snapshot().credentials.expiration is None


# The learned cadence, over simulated days


def test_early_a_stuck_rotation_is_reported_four_hours_before_the_credentials_expire() -> None:
    """An hourly instance: overdue about two hours after the last rotation."""
    lookout = Lookout()
    simulate(lookout, Platform(stuck=((24 * 3600, 48 * 3600),)).at, 0, 30 * 3600)

    last = UPTIME + 23 * 3600
    (raised,) = lookout.times(EventKind.FAULT_RAISED, Fault.ROTATION_OVERDUE)
    assert 2 * 3600 < raised - last <= 2 * 3600 + 60
    assert last + LIFE.total_seconds() - raised > 4 * 3600 - 120
    (expired,) = lookout.times(EventKind.FAULT_RAISED, Fault.CREDENTIALS_EXPIRED)
    assert 0 <= expired - last - LIFE.total_seconds() <= 60


def test_quiet_when_well_for_a_day() -> None:
    """24 hours of polls every 30 s on an hourly instance: no fault, one state change, one event a rotation."""
    lookout = Lookout()
    simulate(lookout, Platform().at, 0, 86400)

    assert [event.kind for _, event in lookout.published if event.kind is not EventKind.CREDENTIALS_ROTATED] == [
        EventKind.STATE_CHANGED
    ]
    assert lookout.snapshot().credentials.rotations == 23
    assert lookout.snapshot().credentials.rotation_interval == 3600.0


def test_late_rotating_credentials_raise_nothing_once_learned() -> None:
    """A platform that renews five minutes before expiry: the cautious rule speaks until the cadence is known."""
    platform = Platform(period=LIFE.total_seconds() - 300)
    lookout = Lookout()
    simulate(lookout, platform.at, 0, 3 * platform.period, step=60)
    assert lookout.snapshot().credentials.rotation_interval == platform.period
    lookout.published.clear()
    simulate(lookout, platform.at, 3 * platform.period, 9 * platform.period, step=60)

    assert not lookout.events(EventKind.FAULT_RAISED)
    assert lookout.active() == ()


def test_short_lived_credentials_raise_nothing() -> None:
    """15 minutes, renewed every ten: from the first poll on."""
    lookout = Lookout()
    simulate(lookout, Platform(period=600, life=900).at, 0, 6 * 3600)

    assert not lookout.events(EventKind.FAULT_RAISED)


@pytest.mark.parametrize("when", [1.2, 2.7, 8.3])
def test_one_re_association_by_hand_does_not_break_it(when: float) -> None:
    """Early or late: nothing is raised by it, and a stuck rotation is still reported within two hours."""
    lookout = Lookout()
    platform = Platform(extra=(when * 3600,), stuck=((16 * 3600, 40 * 3600),))
    simulate(lookout, platform.at, 0, 16 * 3600, step=60)
    assert not lookout.events(EventKind.FAULT_RAISED)
    simulate(lookout, platform.at, 16 * 3600, 20 * 3600, step=60)

    (raised,) = lookout.times(EventKind.FAULT_RAISED, Fault.ROTATION_OVERDUE)
    assert 2 * 3600 < raised - UPTIME - platform.updated(16 * 3600) <= 2 * 3600 + 60


def test_after_a_stuck_rotation_the_threshold_is_not_spoilt() -> None:
    """Five hours stuck, then hourly again, then stuck again: two hours, as before."""
    lookout = Lookout()
    platform = Platform(stuck=((4 * 3600, 8.5 * 3600), (20 * 3600, 40 * 3600)))
    simulate(lookout, platform.at, 0, 24 * 3600, step=60)

    first, second = lookout.times(EventKind.FAULT_RAISED, Fault.ROTATION_OVERDUE)
    assert 2 * 3600 < first - UPTIME - platform.updated(8 * 3600) <= 2 * 3600 + 60
    assert 2 * 3600 < second - UPTIME - platform.updated(20 * 3600) <= 2 * 3600 + 60
    assert len(lookout.events(EventKind.FAULT_CLEARED, Fault.ROTATION_OVERDUE)) == 1


@pytest.mark.parametrize("blind", [False, True], ids=["daemon down", "IMDS blind"])
def test_rotations_that_nobody_saw_do_not_poison_the_cadence(blind: bool) -> None:  # noqa: FBT001 - a parameter
    """Down or blind over several rotations, again and again: the cadence stays an hour."""
    lookout = Lookout()
    for day in range(5):
        begin = day * 10 * 3600.0
        simulate(lookout, Platform().at, begin, begin + 2.5 * 3600, step=60)
        if blind:
            simulate(lookout, lambda _: BLIND, begin + 2.5 * 3600, begin + 9.5 * 3600, step=60)
        simulate(lookout, Platform().at, begin + 9.5 * 3600, begin + 10 * 3600, step=60)

    assert set(lookout.memory.credentials.intervals) == {3600.0}
    assert lookout.snapshot().credentials.rotation_interval == 3600.0


def test_missed_polls_do_not_keep_it_from_learning() -> None:
    """Every third poll fails: the cadence is learned all the same."""
    lookout = Lookout()
    simulate(lookout, lambda elapsed: Platform().at(elapsed) if elapsed % 90 else BLIND, 0, 6 * 3600)

    assert lookout.snapshot().credentials.rotation_interval == 3600.0
    assert lookout.active() == ()


@pytest.mark.parametrize("intervals", [(), (3600.0, 3600.0), (60.0, 60.0)], ids=["unlearned", "hourly", "quick"])
def test_the_published_overdue_moment_is_when_the_fault_is_raised(intervals: tuple[float, ...]) -> None:
    """Not a second before: what the page draws is what is judged."""
    served = answered(credentials=credentials(updated=START), date=START)
    lookout = Lookout(memory=memory_with(healthy_lookout().memory, intervals=intervals))
    overdue = lookout.see(served, moment()).credentials.overdue
    assert overdue is not None
    late = (overdue - START).total_seconds()

    lookout.see(replace(served, date=overdue), moment(late))
    assert Fault.ROTATION_OVERDUE not in lookout.active()
    lookout.see(replace(served, date=overdue + SECOND), moment(late + 1))
    assert Fault.ROTATION_OVERDUE in lookout.active()


def test_nothing_is_overdue_where_nothing_is_served() -> None:
    """Withdrawn credentials are not waited for."""
    assert healthy_lookout().see_all(detached(), detached()).credentials.overdue is None


def test_a_fault_of_the_profile_is_critical_once_the_credentials_are_gone() -> None:
    """As its alert: a warning while the old credentials work, and at once another event when they do not."""
    lookout = healthy_lookout()
    still_served = answered(info=not_found())
    lookout.see_all(*[still_served] * 3, *[replace(still_served, listing=Absent(), credentials=None)] * 3)
    events = [event for _, event in lookout.published if event.fault is Fault.INSTANCE_PROFILE_NOT_FOUND]

    assert [(each.kind, each.level) for each in events] == [
        (EventKind.FAULT_RAISED, Level.WARNING),
        (EventKind.FAULT_PERSISTS, Level.CRITICAL),
    ]


def test_a_set_that_nears_its_end_is_an_event_of_its_own() -> None:
    """Overdue for hours is a warning. In the last five minutes the journal says so again at once, as critical."""
    lookout = Lookout()
    lookout.see_all(*[answered(credentials=credentials(updated=START - LIFE + timedelta(minutes=7)))] * 8)
    events = [event for _, event in lookout.published if event.fault is Fault.ROTATION_OVERDUE]

    assert [(each.kind, each.level) for each in events] == [
        (EventKind.FAULT_RAISED, Level.WARNING),
        (EventKind.FAULT_PERSISTS, Level.CRITICAL),
    ]


def test_swapping_the_role_every_now_and_then_teaches_no_cadence() -> None:
    """A set of another role is no successor."""
    lookout = Lookout()
    for minutes in range(0, 200, 20):
        role = f"role-{minutes}"
        document = credentials(role=role, updated=START + timedelta(minutes=minutes), serial=minutes)
        lookout.see_all(*[answered(listing=RoleListing(role), credentials=document, date=document.last_updated)] * 3)

    assert lookout.memory.credentials.intervals == ()


# Clocks


@pytest.mark.parametrize("error", [86400, -86400, 3650 * 86400, -3650 * 86400], ids=["day", "-day", "years", "-years"])
def test_a_step_of_the_local_clock_invents_nothing(error: float) -> None:
    """A day or ten years, there and back, in the middle of a healthy day: `clock_skew`, and nothing else."""
    lookout = Lookout()
    simulate(lookout, Platform().at, 0, 4 * 3600, step=60)
    simulate(lookout, Platform().at, 4 * 3600, 7 * 3600, step=60, clock_error=error)
    simulate(lookout, lambda _: BLIND, 7 * 3600, 7 * 3600 + 600, step=60, clock_error=-error)
    simulate(lookout, Platform().at, 7 * 3600 + 600, 10 * 3600, step=60)

    raised = {event.fault for event in lookout.events(EventKind.FAULT_RAISED)}
    assert raised == {Fault.CLOCK_SKEW, Fault.IMDS_UNREACHABLE}
    assert lookout.active() == ()
    assert lookout.snapshot().credentials.rotation_interval == 3600.0


def test_a_date_at_the_end_of_time_does_not_end_the_watching() -> None:
    """`Date` and Expiration in the last second of the year 9999, then silence: there is no next second."""
    end = datetime(9999, 12, 31, 23, 59, 58, tzinfo=timezone.utc)
    lookout = Lookout()
    lookout.see(answered(date=end, credentials=credentials(expiration=end + SECOND)), moment())
    assert lookout.snapshot().credentials.usable is True
    lookout.see_all(BLIND, BLIND, BLIND)

    assert lookout.snapshot().state is State.UNKNOWN


# True of every history


@given(
    observations=st.lists(
        st.tuples(
            observations(),
            st.sampled_from([10.0, 30.0, 120.0, 4000.0]),
            st.sampled_from([0.0, 0.0, 0.0, 86400.0, -86400.0, 3650 * 86400.0, -3650 * 86400.0]),
        ),
        max_size=25,
    )
)
@settings(max_examples=examples(150))
def test_whatever_is_seen_states_faults_and_events_agree(observations: list[tuple[Observation, float, float]]) -> None:
    """Random histories, clock steps included: no exception, and what is published never contradicts itself."""
    lookout, auditor = Lookout(EXPECTING), Auditor()
    elapsed = 0.0
    for seen, step, error in observations:
        elapsed += step
        already = len(lookout.published)
        snapshot = lookout.see(seen, moment(elapsed, clock_error=error))
        auditor.take(snapshot, [event for _, event in lookout.published[already:]], lookout.memory)


@given(seen=observations())
def test_a_single_poll_reports_what_it_observes(seen: Observation) -> None:
    """`check` cannot debounce: every finding is active at once, and the state follows."""
    lookout = Lookout()
    memory, _ = monitor.update_instance(Memory(), seen, moment())
    memory = keep_time(memory, seen, moment())
    known = monitor.prior(memory, seen, lookout.settings, moment())
    verdict = classify(seen, known, lookout.settings.limits, moment())
    snapshot = monitor.single_poll(memory, seen, verdict, lookout.settings, moment())

    assert [active.fault for active in snapshot.faults] == [finding.fault for finding in verdict.findings]
    assert (
        snapshot.state
        is {
            CredentialStatus.PENDING: State.STARTING,
            CredentialStatus.UNDETERMINED: State.UNKNOWN,
            CredentialStatus.UNUSABLE: State.FAILED,
            CredentialStatus.USABLE: State.DEGRADED if verdict.findings else State.OK,
        }[verdict.credentials]
    )


def test_a_clock_corrected_while_imds_is_silent_causes_no_expiry() -> None:
    """The remembered offset is of a clock that is no more: IMDS's own time goes on with the uptime instead."""
    lookout = Lookout()
    behind = timedelta(days=1)
    lookout.see(answered(), Moment(START - behind, UPTIME))
    lookout.see(unanswered(), Moment(START + timedelta(minutes=1), UPTIME + 60))

    assert lookout.snapshot().credentials.usable is True


@pytest.mark.parametrize("error", [timedelta(hours=1), timedelta(hours=-1), timedelta(days=-20000)], ids=str)
def test_a_corrected_clock_changes_no_duration(error: timedelta) -> None:
    """A skew of ten minutes lasted ten minutes, however far the clock was stepped in the end."""
    lookout = Lookout()
    for half_minute in range(20):
        seconds = 30.0 * half_minute
        date = START + timedelta(seconds=seconds)
        lookout.see(answered(date=date), Moment(date + error, UPTIME + seconds))
    for half_minute in range(20, 22):
        seconds = 30.0 * half_minute
        date = START + timedelta(seconds=seconds)
        lookout.see(answered(date=date), Moment(date, UPTIME + seconds))

    (cleared,) = lookout.events(EventKind.FAULT_CLEARED, Fault.CLOCK_SKEW)
    assert cleared.fields["duration_seconds"] == 630
    assert cleared.fields["since"] == rfc3339(START)
    assert "it lasted 10 min" in cleared.message


def test_the_first_throttled_poll_is_a_warning_with_the_command_that_shows_who_asks() -> None:
    """Also where another failure came shortly before: one throttled poll means many refused requests of others."""
    lookout = Lookout()
    lookout.see_all(answered(), unanswered(), answered(), unanswered(Reason.THROTTLED, Phase.TOKEN), answered())

    timed_out, throttled = lookout.events(EventKind.POLL_FAILED)
    assert "ss -Htnp" not in timed_out.message
    assert throttled.level is Level.WARNING
    assert throttled.message.endswith("throttled, too. Who asks so often: ss -Htnp dst 169.254.169.254")
