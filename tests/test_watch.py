"""The loop, against a simulated IMDS over real sockets. Time is the test's: it passes in the pauses only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from builders import START, UPTIME, memory_with
from rolewatch.faults import Fault
from rolewatch.monitor.loop import Setup, Wake, clock
from rolewatch.monitor.state_file import StateFile
from rolewatch.observation import Moment
from rolewatch.publish import Event, Report
from rolewatch.settings import ExpectSettings
from rolewatch.simulator import Simulator
from rolewatch.simulator.conditions import HEALTHY, Effect, NetworkFault, Target
from rolewatch.vocabulary import EventKind, Level, State
from stage import Stage, Time, no_reload

RELOADED = Event(EventKind.CONFIG_RELOADED, Level.INFO, "The settings were read again and are in force.")
REJECTED = Event(EventKind.CONFIG_REJECTED, Level.ERROR, "The new settings cannot be used.")


@dataclass
class Broken:
    """A publisher that always fails, in a way that nobody foresaw."""

    name: str = "broken"
    error: Exception = field(default_factory=lambda: ZeroDivisionError("IQoJsecret"))

    def publish(self, report: Report) -> None:
        """Fail."""
        assert isinstance(report, Report)
        raise self.error


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Give a healthy IMDS whose clock is the test's."""
    now = Time()
    with Simulator(now=now.utc) as imds:
        yield Stage(imds, now)


def asked(imds: Simulator, path: str) -> int:
    """Return how often *path* was asked for."""
    return sum(1 for request in imds.requests if request.path == f"/latest/{path}")


# Polling


def test_the_first_poll_is_at_once(stage: Stage) -> None:
    """Before any pause."""
    stage.run_script(stage.watch(), [Wake.STOP])

    (report,) = stage.recorder.reports
    assert report.snapshot.state is State.OK
    assert report.snapshot.identity is not None


def test_an_hour_of_health_is_polite(stage: Stage) -> None:
    """Four requests a poll, every 30 s, the identity and the hop limit once: at most ten a minute on average."""
    stage.run(stage.watch(), 3600)

    polls = len(stage.recorder.reports)
    assert 119 <= polls <= 121
    assert len(stage.imds.requests) - 4 * polls in (2, 3)  # the hop limit again after an hour
    assert asked(stage.imds, "dynamic/instance-identity/document") == 1


def test_an_imds_without_identity_document_or_tags_is_asked_no_more_often(stage: Stage) -> None:
    """What IMDS does not answer is requested again, but not at every poll."""
    stage.settings = replace(stage.settings, expect=ExpectSettings(role_tag="ExpectedRole"))
    stage.imds.enter(
        replace(
            HEALTHY,
            tags=(("ExpectedRole", "\u20ac not a name"),),
            network_faults=(NetworkFault(Effect.STATUS, Target.IDENTITY, status=500),),
        )
    )
    stage.run(stage.watch(), 1795)

    assert len(stage.imds.requests) <= len(stage.recorder.reports) * 4 + 15 + 3 + 1
    assert asked(stage.imds, "dynamic/instance-identity/document") >= 2


def test_an_imds_that_flickers_is_asked_at_most_ten_times_a_minute(stage: Stage) -> None:
    """The document is there, is away, is there… for two hours."""
    flick = [False]

    def flicker() -> None:
        flick[0] = not flick[0]
        stage.imds.enter(replace(HEALTHY, has_document=flick[0]))

    stage.run(stage.watch(), 3600, *[(float(when), flicker) for when in range(0, 3600, 15)])

    times = stage.recorder.times
    assert max(sum(1 for other in times if begin <= other < begin + 600) for begin in times) <= 24


def test_a_fault_is_reported_within_a_minute_and_its_end_too(stage: Stage) -> None:
    """Polls come every ten seconds while a fault is confirmed or cleared."""
    switch = stage.imds.switch
    stage.run(
        stage.watch(),
        400,
        (100, lambda: switch("assume_role_unauthorized")),
        (250, lambda: switch("healthy")),
    )

    times = {
        event.kind: report.snapshot.moment.uptime - UPTIME
        for report in stage.recorder.reports
        for event in report.events
        if event.fault is Fault.ASSUME_ROLE_UNAUTHORIZED
    }
    assert 110 <= times[EventKind.FAULT_RAISED] <= 145
    assert 260 <= times[EventKind.FAULT_CLEARED] <= 295
    assert stage.recorder.reports[-1].snapshot.state is State.OK


