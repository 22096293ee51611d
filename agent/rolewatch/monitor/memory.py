"""What is kept from poll to poll, as values. No secret: a set of credentials is known by 8 hex digits of a hash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from rolewatch.faults import Fault
from rolewatch.observation import Identity, Moment, RoleBinding, Signs, Tags
from rolewatch.text import shift
from rolewatch.vocabulary import Evidence, FailureLabel, Level, Reason, State


@dataclass(frozen=True)
class FaultState:
    """One fault that was seen lately: active, or on its way to being raised or cleared."""

    since: datetime
    """When it was first seen, by IMDS's clock if that is known."""
    evidence: Evidence
    """From the last poll that saw the fault."""
    active: bool = False
    seen: int = 0
    """Polls in a row that saw it."""
    unseen: int = 0
    """Polls in a row that ruled it out, while it is still active."""
    since_uptime: float | None = None
    """`since` as uptime, which no step of a clock moves; None if an earlier process saw the fault first."""
    logged_at: float | None = None
    """Uptime of the last event about it; None if this process has published none."""
    logged: Level | None = None
    """The severity in that event."""


@dataclass(frozen=True)
class CredentialSet:
    """A set of credentials that IMDS served, without its secrets."""

    role: str
    fingerprint: str | None
    last_updated: datetime | None
    expiration: datetime | None
    seen: datetime
    """When it was last seen, by `ImdsClock.time`."""


@dataclass(frozen=True)
class Instance:
    """What is known of the instance itself: its identity document and its tags."""

    id: str | None = None
    """Survives a restart."""
    identity: Identity | None = None
    identity_at: float | None = None
    """Uptime at which the identity document was last read."""
    rival: str | None = None
    """The instance id of the last identity document, if it contradicts `id` and was read once."""
    signs: Signs = field(default_factory=Signs)
    """Of the last poll that read the identity document."""
    tags: Tags = field(default_factory=Tags)
    tags_at: float | None = None
    """Uptime at which the tags were last read."""
    requested_at: float | None = None
    """Uptime of the last request for identity or tags, whatever came back."""
    imds_address: str = ""
    """The address of IMDS in the last poll."""


@dataclass(frozen=True)
class BindingHistory:
    """Which role and instance profile the instance has, and had."""

    current: RoleBinding = field(default_factory=RoleBinding)
    """As of the last poll that IMDS answered."""
    confirmed: RoleBinding = field(default_factory=RoleBinding)
    """Seen in two polls in a row; a change of it is an event. Survives a restart."""
    candidate: RoleBinding | None = None
    """Differs from `confirmed`, and was seen once."""


@dataclass(frozen=True)
class CredentialHistory:
    """The sets of credentials that IMDS served, and how often it rotates them."""

    last: CredentialSet | None = None
    """The last set whose dates are believed. The next rotation is measured from it. Survives a restart."""
    newest: datetime | None = None
    """The newest believed LastUpdated: two documents that alternate are no rotations. Survives a restart."""
    intervals: tuple[float, ...] = ()
    """The last observed intervals between rotations, in seconds, oldest first. Survive a restart."""
    usable_seen: bool = False
    """Whether usable credentials were seen since boot. Survives a restart."""
    served: bool = False
    """Whether IMDS serves the last set, as far as is known. Survives a restart."""
    misdated: CredentialSet | None = None
    """The last set, if its dates are not believed. It is shown, and neither saved nor learned from."""
    rotations: int = 0
    """Since this process started."""

    @property
    def shown(self) -> CredentialSet | None:
        """The set that IMDS serves, as far as is known; None if it serves none."""
        return (self.misdated or self.last) if self.served else None


@dataclass(frozen=True)
class ImdsClock:
    """The clock of IMDS, as the `Date` of its answers shows it. `monitor.clock` decides which ones are believed."""

    date: datetime | None = None
    """The last believed `Date`, received at the uptime `date_at`."""
    date_at: float = 0.0
    confirmed: bool = False
    """Whether a second clock agreed with `date`: the local one, or an earlier `Date` and the uptime since."""
    offset: float | None = None
    """Local clock minus `date` when that was received, in seconds."""
    doubted: datetime | None = None
    """The `Date` of the last poll, received at the uptime `doubted_at`, if it is not believed."""
    doubted_at: float = 0.0
    doubts: int = 0
    """Polls in a row whose `Date` was not believed and agreed with each other. 0: the time is known."""

    def time(self, now: Moment) -> datetime:
        """Return the time by the last believed `Date` and the uptime since; the local time if there is none.

        A step of the local clock while IMDS is silent does not move it.
        """
        return now.utc if self.date is None else shift(self.date, now.uptime - self.date_at)


@dataclass(frozen=True)
class Status:
    """The overall state, and whether there are usable credentials."""

    state: State = State.STARTING
    since: datetime | None = None
    """By `ImdsClock.time`; `since_uptime` is the same as uptime."""
    since_uptime: float = 0.0
    usable: bool | None = None
    denials: int = 0
    """Polls in a row that found no usable credentials."""


@dataclass(frozen=True)
class PollHistory:
    """How the polls of this process went."""

    ended: int = 0
    failures: Mapping[FailureLabel, int] = field(default_factory=dict)
    """Polls without a usable answer, by cause."""
    last_success: datetime | None = None
    """By `ImdsClock.time`; `last_success_uptime` is the same as uptime."""
    last_success_uptime: float = 0.0
    failed: int = 0
    """Failed polls since the last calm hour, to thin out `poll_failed`."""
    alike: int = 0
    """Those of them since the last one with another reason than the last has, which is `reason`."""
    reason: Reason | None = None
    failed_at: float | None = None
    """Uptime of the last failed poll."""
    throttled: int = 0
    """Polls in a row that IMDS throttled."""


@dataclass(frozen=True)
class HopLimit:
    """The hop limit of IMDS's token answer, as measured on this host."""

    measured: int | None = None
    """None: not measured yet."""
    requested_at: float | None = None
    """Uptime at which the last measurement began, whatever came of it."""


@dataclass(frozen=True)
class Memory:
    """All that is kept from poll to poll. `monitor.state_file` saves the part that survives a restart."""

    boot_id: str = ""
    instance: Instance = field(default_factory=Instance)
    faults: Mapping[Fault, FaultState] = field(default_factory=dict)
    """The active ones survive a restart."""
    binding: BindingHistory = field(default_factory=BindingHistory)
    credentials: CredentialHistory = field(default_factory=CredentialHistory)
    clock: ImdsClock = field(default_factory=ImdsClock)
    status: Status = field(default_factory=Status)
    polls: PollHistory = field(default_factory=PollHistory)
    hop_limit: HopLimit = field(default_factory=HopLimit)
    dropped_packets: int | None = None
    """As the last poll read it."""
    confirmed_at: datetime | None = None
    """When the last judged confirmation was made: each counts once."""
