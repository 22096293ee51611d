"""An instance with a history in simulated time, a tracker that watches it, and a model of the promises.

The model shares nothing with the tracker: a fault is active from the number of polls in a row that the table names,
until two polls without it. A poll that leaves a fault undetermined neither counts nor clears.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Callable

from auditor import Auditor
from builders import (
    INSTANCE_ID,
    LIFE,
    ROLE,
    START,
    UPTIME,
    Lookout,
    answered,
    credentials,
    detached,
    failure,
    info,
    not_found,
    refused,
    unanswered,
    without_role,
)
from rolewatch.faults import CONFIRMED_FAULTS, DAEMON_FAULTS, FAULTS, IMDS_FAULTS, Fault
from rolewatch.monitor.memory import Memory
from rolewatch.monitor.state_file import MAX_SIZE, StateFile
from rolewatch.observation import Absent, Answered, Credentials, Identity, Moment, Observation, RoleListing
from rolewatch.settings import ExpectSettings, Settings
from rolewatch.vocabulary import EventKind, Phase, Reason, State

OTHERS = frozenset(DAEMON_FAULTS) - set(IMDS_FAULTS) - set(CONFIRMED_FAULTS)
OF_CREDENTIALS = frozenset(
    {
        Fault.CREDENTIALS_MISSING,
        Fault.ASSUME_ROLE_UNAUTHORIZED,
        Fault.CREDENTIALS_ERROR,
        Fault.CREDENTIALS_EXPIRED,
        Fault.ROTATION_OVERDUE,
    }
)
CLEARED_AFTER = 2
"""Polls without it that clear a fault (README)."""
GRACE = 300.0
"""Seconds after boot in which credentials may be missing."""


@dataclass(frozen=True)
class Condition:
    """How IMDS responds: the observation, the faults that it shows, and those that it leaves undetermined."""

    observe: Callable[[Answered], Observation]
    present: frozenset[Fault] = frozenset()
    undetermined: frozenset[Fault] = frozenset()
    serves: bool = False
    """Whether the set of credentials is served whole."""
    lists: bool = True
    """Whether a role is listed."""


def _without_answer(fault: Fault, reason: Reason, phase: Phase) -> Condition:
    """Return a condition without a token: it rules out the faults of IMDS before *fault*, and no other."""
    later = frozenset(IMDS_FAULTS[IMDS_FAULTS.index(fault) + 1 :])
    return Condition(lambda _: unanswered(reason, phase), frozenset({fault}), OTHERS | later, lists=False)


def _shown(fault: Fault, *, serves: bool = False, lists: bool = True, **changes: object) -> Condition:
    return Condition(lambda good: replace(good, **changes), frozenset({fault}), serves=serves, lists=lists)  # type: ignore[arg-type]


HEALTHY = "healthy"
CONDITIONS: Mapping[str, Condition] = {
    HEALTHY: Condition(lambda good: good, serves=True),
    "unreachable": _without_answer(Fault.IMDS_UNREACHABLE, Reason.CONNECT_TIMEOUT, Phase.CONNECT),
    "hop limit": _without_answer(Fault.IMDS_HOP_LIMIT, Reason.NO_ANSWER, Phase.TOKEN),
    "disabled": _without_answer(Fault.IMDS_DISABLED, Reason.FORBIDDEN, Phase.TOKEN),
    "throttled": _without_answer(Fault.IMDS_ERROR, Reason.THROTTLED, Phase.TOKEN),
    "garbled": Condition(
        lambda good: replace(good, credentials=failure(Reason.MALFORMED)), frozenset({Fault.IMDS_ERROR}), OF_CREDENTIALS
    ),
    "detached": Condition(
        lambda good: detached(date=good.date, identity=good.identity),
        frozenset({Fault.INSTANCE_PROFILE_DETACHED}),
        lists=False,
    ),
    "not found": _shown(Fault.INSTANCE_PROFILE_NOT_FOUND, info=not_found(), serves=True),
    "without role": _shown(
        Fault.INSTANCE_PROFILE_WITHOUT_ROLE, info=without_role(), listing=Absent(), credentials=None, lists=False
    ),
    "missing": _shown(Fault.CREDENTIALS_MISSING, credentials=Absent()),
    "unauthorized": _shown(Fault.ASSUME_ROLE_UNAUTHORIZED, credentials=refused()),
    "failed": _shown(Fault.CREDENTIALS_ERROR, credentials=credentials(code="Failed")),
}
GRACED = frozenset({Fault.INSTANCE_PROFILE_DETACHED, Fault.CREDENTIALS_MISSING})


@dataclass
class Instance:
    """The truth about credentials, clocks and IMDS."""

    elapsed: int = 0
    """True seconds since `START`."""
    uptime: float = UPTIME
    clock_error: int = 0
    """Seconds by which the wall clock is ahead."""
    boots: int = 0
    number: int = 0
    """Which instance it is: an image may be started as another."""
    role: str = ROLE
    condition: str = HEALTHY
    made: int = -600
    """When the set of credentials was made."""
    period: int = 3600
    life: int = int(LIFE.total_seconds())
    stuck: bool = False
    """Nothing is rotated."""
    steady: bool = True
    """The cadence was always the same."""

    @property
    def true(self) -> datetime:
        """The true time."""
        return START + timedelta(seconds=self.elapsed)

    @property
    def moment(self) -> Moment:
        """What the clocks show."""
        return Moment(self.true + timedelta(seconds=self.clock_error), self.uptime)

    @property
    def boot_id(self) -> str:
        """The kernel's."""
        return f"boot-{self.boots}"

    @property
    def instance_id(self) -> str:
        """EC2's."""
        return INSTANCE_ID if not self.number else f"i-{self.number:017x}"

    def pass_(self, seconds: int) -> None:
        """Advance the clock by *seconds*; EC2 rotates when due."""
        self.elapsed += seconds
        self.uptime += seconds
        if not self.stuck and self.elapsed >= self.made + self.period:
            self.made += (self.elapsed - self.made) // self.period * self.period

    def observe(self) -> Observation:
        """Return what IMDS says now."""
        good = answered(
            info=info(),
            listing=RoleListing(self.role),
            credentials=self._credentials(),
            date=self.true,
            identity=Identity(self.instance_id),
        )
        return CONDITIONS[self.condition].observe(good)

    def _credentials(self) -> Credentials:
        made = START + timedelta(seconds=self.made)
        return credentials(updated=made, life=timedelta(seconds=self.life), serial=self.made % 2**32, role=self.role)