def test_an_imds_that_vanishes_and_comes_back_ends_nothing(stage: Stage) -> None:
    """Refused connections are values like all others."""
    switch = stage.imds.switch
    stage.run(stage.watch(), 600, (100, lambda: switch("imds_unreachable")), (300, lambda: switch("healthy")))

    kinds = [
        (event.kind, event.fault)
        for report in stage.recorder.reports
        for event in report.events
        if event.fault is not None
    ]
    assert kinds == [
        (EventKind.FAULT_RAISED, Fault.IMDS_UNREACHABLE),
        (EventKind.FAULT_CLEARED, Fault.IMDS_UNREACHABLE),
    ]


def test_the_memory_of_another_instance_is_dropped_with_an_event(stage: Stage) -> None:
    """It is published in the second report: the identity is asked for twice."""
    watch = stage.watch(memory=memory_with(instance_id="i-0000000000000000f", boot_id="boot"))
    stage.run_script(watch, [Wake.POLL, Wake.POLL, Wake.STOP])

    assert [report.snapshot.identity is None for report in stage.recorder.reports] == [True, False, False]
    assert stage.recorder.reports[1].events[0].kind is EventKind.STATE_FILE_IGNORED
    assert asked(stage.imds, "dynamic/instance-identity/document") == 2


def test_the_duration_of_a_poll_is_measured(stage: Stage) -> None:
    """By the clock that was handed in."""
    watch = stage.watch()
    ticks = iter(range(100))
    watch.clock = lambda: Moment(START, UPTIME + next(ticks))
    watch.poll()

    assert stage.recorder.reports[0].snapshot.polls.duration == 1.0


# Waiting


def test_the_wait_is_measured_by_the_clock_alone(stage: Stage) -> None:
    """A pause that ends early, for whatever reason, is followed by another for the rest."""
    asked_for: list[float] = []

    def pause(seconds: float) -> Wake:
        asked_for.append(seconds)
        stage.time.pass_(min(seconds, 4.0))
        return Wake.TIMER if len(stage.recorder.reports) < 3 else Wake.STOP

    stage.watch().run(pause, no_reload)

    first, second, third = stage.recorder.times
    assert 15 <= second - first <= 45
    assert third - second == pytest.approx(30)
    assert asked_for[0] <= 30


def test_it_waits_as_long_as_the_schedule_says(stage: Stage) -> None:
    """Throttled: one minute, then two, to the second."""
    stage.imds.switch("imds_throttled")
    stage.run(stage.watch(), 400)

    assert stage.recorder.times == [0.0, 60.0, 180.0, 300.0]


def test_after_a_suspend_the_next_poll_is_at_once(stage: Stage) -> None:
    """The clock counts suspended time."""
    jumps = iter([3600.0])

    def pause(seconds: float) -> Wake:
        stage.time.pass_(next(jumps, seconds))
        return Wake.TIMER if len(stage.recorder.reports) < 2 else Wake.STOP

    stage.watch().run(pause, no_reload)

    assert stage.recorder.times[:2] == [0.0, 3600.0]


@pytest.mark.parametrize("interval", [1.0, 7.0, 30.0, 100.0])
def test_it_beats_at_least_every_heartbeat_interval(stage: Stage, interval: float) -> None:
    """The watchdog gets its sign of life from the loop itself, however long the wait."""
    beats: list[float] = []
    stage.run(stage.watch(heartbeat=lambda: beats.append(stage.time.elapsed), heartbeat_interval=interval), 300)

    assert beats[0] == 0.0
    assert max(after - before for before, after in zip(beats, beats[1:])) <= interval
    assert beats[-1] >= 300 - max(interval, 45)


def test_the_real_clock_reads_both_clocks() -> None:
    """Aware UTC, and an uptime that does not go back."""
    first, second = clock(), clock()

    assert first.utc.utcoffset() == timedelta(0)
    assert 0 < first.uptime <= second.uptime


# Signals


def test_stop_ends_it_after_the_poll(stage: Stage) -> None:
    """No further poll, no further pause."""
    stage.run_script(stage.watch(), [Wake.STOP])

    assert len(stage.recorder.reports) == 1


def test_poll_polls_at_once(stage: Stage) -> None:
    """Without any time having passed."""
    stage.run_script(stage.watch(), [Wake.POLL, Wake.POLL, Wake.STOP])

    assert stage.recorder.times == [0.0, 0.0, 0.0]


def test_a_reload_applies_the_new_settings_at_once_and_reports_it(stage: Stage) -> None:
    """The next poll is through the new client, judged by the new expectation, and its report has the event."""
    with Simulator(now=stage.time.utc, role="other") as other:
        watch = stage.watch()

        def reload() -> tuple[Setup | None, Event]:
            stage.settings = replace(stage.settings, expect=ExpectSettings(role=("app-*",)))
            return stage.setup(other.endpoint), RELOADED

        stage.run_script(watch, [Wake.RELOAD, Wake.POLL, Wake.STOP], reload)

    assert len(stage.recorder.reports) == 3
    assert stage.recorder.reports[1].events[0] is RELOADED
    assert stage.recorder.reports[1].snapshot.binding.role == "other"
    assert [active.fault for active in stage.recorder.reports[2].snapshot.faults] == [Fault.ROLE_MISMATCH]


