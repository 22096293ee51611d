"""Fit a fix to what AWS answered: which of associate, replace and disassociate-and-associate is right. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rolewatch.faults.remedy import Step
from rolewatch.faults.steps import (
    ASSOCIATE,
    ASSOCIATE_NOW,
    DISASSOCIATE,
    FORCE,
    FORCE_KNOWN,
    LOOK_AT_ASSOCIATION,
    LOOK_AT_PROFILE,
    NOTHING_TO_FORCE,
    REPLACE,
    REPLACE_KNOWN,
    WAIT_FOR_ASSOCIATION,
)


@dataclass(frozen=True)
class Situation:
    """What AWS answered, as far as it changes the steps."""

    association_known: bool = False
    """Whether EC2 said what is attached, or that nothing is."""
    association_id: str | None = None
    association_state: str | None = None
    """None where nothing is attached."""
    running: bool = True
    profile_known: bool = False
    """Whether IAM returned the instance profile."""


def fit(fix: tuple[Step, ...], situation: Situation) -> Iterator[Step]:
    """Yield the steps of *fix*, templates of the table of faults, that *situation* leaves to be done."""
    for step in fix:
        if step.id == LOOK_AT_PROFILE.id and situation.profile_known:
            continue
        if not situation.association_known:
            yield step
        elif situation.association_state is None:
            yield from _unattached(step, {step.id for step in fix})
        else:
            yield from _attached(step, situation)


def _unattached(step: Step, ids: set[str]) -> Iterator[Step]:
    """Yield what becomes of *step* where nothing is attached; *ids* are those of all steps of its fix."""
    if step.id in (ASSOCIATE.id, FORCE.id) or (step.id == REPLACE.id and not ids & {ASSOCIATE.id, FORCE.id}):
        yield ASSOCIATE_NOW
    elif step.id not in (LOOK_AT_ASSOCIATION.id, REPLACE.id):
        yield step


def _attached(step: Step, situation: Situation) -> Iterator[Step]:
    """Yield what becomes of *step* where an instance profile is attached."""
    if step.id == LOOK_AT_ASSOCIATION.id:
        if situation.association_state in ("associating", "disassociating"):
            yield WAIT_FOR_ASSOCIATION
    elif step.id == REPLACE.id and not situation.running:
        yield from (DISASSOCIATE, ASSOCIATE_NOW)
    elif step.id == REPLACE.id and situation.association_id:
        yield REPLACE_KNOWN
    elif step.id == FORCE.id and not situation.running:
        yield NOTHING_TO_FORCE
    elif step.id == FORCE.id and situation.association_id:
        yield FORCE_KNOWN
    elif step.id != ASSOCIATE.id:
        yield step