@dataclass
class History:
    """One instance, its tracker, and what is promised."""

    directory: Path
    instance: Instance = field(default_factory=Instance)
    polls: int = 0
    largest: int = 0
    """Bytes of the state file at the most."""
    alarms: int = 0
    """Faults raised."""

    def __post_init__(self) -> None:
        """Start the tracker."""
        self._settings = Settings(expect=ExpectSettings(role=(ROLE,)))
        self._auditor = Auditor()
        self._streak: dict[Fault, int] = {}
        """Polls in a row that showed a fault, without those that left it undetermined."""
        self._gone: dict[Fault, int] = {}
        """Polls in a row that ruled it out."""
        self._begun: dict[Fault, datetime] = {}
        self._found: set[Fault] = set()
        """The faults that were active when the process started."""
        self._usable_seen = False
        self._dated = False
        self._early = 0
        self._overdue = False
        self._known_as, self._rival = "", ""
        self._start(Memory(boot_id=self.instance.boot_id))

    def _start(self, memory: Memory) -> None:
        self._file = StateFile(self.directory)
        self._lookout = Lookout(self._settings, memory=memory)
        self._dated, self._rival = False, ""

    def restart(self) -> None:
        """Start the daemon again, on its state file: unconfirmed faults are forgotten."""
        self._auditor.restarted(same_boot=True)
        active_faults = set(self._auditor.since)
        self._forget(kept=active_faults)
        self._found, self._gone = active_faults, {}
        self._start(StateFile(self.directory).load(boot_id=self.instance.boot_id))

    def boot(self) -> None:
        """Stop and start the instance: active faults are forgotten."""
        self.instance.boots += 1
        self.instance.uptime = 20.0
        self._auditor.restarted(same_boot=False)
        self._usable_seen = False
        self._forget(kept=set())
        self._found, self._gone = set(), {}
        self._start(StateFile(self.directory).load(boot_id=self.instance.boot_id))

    def _forget(self, *, kept: set[Fault]) -> None:
        self._streak = {fault: count for fault, count in self._streak.items() if fault in kept}
        self._begun = {fault: when for fault, when in self._begun.items() if fault in kept}
        self._gone = {fault: count for fault, count in self._gone.items() if fault in kept}
        self._early = 0
        self._overdue = Fault.ROTATION_OVERDUE in kept

    @property
    def remembered(self) -> Memory:
        """The memory of the tracker."""
        return self._lookout.memory

    def watch(self, count: int, every: int) -> None:
        """Poll *count* times, every *every* seconds."""
        for _ in range(count):
            self.instance.pass_(every)
            self.poll()

    def poll(self) -> None:
        """Poll once, and check the report against the promises."""
        instance, lookout = self.instance, self._lookout
        seen = instance.observe()
        if isinstance(seen, Answered) and self._known_as != instance.instance_id:
            if self._known_as and self._rival != instance.instance_id:  # the next poll confirms it
                self._rival = instance.instance_id
            else:
                if self._known_as:  # the memory of another instance is dropped, except what this process observed
                    self._usable_seen = False
                    self._forget(kept=set(self._streak) - self._found)
                self._known_as = instance.instance_id
        self._dated = self._dated or seen.date is not None
        self._count(seen)
        lookout.published.clear()
        snapshot = lookout.see(seen, instance.moment)
        events = [event for _, event in lookout.published]
        self.alarms += len(lookout.events(EventKind.FAULT_RAISED))
        self._auditor.take(snapshot, events, lookout.memory)
        self._file.save(lookout.memory, instance.moment)
        self.polls += 1
        self.largest = max(self.largest, self._file.path.stat().st_size)
        assert self.largest <= MAX_SIZE
        self._check({active.fault: active.since for active in snapshot.faults}, snapshot.state)

    def _truth(self, seen: Observation) -> tuple[set[Fault], set[Fault]]:
        """Return the true faults, and those that *seen* leaves undetermined."""
        condition, instance = CONDITIONS[self.instance.condition], self.instance
        present, undetermined = set(condition.present), set(condition.undetermined)
        if not self._usable_seen and instance.uptime < GRACE:
            present -= GRACED
        if seen.date is not None:
            undetermined.discard(Fault.CLOCK_SKEW)
            if abs(instance.clock_error) > self._settings.limits.clock_skew:
                present.add(Fault.CLOCK_SKEW)
        if condition.lists and instance.role != ROLE:
            present.add(Fault.ROLE_MISMATCH)
        if condition.serves:
            if instance.elapsed >= instance.made + instance.life:
                present.add(Fault.CREDENTIALS_EXPIRED)
            else:
                self._usable_seen = True
        return present, undetermined - present

    def _count(self, seen: Observation) -> None:
        """Count the polls in a row that showed each fault, and those that ruled it out."""
        instance = self.instance
        present, undetermined = self._truth(seen)
        for fault in (OTHERS | set(IMDS_FAULTS)) - undetermined:
            if fault in present:
                if not self._streak.get(fault):
                    self._begun[fault] = instance.true if self._dated else instance.moment.utc
                self._streak[fault] = self._streak.get(fault, 0) + 1
                self._gone[fault] = 0
            else:
                self._gone[fault] = self._gone.get(fault, 0) + 1
                if self._gone[fault] >= CLEARED_AFTER or self._streak.get(fault, 0) < FAULTS[fault].debounce:
                    self._streak[fault] = 0
                    self._found.discard(fault)

    def _check(self, active_faults: Mapping[Fault, datetime], state: State) -> None:
        """Check that each fault is active, or is not, as promised, and since the right time."""
        for fault in OTHERS | set(IMDS_FAULTS):
            if fault is Fault.ROTATION_OVERDUE:
                self._check_overdue(active=fault in active_faults)
                continue
            confirmed = self._streak.get(fault, 0) >= FAULTS[fault].debounce
            assert (fault in active_faults) is confirmed, (
                f"{fault.value} {'is not active' if confirmed else 'is active'}"
            )
            if confirmed:
                assert active_faults[fault] == self._begun[fault], f"{fault.value} began at {self._begun[fault]}"
        if not active_faults and CONDITIONS[self.instance.condition].serves:
            # The first state waits for a fault that is being confirmed.
            assert state is State.OK or (state is State.STARTING and any(self._streak.values()))

    def _check_overdue(self, *, active: bool) -> None:
        """Check that a late rotation is a fault in time, and that one which may still come is none."""
        instance = self.instance
        age, life = instance.elapsed - instance.made, instance.life
        if not CONDITIONS[instance.condition].serves:
            return
        early = age <= (instance.period if instance.steady else life / 4)
        self._early = self._early + 1 if early else 0
        if self._early >= CLEARED_AFTER or (early and not self._overdue):
            assert not active, f"rotation_overdue is active after {age} s"
        late = min(max(life / 2, 7200), life - 300) if instance.steady else life - 300
        if late < age < life:  # once it has expired, credentials_expired takes its place
            assert active, f"rotation_overdue is not active after {age} s"
        self._overdue = active
