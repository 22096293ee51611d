"""What is kept from poll to poll, as values. No secret: a set of credentials is known by 8 hex digits of a hash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from rolewatch.faults import Fault
from rolewatch.observation import Identity, Moment, RoleBinding, Tags
from rolewatch.text import shift
from rolewatch.vocabulary import Evidence, FailureLabel, State


@dataclass(frozen=True)
class Watched:
    """One fault that was seen lately, on its way to being raised or cleared."""

    since: datetime
    """When it was first seen, by IMDS's clock where that is known."""
    evidence: Evidence
    """As seen last."""
    active: bool = False
    seen: int = 0
    """Polls in a row in which it held, while it is not yet active."""
    unseen: int = 0
    """Polls in a row in which it did not hold, while it is still active."""
    since_uptime: float | None = None
    """The same as uptime, which no step of a clock moves; None where a process before this one saw it first."""
    told_at: float | None = None
    """Uptime at which the journal was told last; None where this process has not told it yet."""


@dataclass(frozen=True)
class Served:
    """A set of credentials that IMDS served, without its secrets."""

    role: str
    fingerprint: str | None
    last_updated: datetime | None
    expiration: datetime | None
    seen: datetime
    """When it was last seen: see `true_time`."""


@dataclass(frozen=True)
class Memory:
    """All that is remembered. The first group survives a restart, the second does not."""

    instance_id: str | None = None
    boot_id: str = ""
    faults: Mapping[Fault, Watched] = field(default_factory=dict)
    served: Served | None = None
    """The last set whose dates are believed. The next rotation is measured from it."""
    newest: datetime | None = None
    """The newest believed LastUpdated: two documents that alternate are no rotations."""
    settled: RoleBinding = field(default_factory=RoleBinding)
    """Role and profile that were seen twice in a row, for events of change."""
    intervals: tuple[float, ...] = ()
    """The last observed intervals between rotations, in seconds, oldest first."""
    confirmed_at: datetime | None = None
    """When the confirmation was made that was judged last: each counts once."""
    credentials_seen: bool = False
    """Whether usable credentials were seen since boot."""

    identity: Identity | None = None
    identity_at: float | None = None
    """Uptime at which the identity document was read last."""
    rival: str | None = None
    """The instance id of the last identity document, where it contradicts `instance_id` and was read once."""
    tags: Tags = field(default_factory=Tags)
    state: State = State.STARTING
    state_since: datetime | None = None
    """See `true_time`; `state_since_uptime` is the same as uptime."""
    state_since_uptime: float = 0.0
    usable: bool | None = None
    denied: int = 0
    """Looks in a row that said that there are no usable credentials."""
    misdated: Served | None = None
    """The last set, if its dates are not believed. It is shown, and neither saved nor learned from."""
    current: bool = False
    """Whether IMDS serves the last set, as far as is known."""
    attached: RoleBinding = field(default_factory=RoleBinding)
    """As told last."""
    candidate: RoleBinding | None = None
    """Role and profile that differ from `settled` and were seen once."""
    clock_offset: float | None = None
    imds_date: datetime | None = None
    """The last believed `Date` of IMDS, received at the uptime `imds_date_at`: see `monitor.clock`."""
    imds_date_at: float = 0.0
    imds_date_confirmed: bool = False
    """Whether a second clock agreed with `imds_date`: the local one, or an earlier `Date` and the uptime since."""
    doubted: datetime | None = None
    """The `Date` of the last poll, received at the uptime `doubted_at`, if it is not believed."""
    doubted_at: float = 0.0
    doubts: int = 0
    """Polls in a row whose `Date` was not believed and agreed with each other. 0: the time is known."""
    polls: int = 0
    failures: Mapping[FailureLabel, int] = field(default_factory=dict)
    rotations: int = 0
    last_success: datetime | None = None
    """See `true_time`; `last_success_uptime` is the same as uptime."""
    last_success_uptime: float = 0.0
    failed_polls: int = 0
    """Failed polls since the last calm hour, to thin out `poll_failed`."""
    failed_at: float | None = None
    """Uptime of the last failed poll."""
    throttled: int = 0
    """Polls in a row that IMDS throttled."""
    asked_at: float | None = None
    """Uptime at which IMDS was asked for identity or tags last, whatever it answered."""
    tags_at: float | None = None
    """Uptime at which the tags were told last."""

    @property
    def shown(self) -> Served | None:
        """The set that IMDS serves, as far as is known; None if it serves none."""
        return (self.misdated or self.served) if self.current else None


def true_time(memory: Memory, now: Moment) -> datetime:
    """Return the time by IMDS's last believed `Date` and the uptime since; the local time if there is none.

    A step of the local clock while IMDS is silent moves it as little as a local clock that is wrong.
    """
    if memory.imds_date is None:
        return now.utc
    return shift(memory.imds_date, now.uptime - memory.imds_date_at)


def lasted(watched: Watched, memory: Memory, now: Moment) -> float:
    """Return for how many seconds *watched* has been seen."""
    if watched.since_uptime is not None:
        return now.uptime - watched.since_uptime
    return max(0.0, (true_time(memory, now) - watched.since).total_seconds())
