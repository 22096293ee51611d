"""What a poll says about the instance itself, and what a judgement needs of the memory."""

from __future__ import annotations

from dataclasses import replace
from typing import List, Optional, Tuple

from rolewatch import cadence
from rolewatch.classify import Confirmed, Known
from rolewatch.confirmation import AHEAD, Confirmation
from rolewatch.faults import CONFIRMED_FAULTS
from rolewatch.memory import Memory
from rolewatch.model import Answered, Event, EventKind, Level, Moment, Observation, rfc3339
from rolewatch.settings import ConfirmSettings, ExpectSettings, Settings

TAGS_INTERVAL = 600.0
"""Seconds between two readings of the instance's tags: they seldom change, and each costs a request."""
RETRY_INTERVAL = 120.0
"""Seconds before identity or tags are asked for again where IMDS did not tell them: asked at every poll, they would
make up to seven requests of four."""


def recognise(memory: Memory, seen: Observation, now: Moment) -> Tuple[Memory, Tuple[Event, ...]]:
    """Return *memory* with what *seen* says about the instance itself.

    A memory of another instance (an image made of a running one) is dropped, and an event says so.
    """
    if not isinstance(seen, Answered):
        return memory, ()
    events: List[Event] = []
    if seen.identity is not None:
        if memory.instance_id not in (None, seen.identity.instance_id):
            events.append(
                Event(
                    EventKind.STATE_FILE_IGNORED,
                    Level.WARNING,
                    f"What was remembered belongs to another instance ({memory.instance_id}); it is ignored.",
                    fields={"instance_id": seen.identity.instance_id, "problem": "another instance"},
                )
            )
            memory = _of_this_process(memory)
        memory = replace(memory, identity=seen.identity, instance_id=seen.identity.instance_id)
    if seen.tags is not None:
        memory = replace(memory, tags=seen.tags, tags_at=now.uptime)
    return memory, tuple(events)


def _of_this_process(memory: Memory) -> Memory:
    """Return what was seen since this process began: that is of this instance, and its end is still to be told."""
    return Memory(
        boot_id=memory.boot_id,
        faults={fault: watched for fault, watched in memory.faults.items() if watched.since_uptime is not None},
        state=memory.state,
        state_since=memory.state_since,
        usable=memory.usable,
        denied=memory.denied,
        polls=memory.polls,
        failures=memory.failures,
        clock_offset=memory.clock_offset,
        imds_date=memory.imds_date,
        imds_date_at=memory.imds_date_at,
        doubted=memory.doubted,
        doubted_at=memory.doubted_at,
        doubts=memory.doubts,
    )


def known(
    memory: Memory, seen: Observation, settings: Settings, now: Moment, confirmation: Optional[Confirmation] = None
) -> Known:
    """Return what a judgement of *seen* needs of *memory*, and of the last *confirmation*."""
    role, profile = expected(memory, settings.expect)
    return Known(
        expected_role=role,
        expected_instance_profile=profile,
        rotation_interval=cadence.learned(memory.intervals),
        grace=not memory.credentials_seen and _age(memory, seen, now) < settings.limits.boot_grace,
        profile_name=memory.attached.instance_profile or memory.settled.instance_profile,
        confirmed=_confirmed(memory, confirmation, settings.confirm, now),
    )


def _confirmed(
    memory: Memory, confirmation: Optional[Confirmation], confirm: ConfirmSettings, now: Moment
) -> Optional[Confirmed]:
    """Return what *confirmation* says; None where there is none of this instance and time.

    Each counts once: in the polls until the next one it is silent, and what it said stands.
    """
    if confirmation is None or memory.instance_id not in (None, confirmation.instance_id):
        return None
    age = now.utc - confirmation.at
    if abs(age.total_seconds()) > 2 * confirm.interval:
        return None
    if confirmation.at == memory.confirmed_at:
        return Confirmed(untold=CONFIRMED_FAULTS)
    if age < -AHEAD:
        return None
    at = rfc3339(confirmation.at)
    findings = tuple(replace(each, evidence={**each.evidence, "confirmed": at}) for each in confirmation.findings)
    return Confirmed(findings, confirmation.untold)


def expected(memory: Memory, expect: ExpectSettings) -> Tuple[Tuple[str, ...], Tuple[str, ...]]:
    """Return the patterns of role and instance profile in force: the settings' come before the tags'."""
    tagged_role = memory.tags.role if expect.role_tag else None
    tagged_profile = memory.tags.instance_profile if expect.instance_profile_tag else None
    role = expect.role or ((tagged_role,) if tagged_role else ())
    profile = expect.instance_profile or ((tagged_profile,) if tagged_profile else ())
    return role, profile


def identity_due(memory: Memory, now: Moment) -> bool:
    """Return whether the instance identity document should be asked for in this poll: until it was told once."""
    return memory.identity is None and not _lately_asked(memory, now)


def tags_due(memory: Memory, expect: ExpectSettings, now: Moment) -> bool:
    """Return whether the instance's tags should be asked for in this poll."""
    if not (expect.role_tag or expect.instance_profile_tag) or _lately_asked(memory, now):
        return False
    return memory.tags_at is None or now.uptime - memory.tags_at >= TAGS_INTERVAL


def _lately_asked(memory: Memory, now: Moment) -> bool:
    return memory.asked_at is not None and now.uptime - memory.asked_at < RETRY_INTERVAL


def _age(memory: Memory, seen: Observation, now: Moment) -> float:
    """Return how many seconds ago the instance was launched or started.

    By `pendingTime` of the identity document and IMDS's clock; by the uptime where the document is not there or makes
    no sense. A reboot does not change `pendingTime`, and does not take the credentials away either.
    """
    pending = memory.identity.pending_time if memory.identity else None
    age = ((seen.date or now.utc) - pending).total_seconds() if pending else -1.0
    return age if age >= 0 else now.uptime
