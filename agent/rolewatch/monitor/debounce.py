"""Raise and clear faults, and settle the state, after enough polls in a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rolewatch.faults import CONFIRMED_FAULTS, DENYING_FAULTS, FAULTS, IMDS_FAULTS, Fault
from rolewatch.monitor.classify import Verdict
from rolewatch.monitor.memory import Memory, Watched, true_time
from rolewatch.observation import Moment
from rolewatch.vocabulary import State, Told

CLEAR_AFTER = 2
"""Polls in a row that must not see a fault before it is cleared: hysteresis, the same for metric and journal."""


def watch(memory: Memory, verdict: Verdict, now: Moment) -> dict[Fault, Watched]:
    """Debounce: raise what was seen often enough, clear what was not seen twice, leave what was not told."""
    evidence = {finding.fault: finding.evidence for finding in verdict.findings}
    after: dict[Fault, Watched] = {}
    for fault in Fault:
        watched = memory.faults.get(fault)
        if fault in evidence:
            watched = watched or Watched(true_time(memory, now), evidence[fault], since_uptime=now.uptime)
            seen = watched.seen + 1
            active = watched.active or seen >= FAULTS[fault].debounce
            after[fault] = replace(watched, evidence=evidence[fault], active=active, seen=seen, unseen=0)
        elif watched is not None and fault in verdict.untold:
            after[fault] = watched
        elif watched is not None and watched.active and watched.unseen + 1 < _clear_after(fault):
            after[fault] = replace(watched, unseen=watched.unseen + 1)
    return after


def _clear_after(fault: Fault) -> int:
    """Return after how many looks without *fault* it is cleared. A confirmation is no flicker; the next is far off."""
    return 1 if fault in CONFIRMED_FAULTS else CLEAR_AFTER


def count_denial(memory: Memory, verdict: Verdict) -> Memory:
    """Count the looks in a row that said that there are no usable credentials; silent ones neither count nor end it."""
    if verdict.credentials is Told.UNTOLD:
        return memory
    return replace(memory, denied=memory.denied + 1 if verdict.credentials is Told.UNUSABLE else 0)


def settle_state(memory: Memory, verdict: Verdict, now: Moment) -> Memory:
    """Derive the state from the active faults and from whether usable credentials are there.

    What is not told, or not yet confirmed, leaves the last word on the credentials standing; a fault beside it counts.
    """
    active = [fault for fault, watched in memory.faults.items() if watched.active]
    blind = any(fault in IMDS_FAULTS for fault in active)
    usable, state = memory.usable, memory.state
    told = verdict.credentials
    if told is Told.USABLE and Fault.CREDENTIALS_REJECTED in active:
        usable, state = False, State.FAILED
    elif told is Told.USABLE:
        usable, state = True, State.DEGRADED if active else State.OK
    elif told is Told.UNUSABLE and _is_confirmed(memory, active):
        usable, state = False, State.FAILED
    elif told is Told.UNTOLD and blind:
        state = State.UNKNOWN
    elif (told is Told.PENDING and not active) or (told is not Told.UNTOLD and state is State.UNKNOWN and not blind):
        state = State.STARTING
    elif state in (State.OK, State.DEGRADED):
        state = State.DEGRADED if active else State.OK
    if told is Told.UNTOLD and usable and _outlived(memory, now):
        usable = False
    if state is not memory.state or memory.state_since is None:
        memory = replace(memory, state_since=true_time(memory, now), state_since_uptime=now.uptime)
    return replace(memory, usable=usable, state=state)


def _is_confirmed(memory: Memory, active: Sequence[Fault]) -> bool:
    """Return whether it is more than a flicker that there are no usable credentials.

    Told twice in a row, for whatever reasons; or past their time, which is no flicker; or a fault that explains it
    stood already, and nobody has seen usable ones since (a daemon that was started again).
    """
    if memory.denied >= CLEAR_AFTER or Fault.CREDENTIALS_EXPIRED in active:
        return True
    return not memory.usable and any(fault in DENYING_FAULTS for fault in active)


def _outlived(memory: Memory, now: Moment) -> bool:
    """Return whether the set that was served last has expired since."""
    expiration = memory.shown.expiration if memory.shown else None
    return expiration is not None and expiration <= true_time(memory, now)
