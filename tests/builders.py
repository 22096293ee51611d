"""Observations of a healthy or faulty IMDS, and a simulated tracker to feed with them. No I/O, no clock."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any, Callable

from rolewatch import monitor
from rolewatch.faults import Fault
from rolewatch.monitor.classify import Prior, Verdict, classify
from rolewatch.monitor.clock import keep_time
from rolewatch.monitor.confirmation import DECIDED_BY
from rolewatch.monitor.memory import Memory
from rolewatch.observation import (
    Absent,
    Answered,
    Credentials,
    Failure,
    Identity,
    Moment,
    Observation,
    ProfileInfo,
    RoleListing,
    Unanswered,
)
from rolewatch.publish import Event, Snapshot
from rolewatch.settings import LimitSettings, Settings
from rolewatch.text import rfc3339
from rolewatch.vocabulary import EventKind, Phase, Reason

START = datetime(2026, 11, 23, 12, 0, tzinfo=timezone.utc)
"""The true time at the start of every test."""
UPTIME = 3 * 86400.0
"""The uptime at that time, in seconds: the boot grace is over."""
LIFE = timedelta(hours=6, minutes=2)
ROLE = "web-server"
PROFILE = "web-server-profile"
PROFILE_ID = "AIPAEXAMPLE000000001"
INSTANCE_ID = "i-0123456789abcdef0"

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def moment(elapsed: float = 0.0, *, clock_error: float = 0.0, uptime: float = UPTIME) -> Moment:
    """Return both clocks *elapsed* seconds after `START`; the wall clock is *clock_error* seconds ahead."""
    return Moment(utc=START + timedelta(seconds=elapsed + clock_error), uptime=uptime + elapsed)


def info(**changes: Any) -> ProfileInfo:
    """Return a healthy ``iam/info`` with *changes*."""
    healthy = ProfileInfo(
        code="Success",
        without_role=False,
        name=PROFILE,
        arn=f"arn:aws:iam::123456789012:instance-profile/{PROFILE}",
        id=PROFILE_ID,
        last_updated=START - timedelta(minutes=10),
    )
    return replace(healthy, **changes)


def without_role(**changes: Any) -> ProfileInfo:
    """Return ``iam/info`` of a profile whose role was removed. Its Code is Success."""
    return info(**{"without_role": True, **changes})


def not_found() -> ProfileInfo:
    """Return ``iam/info`` of a profile that was deleted: neither name nor ARN."""
    return info(code="InstanceProfileNotFound", name=None, arn=None)


def credentials(
    *, updated: datetime = START - timedelta(minutes=10), life: timedelta = LIFE, serial: int = 0, **changes: Any
) -> Credentials:
    """Return a complete set of credentials with *changes*; *serial* identifies it."""
    healthy = Credentials(
        role=ROLE,
        code="Success",
        last_updated=updated,
        expiration=updated + life,
        fingerprint=f"{serial:08x}",
        missing=(),
    )
    return replace(healthy, **changes)


def refused(**changes: Any) -> Credentials:
    """Return the error document of a role that EC2 cannot assume. Its LastUpdated is fresh."""
    document = Credentials(
        role=ROLE,
        code="AssumeRoleUnauthorizedAccess",
        last_updated=START - SECOND,
        expiration=None,
        fingerprint=None,
        missing=("AccessKeyId", "SecretAccessKey", "Token", "Expiration"),
    )
    return replace(document, **changes)


def answered(**changes: Any) -> Answered:
    """Return a healthy observation at `START` with *changes*."""
    healthy = Answered(info=info(), listing=RoleListing(ROLE), credentials=credentials(), date=START)
    return replace(healthy, **changes)


def detached(**changes: Any) -> Answered:
    """Return an observation of an instance without an instance profile."""
    return answered(**{"info": Absent(), "listing": Absent(), "credentials": None, **changes})


def unanswered(
    reason: Reason = Reason.CONNECT_TIMEOUT, phase: Phase = Phase.CONNECT, date: datetime | None = None
) -> Unanswered:
    """Return an observation of a poll that got no token."""
    return Unanswered(Failure(phase, reason, "api/token"), date)


def failure(reason: Reason = Reason.SERVER_ERROR, **changes: Any) -> Failure:
    """Return a document that gave no usable answer."""
    return replace(Failure(Phase.DOCUMENT, reason, "meta-data/iam/info", status=500), **changes)


def judge(seen: Observation, known: Prior | None = None, now: Moment | None = None) -> Verdict:
    """Classify *seen* with the default limits, at `START` where *now* is not given."""
    return classify(seen, known or Prior(), LimitSettings(), now or moment())


def faults(verdict: Verdict) -> tuple[Fault, ...]:
    """Return the faults that *verdict* found."""
    return tuple(finding.fault for finding in verdict.findings)


_PARTS = {
    "instance": ("instance_id", "identity", "identity_at", "rival", "tags_at", "requested_at"),
    "credentials": ("last", "newest", "intervals", "usable_seen", "served"),
    "polls": ("throttled",),
}
"""The parts of a memory, with the names that `memory_with` has for what is in them."""


def memory_with(memory: Memory | None = None, **changes: Any) -> Memory:
    """Return *memory*, or an empty one, with *changes*, which may be to fields of its parts."""
    memory = memory or Memory()
    for part, names in _PARTS.items():
        inner = {name.removeprefix("instance_"): changes.pop(name) for name in names if name in changes}
        changes[part] = replace(changes.get(part, getattr(memory, part)), **inner)
    return replace(memory, **changes)


@dataclass
class Lookout:
    """Classifies and remembers over simulated time: what `watch` does, without sockets, files and clocks."""

    settings: Settings = field(default_factory=Settings)
    memory: Memory = field(default_factory=lambda: memory_with(boot_id="boot", instance_id=INSTANCE_ID))
    now: Moment = field(default_factory=moment)
    published: list[tuple[Moment, Event]] = field(default_factory=list)
    """Every event, with the moment at which it was published."""

    def see(self, seen: Observation, now: Moment | None = None) -> Snapshot:
        """Process the observation *seen* as of *now*.

        Where that is not given: half a minute after the last, and IMDS's clock, if any, has moved on from `START`, too.
        """
        if now is None:
            self.now = Moment(self.now.utc + timedelta(seconds=30), self.now.uptime + 30)
            seen = replace(seen, date=seen.date and seen.date + (self.now.utc - START))
        else:
            self.now = now
        memory, recognised = monitor.update_instance(self.memory, seen, self.now)
        memory = keep_time(memory, seen, self.now)
        prior = monitor.prior(memory, seen, self.settings, self.now)
        verdict = classify(seen, prior, self.settings.limits, self.now)
        self.memory, _, events = monitor.advance(memory, seen, verdict, self.settings, self.now)
        self.published += [(self.now, event) for event in (*recognised, *events)]
        return self.snapshot()

    def see_all(self, *observations: Observation) -> Snapshot:
        """Process some observations, half a minute apart."""
        for observation in observations:
            self.see(observation)
        return self.snapshot()

    def snapshot(self) -> Snapshot:
        """Return the snapshot that is published now."""
        return monitor.snapshot_of(self.memory, self.settings, self.now)

    def active(self) -> tuple[Fault, ...]:
        """Return the active faults."""
        return tuple(active.fault for active in self.snapshot().faults)

    def events(self, kind: EventKind, fault: Fault | None = None) -> list[Event]:
        """Return the events of one kind, of one fault where one is given."""
        return [event for _, event in self.published if event.kind is kind and fault in (None, event.fault)]

    def times(self, kind: EventKind, fault: Fault | None = None) -> list[float]:
        """Return when the events of one kind were published, in seconds of uptime."""
        return [now.uptime for now, event in self.published if event.kind is kind and fault in (None, event.fault)]


@dataclass
class Platform:
    """An IMDS that renews a set of credentials again and again, `elapsed` seconds after `START`."""

    period: float = 3600.0
    """Seconds from one rotation to the next."""
    life: float = LIFE.total_seconds()
    stuck: tuple[tuple[float, float], ...] = ()
    """Spans in which nothing is renewed: from the first, until before the second, in seconds."""
    extra: tuple[float, ...] = ()
    """When somebody associated the profile anew by hand: the set is renewed then, and the period begins anew."""
    identity: Identity | None = None

    def updated(self, elapsed: float) -> float:
        """Return when the set that is served at *elapsed* was made."""
        made = 0.0
        while True:
            following = min([made + self.period, *(when for when in self.extra if when > made)])
            for begin, end in self.stuck:
                if begin <= following < end:
                    following = end
            if following > elapsed:
                return made
            made = following

    def at(self, elapsed: float) -> Answered:
        """Return the observation at *elapsed* seconds after `START`."""
        made = self.updated(elapsed)
        return answered(
            credentials=credentials(
                updated=START + timedelta(seconds=made), life=timedelta(seconds=self.life), serial=int(made)
            ),
            date=START + timedelta(seconds=elapsed),
            identity=self.identity,
        )


def simulate(  # noqa: PLR0913 - a span of time, and how it is polled
    lookout: Lookout,
    observe: Callable[[float], Observation],
    begin: float,
    end: float,
    *,
    step: float = 30.0,
    clock_error: float = 0.0,
) -> None:
    """Let *lookout* poll every *step* seconds from *begin* until before *end*, in seconds after `START`."""
    elapsed = begin
    while elapsed < end:
        lookout.see(observe(elapsed), moment(elapsed, clock_error=clock_error))
        elapsed += step


def diagnosis(*faults: Fault, undecided: Fault = Fault.IMDS_ERROR, **changes: Any) -> str:
    """Return the JSON of a diagnosis that found *faults*, and could not decide one."""
    checks: list[dict[str, str]] = [{"id": "imds.token", "title": "IMDS", "status": "pass", "note": "It does."}]
    for check, fault in DECIDED_BY.items():
        status = "unknown" if fault is undecided else "fail" if fault in faults else "pass"
        checks.append({"id": check, "title": "AWS", "status": status, "note": "So it is."})
    found = [{"fault": fault.value, "evidence": {"role": "web-server"}} for fault in faults]
    document = {
        "schema": 1,
        "instance_id": INSTANCE_ID,
        "checks": checks,
        "faults": found,
        "polled": rfc3339(START),
        **changes,
    }
    return json.dumps(document)
