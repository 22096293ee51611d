"""An instance with a history over simulated time, a tracker that watches it, and a model of what is promised of both.

The model is the promise itself, and shares nothing with the tracker: a fault stands once it was seen as often as the
table says, and until it was not seen twice. What nothing can be told of neither counts nor clears.
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
from rolewatch.faults import CONFIRMED_FAULTS, FAULTS, IMDS_FAULTS, Fault
from rolewatch.monitor.memory import Memory
from rolewatch.monitor.state_file import MAX_SIZE, StateFile
from rolewatch.observation import Absent, Answered, Credentials, Identity, Moment, Observation, RoleListing
from rolewatch.settings import ExpectSettings, Settings
from rolewatch.vocabulary import EventKind, Phase, Reason, State

OTHERS = frozenset(Fault) - set(IMDS_FAULTS) - set(CONFIRMED_FAULTS)
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
"""Looks without it that clear a fault (README)."""
GRACE = 300.0
"""Seconds after boot in which credentials may be missing."""


@dataclass(frozen=True)
class Condition:
    """How IMDS answers: what becomes of a good look, what holds then, and what cannot be told."""

    look: Callable[[Answered], Observation]
    holds: frozenset[Fault] = frozenset()
    untold: frozenset[Fault] = frozenset()
    serves: bool = False
    """Whether the set of credentials is served whole."""
    lists: bool = True
    """Whether a role is listed."""


def _dark(fault: Fault, reason: Reason, phase: Phase) -> Condition:
    """Return the condition in which there is no token: of IMDS's faults those before *fault* are told not to hold."""
    later = frozenset(IMDS_FAULTS[IMDS_FAULTS.index(fault) + 1 :])
    return Condition(lambda _: unanswered(reason, phase), frozenset({fault}), OTHERS | later, lists=False)


def _shown(fault: Fault, *, serves: bool = False, lists: bool = True, **changes: object) -> Condition:
    return Condition(lambda good: replace(good, **changes), frozenset({fault}), serves=serves, lists=lists)  # type: ignore[arg-type]


