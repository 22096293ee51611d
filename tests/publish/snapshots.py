"""Snapshots to publish: what the loop hands over, without a loop."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

from rolewatch.faults import Fault
from rolewatch.observation import Identity, Moment
from rolewatch.publish import ActiveFault, AgentStatus, PollSummary, Report, Snapshot
from rolewatch.vocabulary import FailureLabel, Level, State

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=timezone.utc)
UPTIME = 5000.0
PUBLISHERS = ("confirmation", "metrics", "http", "journal", "systemd", "state_file")

_PARTS = {
    "binding": ("role", "instance_profile", "instance_profile_id"),
    "expected": ("expected_role", "expected_instance_profile"),
    "credentials": ("usable", "expiration", "last_updated", "rotation_interval", "overdue", "rotations"),
    "polls": ("ended", "failures", "last_success", "duration", "interval"),
}
"""The parts of a snapshot, with the names that `with_changes` has for what is in them."""


def with_changes(snapshot: Snapshot, **changes: Any) -> Snapshot:
    """Return *snapshot* with *changes*, which may be to fields of its parts."""
    for part, names in _PARTS.items():
        inner = {name.removeprefix("expected_"): changes.pop(name) for name in names if name in changes}
        changes[part] = replace(changes.get(part, getattr(snapshot, part)), **inner)
    return replace(snapshot, **changes)


FIRST = Snapshot(
    moment=Moment(NOON, UPTIME),
    state=State.STARTING,
    state_since=NOON,
    polls=PollSummary(ended=1, duration=0.02, interval=30.0),
)
"""The least that a poll can find out."""

OK = with_changes(
    FIRST,
    state=State.OK,
    state_since=NOON - timedelta(hours=3),
    usable=True,
    role="web-role",
    instance_profile="web",
    instance_profile_id="AIPAEXAMPLEEXAMPLE123",
    expiration=NOON + timedelta(hours=5, minutes=40),
    last_updated=NOON - timedelta(minutes=30),
    rotation_interval=3600.0,
    clock_offset=0.25,
    hop_limit=2,
    confirmed=NOON - timedelta(hours=2),
    dropped_packets=12,
    identity=Identity("i-0123456789abcdef0", "eu-central-1", "123456789012", NOON - timedelta(days=3)),
    ended=360,
    rotations=3,
    last_success=NOON,
)
"""No fault."""


def active(fault: Fault, *, hours: float = 1.0, **evidence: Any) -> ActiveFault:
    """Return *fault*, active since *hours* before noon."""
    return ActiveFault(fault, NOON - timedelta(hours=hours), evidence)


DEGRADED = with_changes(
    OK,
    state=State.DEGRADED,
    faults=(
        active(Fault.INSTANCE_PROFILE_NOT_FOUND, hours=2.5, code="InstanceProfileNotFound", instance_profile="web"),
        active(Fault.ROTATION_OVERDUE, age_seconds=9000, allowed_age_seconds=7200, rotation_interval_seconds=3600),
        active(Fault.ROLE_MISMATCH, role="web-role", expected_role="batch-*"),
    ),
    expected_role=("batch-*",),
    last_updated=NOON - timedelta(hours=2, minutes=30),
)
"""Three faults at once; the credentials still work."""

UNKNOWN = with_changes(
    OK,
    state=State.UNKNOWN,
    faults=(active(Fault.IMDS_UNREACHABLE, phase="connect", reason="refused", errno=111),),
    failures={FailureLabel.CONNECT: 12, FailureLabel.TIMEOUT: 1},
    clock_offset=None,
    duration=2.04,
    last_success=NOON - timedelta(minutes=7),
)
"""IMDS does not answer. What it answered before stays in the snapshot."""

STATUS = AgentStatus(
    config_ok=True,
    config_loaded=NOON - timedelta(hours=3),
    log_messages={Level.INFO: 9, Level.WARNING: 4, Level.ERROR: 2, Level.CRITICAL: 1},
    log_dropped=0,
    publisher_failures=dict.fromkeys(PUBLISHERS, 0),
)


def report(snapshot: Snapshot) -> Report:
    """Return the report of one turn that ended in *snapshot*, without events."""
    return Report(snapshot)
