"""Raise and clear faults, and derive the state, after enough polls in a row. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rolewatch.faults import CONFIRMED_FAULTS, DENYING_FAULTS, FAULTS, IMDS_FAULTS, Fault
from rolewatch.monitor.classify import Verdict
from rolewatch.monitor.memory import FaultState, Memory, Status
from rolewatch.observation import Moment
from rolewatch.vocabulary import CredentialStatus, State

CLEAR_AFTER = 2
"""Polls in a row that must not see a fault before it is cleared: hysteresis, the same for metric and journal."""


def update_faults(memory: Memory, verdict: Verdict, now: Moment) -> dict[Fault, FaultState]:
    """Return the faults after a poll: raise what was seen often enough, clear what was ruled out often enough.

    A fault on which *verdict* is undetermined stays as it was.
    """
    evidence = {finding.fault: finding.evidence for finding in verdict.findings}
    after: dict[Fault, FaultState] = {}
    for fault in Fault:
        state = memory.faults.get(fault)
        if fault in evidence:
            state = state or FaultState(memory.clock.time(now), evidence[fault], since_uptime=now.uptime)
            seen = state.seen + 1
            active = state.active or seen >= FAULTS[fault].debounce
            after[fault] = replace(state, evidence=evidence[fault], active=active, seen=seen, unseen=0)
        elif state is not None and fault in verdict.undetermined:
            after[fault] = state
        elif state is not None and state.active and state.unseen + 1 < _clear_after(fault):
            after[fault] = replace(state, unseen=state.unseen + 1)
    return after


def _clear_after(fault: Fault) -> int:
    """Return how many polls without *fault* clear it. Confirmations do not flicker, and the next one is hours off."""
    return 1 if fault in CONFIRMED_FAULTS else CLEAR_AFTER


def update_status(memory: Memory, verdict: Verdict, now: Moment) -> Status:
    """Return the state that follows from the active faults of *memory* and from the credentials in *verdict*.

    While the credentials are undetermined, or their loss is not confirmed, the last verdict on them stays in force.
    Other faults count.
    """
    status, found = memory.status, verdict.credentials
    if found is not CredentialStatus.UNDETERMINED:
        status = replace(status, denials=status.denials + 1 if found is CredentialStatus.UNUSABLE else 0)
    active = [fault for fault, each in memory.faults.items() if each.active]
    blind = any(fault in IMDS_FAULTS for fault in active)
    usable, state = status.usable, status.state
    undetermined = found is CredentialStatus.UNDETERMINED
    if found is CredentialStatus.USABLE and Fault.CREDENTIALS_REJECTED in active:
        usable, state = False, State.FAILED
    elif found is CredentialStatus.USABLE:
        usable, state = True, State.DEGRADED if active else State.OK
    elif found is CredentialStatus.UNUSABLE and _is_confirmed(status, active):
        usable, state = False, State.FAILED
    elif undetermined and blind:
        state = State.UNKNOWN
    elif (found is CredentialStatus.PENDING and not active) or (
        not undetermined and state is State.UNKNOWN and not blind
    ):
        state = State.STARTING
    elif state in (State.OK, State.DEGRADED):
        state = State.DEGRADED if active else State.OK
    if undetermined and usable and _has_expired(memory, now):
        usable = False
    if state is not status.state or status.since is None:
        status = replace(status, since=memory.clock.time(now), since_uptime=now.uptime)
    return replace(status, usable=usable, state=state)


def _is_confirmed(status: Status, active: Sequence[Fault]) -> bool:
    """Return whether the loss of the credentials is more than a flicker.

    That is: two polls in a row found none, whatever the reasons; or they have expired; or a fault that explains the
    loss was active already and no usable ones were seen since, as after a restart of the daemon.
    """
    if status.denials >= CLEAR_AFTER or Fault.CREDENTIALS_EXPIRED in active:
        return True
    return not status.usable and any(fault in DENYING_FAULTS for fault in active)


def _has_expired(memory: Memory, now: Moment) -> bool:
    """Return whether the set that IMDS served last has expired since."""
    shown = memory.credentials.shown
    return shown is not None and shown.expiration is not None and shown.expiration <= memory.clock.time(now)
