"""What a publisher gets (`Report`) and what it is (`Publisher`).

A publisher decides nothing. The loop counts one that fails, and continues.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from rolewatch.aws_names import partition_of
from rolewatch.faults import Fault
from rolewatch.faults.explain import one_name
from rolewatch.observation import Identity, Moment, RoleBinding
from rolewatch.text import rfc3339
from rolewatch.vocabulary import EventKind, Evidence, FailureLabel, Level, Scalar, State


@dataclass(frozen=True)
class ActiveFault:
    """An active fault, after debouncing."""

    fault: Fault
    since: datetime
    """When it was first seen, by IMDS's clock if that is known. Survives a restart of the daemon."""
    evidence: Evidence


@dataclass(frozen=True)
class Expected:
    """The patterns of role and instance profile in force, from the settings or the instance tags. Empty: any."""

    role: tuple[str, ...] = ()
    instance_profile: tuple[str, ...] = ()
    none: bool = False
    """No instance profile is expected."""


@dataclass(frozen=True)
class CredentialSummary:
    """What is known of the credentials that IMDS serves, without their secrets."""

    usable: bool | None = None
    """Whether the last credentials seen are well-formed and unexpired; None until IMDS has answered, and
    where none are expected and there are none."""
    expiration: datetime | None = None
    """Of the credentials served last; None once IMDS has withdrawn them."""
    last_updated: datetime | None = None
    rotation_interval: float | None = None
    """The learned interval between two rotations in seconds; None while too few rotations were seen."""
    overdue: datetime | None = None
    """From when on the next set is overdue; None if the dates of this one are not known."""
    rotations: int = 0
    """Changes of the credential set since the daemon started."""


@dataclass(frozen=True)
class PollSummary:
    """How the polls since the daemon started went."""

    ended: int = 0
    failures: Mapping[FailureLabel, int] = field(default_factory=dict)
    """Polls that yielded no usable answer, by cause."""
    last_success: datetime | None = None
    """When the last poll that yielded a credentials document ended, by the same clock as `Snapshot.time`."""
    duration: float = 0.0
    """Wall seconds of the last poll."""
    interval: float = 0.0
    """The nominal interval between polls, in seconds."""


@dataclass(frozen=True)
class Snapshot:
    """The state after one poll, as the publishers show it."""

    moment: Moment
    state: State
    state_since: datetime
    """When the state became this one, by the same clock as `time`."""
    faults: tuple[ActiveFault, ...] = ()
    time: datetime | None = None
    """The time of this poll by the believed clock: what counts down to `expiration`. None: that of `moment`."""
    clock_offset: float | None = None
    """Local clock minus IMDS's, in seconds; None until IMDS gave a `Date` that is believed."""
    identity: Identity | None = None
    imds_address: str = ""
    """The address of IMDS in the last poll; empty before it."""
    binding: RoleBinding = field(default_factory=RoleBinding)
    expected: Expected = field(default_factory=Expected)
    credentials: CredentialSummary = field(default_factory=CredentialSummary)
    polls: PollSummary = field(default_factory=PollSummary)
    hop_limit: int | None = None
    """The measured hop limit of IMDS's token answer, up to what containers need. None: not measured."""
    confirmed: datetime | None = None
    """When the last confirmation was made, by the local clock. None: nobody confirms."""
    dropped_packets: int | None = None
    """Packets to link-local addresses that EC2 has dropped; None if nothing counts them."""


@dataclass(frozen=True)
class Event:
    """Something that happened once, for the journal."""

    kind: EventKind
    level: Level
    message: str
    """One English sentence for a person. Not to be parsed."""
    fault: Fault | None = None
    fields: Mapping[str, Scalar] = field(default_factory=dict)
    """Named facts; every key is one of `EVENT_FIELDS`."""


@dataclass(frozen=True)
class Report:
    """What every publisher gets after one poll."""

    snapshot: Snapshot
    events: tuple[Event, ...] = ()


@dataclass(frozen=True)
class AgentStatus:
    """The figures about rolewatch itself, for the metrics."""

    config_ok: bool
    """Whether the last configuration load or reload was successful."""
    config_loaded: datetime
    """When the settings in force were loaded."""
    log_messages: Mapping[Level, int] = field(default_factory=dict)
    """Logged events, by level."""
    log_dropped: int = 0
    """Events that could not be written anywhere."""
    publisher_failures: Mapping[str, int] = field(default_factory=dict)
    """How often each publisher failed, by its name; every publisher has an entry."""


class Publisher(Protocol):
    """Publishes the result of each poll."""

    name: str
    """A word for metrics and logs."""

    def publish(self, report: Report) -> None:
        """Publish *report*. May raise anything; must not block."""


def facts_of(snapshot: Snapshot, *, uid: int | None = None) -> dict[str, str]:
    """Return the values in *snapshot* for the `PLACEHOLDERS` of a remedy, by their names.

    An expectation counts only if it is one plain name: a pattern cannot be pasted. Besides the placeholders there is
    ``expiration`` (RFC 3339) if the last credentials are usable, and ``imds_address``. *uid* is that of the process
    that polled IMDS.
    """
    identity = snapshot.identity
    region = identity.region if identity else None
    facts = {
        "instance_id": identity.instance_id if identity else None,
        "region": region,
        "account_id": identity.account_id if identity else None,
        "partition": partition_of(region) if region else None,
        "role": snapshot.binding.role,
        "instance_profile": snapshot.binding.instance_profile,
        "instance_profile_id": snapshot.binding.instance_profile_id,
        "expected_role": one_name(", ".join(snapshot.expected.role)),
        "expected_instance_profile": one_name(", ".join(snapshot.expected.instance_profile)),
        "expiration": rfc3339(snapshot.credentials.expiration)
        if snapshot.credentials.usable and snapshot.credentials.expiration
        else None,
        "uid": None if uid is None else str(uid),
        "imds_address": snapshot.imds_address,
    }
    return {name: value for name, value in facts.items() if value}
