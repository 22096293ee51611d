"""Invented views of every state of the page."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from publish.snapshots import DEGRADED, NOON, OK, UNKNOWN, active, with_changes
from rolewatch.faults import FAULTS, Fault
from rolewatch.http.page import RecentEvents, View
from rolewatch.observation import Moment
from rolewatch.publish import ActiveFault, Event, Report, Snapshot, facts_of, messages
from rolewatch.vocabulary import EventKind, Level, State

AGE = 12.0
"""Seconds since the last poll."""


def view_of(snapshot: Snapshot, recent: RecentEvents) -> View:
    """Return the view of *snapshot*, some seconds after its poll."""
    return View(
        snapshot,
        age=AGE,
        recent=recent,
        refresh=30,
        version="1.2.3",
        runbooks="https://rolewatch.example/docs/runbooks",
        homepage="https://rolewatch.example",
        uid=990,
    )


def report_at(snapshot: Snapshot, hours: float, *events: Event) -> Report:
    """Return the report with *events*, *hours* before noon."""
    return Report(replace(snapshot, moment=Moment(NOON - timedelta(hours=hours), 0.0)), events)


def recent(*reports: Report) -> RecentEvents:
    """Return the events of *reports* that the page keeps."""
    kept = RecentEvents()
    for report in reports:
        kept = kept.after(report)
    return kept


def started() -> Event:
    """Return the event of the start."""
    message = "rolewatch 1.2.3 polls http://169.254.169.254 every 30 s; metrics on http://127.0.0.1:10169."
    return Event(EventKind.STARTED, Level.NOTICE, message)


def rotated(hours: float) -> Event:
    """Return the event of a rotation, *hours* before noon."""
    expiration = NOON - timedelta(hours=hours) + timedelta(hours=6, minutes=10)
    return Event(EventKind.CREDENTIALS_ROTATED, Level.NOTICE, messages.rotated("web-role", expiration, 3600.0))


def changed(old: State, new: State, *faults: Fault) -> Event:
    """Return the event of a change of state."""
    return Event(EventKind.STATE_CHANGED, Level.NOTICE, messages.state_changed(old, new, faults))


def raised(each: ActiveFault, snapshot: Snapshot) -> Event:
    """Return the event in which the fault *each* is raised."""
    message = messages.raised(each.fault, each.evidence, facts_of(snapshot))
    return Event(EventKind.FAULT_RAISED, FAULTS[each.fault].severity, message, each.fault)


QUIET = recent(
    report_at(OK, 3.5, started()),
    report_at(OK, 3.49, changed(State.STARTING, State.OK)),
    *(report_at(OK, hours, rotated(hours)) for hours in (2.5, 1.5, 0.5)),
)

FAILED = with_changes(
    OK,
    state=State.FAILED,
    state_since=NOON - timedelta(minutes=29),
    usable=False,
    expiration=None,
    last_updated=None,
    overdue=None,
    faults=(
        active(
            Fault.ASSUME_ROLE_UNAUTHORIZED,
            hours=0.49,
            role="web-role",
            last_updated="2026-03-01T11:30:00Z",
            code="AssumeRoleUnauthorizedAccess",
        ),
    ),
)
"""The trust policy was edited, and the credentials are gone."""

HEALTHY = with_changes(OK, overdue=NOON + timedelta(hours=1, minutes=30))
OVERDUE = with_changes(DEGRADED, overdue=NOON - timedelta(minutes=30), expiration=NOON + timedelta(hours=3, minutes=32))
UNKNOWN_OVERDUE = with_changes(
    UNKNOWN, overdue=NOON + timedelta(hours=1, minutes=30), state_since=NOON - timedelta(minutes=6)
)
LONG = "A-role-whose-name-is-as-long-as-IAM-allows-it-to-be-64-characters"

VIEWS: dict[str, View] = {
    "starting": replace(view_of(OK, recent()), snapshot=None, age=2.0, refresh=2),
    "ok": view_of(HEALTHY, QUIET),
    "degraded": view_of(
        OVERDUE,
        recent(
            report_at(OK, 3.5, started()),
            report_at(OK, 3.49, changed(State.STARTING, State.OK)),
            report_at(OK, 2.5, rotated(2.5)),
            *(
                report_at(DEGRADED, hours, raised(each, DEGRADED))
                for hours, each in zip((2.48, 0.98, 0.95), DEGRADED.faults)
            ),
            report_at(DEGRADED, 0.94, changed(State.OK, State.DEGRADED, *(each.fault for each in DEGRADED.faults))),
        ),
    ),
    "failed": view_of(
        FAILED,
        recent(
            report_at(OK, 26.5, started()),
            report_at(OK, 26.49, changed(State.STARTING, State.OK)),
            *(report_at(OK, hours, rotated(hours)) for hours in (2.5, 1.5)),
            report_at(FAILED, 0.48, raised(FAILED.faults[0], FAILED)),
            report_at(FAILED, 0.48, changed(State.OK, State.FAILED, Fault.ASSUME_ROLE_UNAUTHORIZED)),
        ),
    ),
    "unknown": view_of(
        UNKNOWN_OVERDUE,
        recent(
            report_at(OK, 3.5, started()),
            report_at(OK, 3.49, changed(State.STARTING, State.OK)),
            report_at(UNKNOWN_OVERDUE, 0.1, raised(UNKNOWN_OVERDUE.faults[0], UNKNOWN_OVERDUE)),
            report_at(UNKNOWN_OVERDUE, 0.1, changed(State.OK, State.UNKNOWN, Fault.IMDS_UNREACHABLE)),
        ),
    ),
    "unlearned": view_of(
        with_changes(HEALTHY, rotation_interval=None, overdue=NOON + timedelta(hours=2, minutes=35)), QUIET
    ),
    "expired": view_of(
        with_changes(
            OK,
            state=State.FAILED,
            usable=False,
            last_updated=NOON - timedelta(hours=6, minutes=20),
            expiration=NOON - timedelta(minutes=10),
            overdue=NOON - timedelta(hours=4, minutes=20),
            faults=(active(Fault.CREDENTIALS_EXPIRED, hours=0.16, role="web-role", expiration="2026-03-01T11:50:00Z"),),
        ),
        QUIET,
    ),
    "stuck": replace(view_of(HEALTHY, QUIET), age=900.0, stuck=True),
    "still": replace(view_of(HEALTHY, QUIET), refresh=None),
    "long": view_of(
        with_changes(
            OVERDUE,
            role=LONG,
            instance_profile=LONG * 2,
            faults=(active(Fault.ROLE_MISMATCH, role=LONG, expected_role=LONG[::-1]),),
        ),
        QUIET,
    ),
}
"""Views by the name of their picture."""
