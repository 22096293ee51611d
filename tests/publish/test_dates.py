"""Dates at the ends of time, from IMDS, the local clock or a state file: everything is still written."""

from __future__ import annotations

import json
import tempfile
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from http import HTTPStatus
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from audited import AuditedDaemon, Outputs, Time
from builders import INSTANCE_ID, PROFILE, ROLE, UPTIME
from forms import examples
from offline import Scripted
from promises import Area, promise
from publish.pages import parse_text
from publish.snapshots import NOON, OK, STATUS, with_changes
from rolewatch.cli.check import nagios, text
from rolewatch.faults import Fault
from rolewatch.http import Endpoint
from rolewatch.http.request import Request
from rolewatch.imds.client import Answer
from rolewatch.observation import Moment
from rolewatch.publish import ActiveFault, Event, Report, Snapshot
from rolewatch.publish.metrics import Metrics
from rolewatch.settings import Settings
from rolewatch.text import FIRST_MOMENT, LAST_MOMENT, rfc3339, shift
from rolewatch.vocabulary import EventKind, Level, State

FIRST, LAST = FIRST_MOMENT, LAST_MOMENT
ENDS = [FIRST, FIRST + timedelta(seconds=1), FIRST + timedelta(days=1), LAST - timedelta(days=1), LAST]
MOMENTS = st.sampled_from(ENDS) | st.datetimes(timezones=st.just(timezone.utc)) | st.just(NOON)
OPTIONAL = MOMENTS | st.none()
AGES = st.sampled_from([0.0, 1.5, 86400.0, 1e9])
INTERVALS = st.sampled_from([None, 1.0, 3600.0, 86400.0])


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """Draw a snapshot in which every date may be at an end of time."""
    local, imds, expiration, last_updated = draw(MOMENTS), draw(OPTIONAL), draw(OPTIONAL), draw(OPTIONAL)
    dates = {"expiration": rfc3339(expiration)} if expiration else {}
    return with_changes(
        OK,
        moment=Moment(local, UPTIME),
        state=draw(st.sampled_from(State)),
        state_since=draw(MOMENTS),
        faults=tuple(
            ActiveFault(fault, draw(MOMENTS), dates)
            for fault in draw(st.lists(st.sampled_from(Fault), unique=True, max_size=3))
        ),
        usable=draw(st.none() | st.booleans()),
        expiration=expiration,
        last_updated=last_updated,
        rotation_interval=draw(INTERVALS),
        overdue=draw(OPTIONAL),
        time=imds,
        clock_offset=None if imds is None else (local - imds).total_seconds(),
        last_success=draw(OPTIONAL),
    )


def write_everything(snapshot: Snapshot, age: float) -> list[str]:
    """Return what is published of *snapshot*, the pages *age* seconds later."""
    uptime = [0.0]
    metrics = Metrics(version="0", health=lambda: STATUS)
    endpoint = Endpoint(metrics, version="0", addresses=(), uptime=lambda: uptime[0])
    outputs = Outputs(lambda: snapshot.moment)
    happened = tuple(Event(kind, Level.NOTICE, "It happened.") for kind in EventKind)
    for publisher in (metrics, endpoint, outputs):
        publisher.publish(Report(snapshot, happened))
    uptime[0] = age
    pages = []
    for path in ("/", "/status.json", "/metrics", "/-/healthy", "/-/ready"):
        response = endpoint.respond(Request("GET", path, headers={"host": "localhost"}))
        assert response.status in (HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE), path
        pages.append(response.body.decode())
    assert pages[0].startswith("<!DOCTYPE html>")
    json.loads(pages[1])
    assert parse_text(pages[2])
    return [*outputs.parts, *pages, nagios(snapshot), *text(snapshot, styled=False, columns=96)]


@given(snapshot=snapshots(), age=AGES)
@settings(max_examples=examples(300))
def test_whatever_the_dates_everything_is_written(snapshot: Snapshot, age: float) -> None:
    """Page, status, metrics, journal, STATUS, and every form of `check`."""
    assert write_everything(snapshot, age)


def answers(date: datetime, made: datetime, until: datetime, pending: datetime) -> list[Answer]:
    """Return what IMDS answers in one poll that asks for the identity too; each is dated *date*."""
    arn = f"arn:aws:iam::123456789012:instance-profile/{PROFILE}"
    keys = dict.fromkeys(["AccessKeyId", "SecretAccessKey", "Token"], "x" * 20)
    bodies = [
        "token",
        json.dumps({"Code": "Success", "LastUpdated": rfc3339(made), "InstanceProfileArn": arn}),
        ROLE,
        json.dumps({"Code": "Success", "LastUpdated": rfc3339(made), "Expiration": rfc3339(until), **keys}),
        json.dumps({"instanceId": INSTANCE_ID, "region": "eu-central-1", "pendingTime": rfc3339(pending)}),
    ]
    return [Answer(200, format_datetime(date, usegmt=True), bytearray(body.encode())) for body in bodies]


@promise(
    Area.IMDS,
    "Every date of IMDS, the local clock too, is at an end of time: the years 1 and 9999",
    "Page, status, metrics, journal, STATUS and state file are written, then and years later",
)
@given(
    polls=st.lists(st.tuples(MOMENTS, MOMENTS, MOMENTS, MOMENTS), min_size=1, max_size=5),
    again=st.integers(1, 4),
    error=st.sampled_from([0.0, -2026 * 365 * 86400.0, 7973 * 365 * 86400.0]),
    age=AGES,
)
@settings(max_examples=examples(60))
def test_an_imds_at_the_end_of_time_is_watched(
    polls: list[tuple[datetime, datetime, datetime, datetime]], again: int, error: float, age: float
) -> None:
    """A whole daemon, from the session token to every page; each poll as often as makes its `Date` believed."""
    client, clock = Scripted(), Time(error=error)
    with tempfile.TemporaryDirectory() as directory:
        daemon = AuditedDaemon(Settings(), Path(directory), client, clock)
        for poll in polls:
            for _ in range(again):
                clock.uptime += 30
                client.answers = iter(answers(*poll))
                report = daemon.poll()
        daemon.restart()
        client.answers = iter(answers(*polls[-1]))
        daemon.poll()
        write_everything(report.snapshot, age)


def test_the_page_of_a_clock_in_9999_is_served() -> None:
    """A `Date` in the last second there is: a second later there is no such date, and there is a page."""
    client, clock = Scripted(), Time()
    with tempfile.TemporaryDirectory() as directory:
        daemon = AuditedDaemon(Settings(), Path(directory), client, clock)
        report: Report | None = None
        for _ in range(4):
            clock.uptime += 30
            client.answers = iter(answers(LAST, NOON, LAST, NOON))
            report = daemon.poll()
    assert report is not None
    assert report.snapshot.clock_offset is not None
    assert abs(report.snapshot.clock_offset) > 7000 * 365 * 86400

    assert any("9999-12-31" in page for page in write_everything(report.snapshot, 30.0))


def test_a_shift_ends_where_time_ends() -> None:
    """Within the calendar it is exact; beyond it is the calendar's end."""
    assert shift(NOON, 1.5) == NOON + timedelta(seconds=1.5)
    assert shift(NOON, -86400) == NOON - timedelta(days=1)
    assert shift(LAST, 1) == shift(NOON, 1e12) == shift(NOON, 1e300) == LAST
    assert shift(FIRST, -1) == shift(NOON, -1e12) == FIRST