WELL = "well"
CONDITIONS: Mapping[str, Condition] = {
    WELL: Condition(lambda good: good, serves=True),
    "unreachable": _dark(Fault.IMDS_UNREACHABLE, Reason.CONNECT_TIMEOUT, Phase.CONNECT),
    "hop limit": _dark(Fault.IMDS_HOP_LIMIT, Reason.NO_ANSWER, Phase.TOKEN),
    "disabled": _dark(Fault.IMDS_DISABLED, Reason.FORBIDDEN, Phase.TOKEN),
    "throttled": _dark(Fault.IMDS_ERROR, Reason.THROTTLED, Phase.TOKEN),
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
    """What is true: of the credentials, of the clocks, of IMDS."""

    elapsed: int = 0
    """True seconds since `START`."""
    uptime: float = UPTIME
    clock_error: int = 0
    """Seconds by which the wall clock is ahead."""
    boots: int = 0
    number: int = 0
    """Which instance it is: an image may be started as another."""
    role: str = ROLE
    condition: str = WELL
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
        """Let time pass, and EC2 rotate."""
        self.elapsed += seconds
        self.uptime += seconds
        if not self.stuck and self.elapsed >= self.made + self.period:
            self.made += (self.elapsed - self.made) // self.period * self.period

    def look(self) -> Observation:
        """Return what IMDS says now."""
        good = answered(
            info=info(),
            listing=RoleListing(self.role),
            credentials=self._credentials(),
            date=self.true,
            identity=Identity(self.instance_id),
        )
        return CONDITIONS[self.condition].look(good)

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
        """Looks in a row that showed a fault, of those that tell."""
        self._gone: dict[Fault, int] = {}
        """Looks in a row that did not."""
        self._begun: dict[Fault, datetime] = {}
        self._found: set[Fault] = set()
        """Those that stood when the process began."""
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
        """Start the daemon again, on its state file: what was only suspected is forgotten."""
        self._auditor.restarted(same_boot=True)
        standing = set(self._auditor.since)
        self._forget(kept=standing)
        self._found, self._gone = standing, {}
        self._start(StateFile(self.directory).load(boot_id=self.instance.boot_id))

    def boot(self) -> None:
        """Stop and start the instance: what stood is forgotten."""
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
        """All that is remembered."""
        return self._lookout.memory

    def watch(self, count: int, every: int) -> None:
        """Look *count* times, *every* so many seconds."""
        for _ in range(count):
            self.instance.pass_(every)
            self.poll()

    def poll(self) -> None:
        """Look once, and hold what comes of it against what is promised."""
        instance, lookout = self.instance, self._lookout
        seen = instance.look()
        if isinstance(seen, Answered) and self._known_as != instance.instance_id:
            if self._known_as and self._rival != instance.instance_id:  # it is asked again
                self._rival = instance.instance_id
            else:
                if self._known_as:  # what another instance left is dropped; what this process saw is this one's
                    self._usable_seen = False
                    self._forget(kept=set(self._streak) - self._found)
                self._known_as = instance.instance_id
        self._dated = self._dated or seen.date is not None
        self._count(seen)
        lookout.told.clear()
        snapshot = lookout.see(seen, instance.moment)
        events = [event for _, event in lookout.told]
        self.alarms += len(lookout.events(EventKind.FAULT_RAISED))
        self._auditor.take(snapshot, events, lookout.memory)
        self._file.save(lookout.memory, instance.moment)
        self.polls += 1
        self.largest = max(self.largest, self._file.path.stat().st_size)
        assert self.largest <= MAX_SIZE
        self._hold({active.fault: active.since for active in snapshot.faults}, snapshot.state)

    def _truth(self, seen: Observation) -> tuple[set[Fault], set[Fault]]:
        """Return which faults hold in truth, and on which *seen* is silent."""
        condition, instance = CONDITIONS[self.instance.condition], self.instance
        holds, untold = set(condition.holds), set(condition.untold)
        if not self._usable_seen and instance.uptime < GRACE:
            holds -= GRACED
        if seen.date is not None:
            untold.discard(Fault.CLOCK_SKEW)
            if abs(instance.clock_error) > self._settings.limits.clock_skew:
                holds.add(Fault.CLOCK_SKEW)
        if condition.lists and instance.role != ROLE:
            holds.add(Fault.ROLE_MISMATCH)
        if condition.serves:
            if instance.elapsed >= instance.made + instance.life:
                holds.add(Fault.CREDENTIALS_EXPIRED)
            else:
                self._usable_seen = True
        return holds, untold - holds

    def _count(self, seen: Observation) -> None:
        """Count the looks in a row that showed a fault, and those that did not."""
        instance = self.instance
        holds, untold = self._truth(seen)
        for fault in (OTHERS | set(IMDS_FAULTS)) - untold:
            if fault in holds:
                if not self._streak.get(fault):
                    self._begun[fault] = instance.true if self._dated else instance.moment.utc
                self._streak[fault] = self._streak.get(fault, 0) + 1
                self._gone[fault] = 0
            else:
                self._gone[fault] = self._gone.get(fault, 0) + 1
                if self._gone[fault] >= CLEARED_AFTER or self._streak.get(fault, 0) < FAULTS[fault].debounce:
                    self._streak[fault] = 0
                    self._found.discard(fault)

    def _hold(self, standing: Mapping[Fault, datetime], state: State) -> None:
        """Hold that each fault stands, or does not, as promised; and that its beginning is where it began."""
        for fault in OTHERS | set(IMDS_FAULTS):
            if fault is Fault.ROTATION_OVERDUE:
                self._hold_overdue(stands=fault in standing)
                continue
            confirmed = self._streak.get(fault, 0) >= FAULTS[fault].debounce
            assert (fault in standing) is confirmed, f"{fault.value} {'does not stand' if confirmed else 'stands'}"
            if confirmed:
                assert standing[fault] == self._begun[fault], f"{fault.value} began at {self._begun[fault]}"
        if not standing and CONDITIONS[self.instance.condition].serves:
            assert state is State.OK

    def _hold_overdue(self, *, stands: bool) -> None:
        """Hold that a late rotation is told in time, and that one which may still come is not."""
        instance = self.instance
        age, life = instance.elapsed - instance.made, instance.life
        if not CONDITIONS[instance.condition].serves:
            return
        early = age <= (instance.period if instance.steady else life / 4)
        self._early = self._early + 1 if early else 0
        if self._early >= CLEARED_AFTER or (early and not self._overdue):
            assert not stands, f"rotation_overdue stands after {age} s"
        if age > (max(life / 2, 7200) if instance.steady else max(life, 7200)):
            assert stands, f"rotation_overdue does not stand after {age} s"
        self._overdue = stands