def test_reloads_that_come_within_a_second_of_a_poll_are_two_at_the_most(stage: Stage) -> None:
    """The first is at once; the last is not lost, and covers all that came between."""
    reloads: list[float] = []

    def reload() -> tuple[Setup | None, Event]:
        reloads.append(stage.time.elapsed)
        return stage.setup(), RELOADED

    signals = [Wake.RELOAD] * 200

    def pause(seconds: float) -> Wake:
        if signals:
            return signals.pop()
        stage.time.pass_(seconds)
        return Wake.TIMER if stage.time.elapsed < 20 else Wake.STOP

    stage.watch(min_gap=1.0).run(pause, reload)

    assert reloads == [0.0, 1.0]
    assert len(stage.recorder.events(EventKind.CONFIG_RELOADED)) == 2


def test_a_reload_that_fails_keeps_the_old_settings_and_reports_it(stage: Stage) -> None:
    """A bad file is an event, and nothing else."""
    watch = stage.watch()
    before = watch.setup
    stage.run_script(watch, [Wake.RELOAD, Wake.STOP], lambda: (None, REJECTED))

    assert watch.setup is before
    assert stage.recorder.events(EventKind.CONFIG_REJECTED) == [REJECTED]
    assert stage.recorder.reports[1].snapshot.state is State.OK


def test_after_a_reload_the_tags_are_asked_for_again(stage: Stage) -> None:
    """The new settings may name another tag."""
    stage.settings = replace(stage.settings, expect=ExpectSettings(role_tag="ExpectedRole"))
    stage.imds.switch("instance_tags")
    stage.run_script(stage.watch(), [Wake.POLL, Wake.RELOAD, Wake.STOP], lambda: (stage.setup(), RELOADED))

    assert asked(stage.imds, "meta-data/tags/instance/ExpectedRole") == 2


def test_an_event_of_the_command_line_is_published_with_the_next_report(stage: Stage) -> None:
    """`started`, for one; once, and before what the poll found."""
    watch = stage.watch()
    started = Event(EventKind.STARTED, Level.NOTICE, "rolewatch has started.")
    watch.queue(started)
    stage.run_script(watch, [Wake.POLL, Wake.STOP])

    assert stage.recorder.reports[0].events[0] is started
    assert stage.recorder.events(EventKind.STARTED) == [started]


# Publishers


def test_a_publisher_that_fails_is_counted_and_the_watching_goes_on(stage: Stage) -> None:
    """The others get every report; failures 1, 10 and 100 are reported, without a word of what the error said."""
    watch = stage.watch(Broken())
    stage.run_script(watch, [*[Wake.POLL] * 100, Wake.STOP])

    assert len(stage.recorder.reports) == 101
    assert watch.publisher_failures == {"broken": 101, "recorder": 0}
    events = stage.recorder.events(EventKind.PUBLISHER_FAILED)
    assert [event.fields["failures"] for event in events] == [1, 10, 100]
    assert events[0].fields == {"publisher": "broken", "problem": "ZeroDivisionError", "failures": 1}
    assert "IQoJsecret" not in repr(events)


def test_every_publisher_is_counted_from_the_beginning(stage: Stage) -> None:
    """A metric that appears with the first failure cannot be alerted on."""
    watch = stage.watch(Broken(), save=lambda memory, now: None)  # noqa: ARG005 - the signature

    assert watch.publisher_failures == {"broken": 0, "recorder": 0, "state_file": 0}


def test_a_state_file_that_cannot_be_written_is_counted_like_a_publisher(stage: Stage, tmp_path: Path) -> None:
    """And is reported in the words of the system."""
    watch = stage.watch(save=StateFile(tmp_path / "missing").save)
    stage.run_script(watch, [Wake.POLL, Wake.STOP])

    assert watch.publisher_failures["state_file"] == 2
    (event,) = stage.recorder.events(EventKind.PUBLISHER_FAILED)
    assert (event.fields["publisher"], event.fields["problem"]) == ("state_file", "No such file or directory")


def test_what_a_poll_taught_is_remembered_in_the_same_turn(stage: Stage, tmp_path: Path) -> None:
    """A daemon that is killed after its first poll knows its instance and its role again."""
    state_file = StateFile(tmp_path)
    stage.run_script(stage.watch(save=state_file.save), [Wake.STOP])
    loaded = state_file.load(boot_id="boot")

    assert loaded.binding.confirmed.role == "web-server"
    assert loaded.instance.id is not None
    assert loaded.credentials.usable_seen
