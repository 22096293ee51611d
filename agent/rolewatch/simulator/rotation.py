"""When the credentials are renewed: a function of the clock, so that nothing has to tick."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from rolewatch.simulator.conditions import Conditions


@dataclass(frozen=True)
class Term:
    """From when to when a set of credentials lives, by IMDS's clock."""

    serial: str
    """Tells one set from the next."""
    refreshed: datetime
    """When EC2 refreshed the ``iam`` items last. It goes on doing so where the set itself is stuck."""
    last_updated: datetime
    expiration: datetime


class Rotation:
    """Renews the credentials every period, on the local clock, divided by the speed."""

    def __init__(self, conditions: Conditions, *, now: datetime, speed: float) -> None:
        """Begin a third of a period before *now*: the first rotation is due in two thirds."""
        self._speed = speed
        self._forced = 0
        self._period = timedelta(0)
        self.enter(conditions, now)

    def enter(self, conditions: Conditions, now: datetime) -> None:
        """Go on under *conditions*. The set stays the same, unless they say otherwise."""
        period = conditions.period / self._speed
        if period != self._period:
            self._epoch = now - period / 3
        self._conditions, self._period, self._entered = conditions, period, now
        self._age = conditions.age

    def rotate(self, now: datetime) -> None:
        """Renew the set now, whatever the conditions say; the next period begins."""
        self._forced += 1
        self._epoch = self._entered = now
        if self._age is not None:
            self._age = timedelta(0)

    def term(self, now: datetime) -> Term:
        """Return the term of the set that is served at *now* (local), in times of IMDS's clock."""
        conditions = self._conditions
        refreshed = self._refreshed(now)
        if self._age is not None:
            updated, life = self._entered - self._age, conditions.life + conditions.life_spread
        else:
            updated = refreshed if conditions.rotates else self._refreshed(self._entered)
            life = (conditions.life + conditions.life_spread * _share(updated)) / self._speed
        updated = _whole(updated + conditions.imds_ahead)
        return Term(
            serial=f"{updated.isoformat()}/{self._forced}",
            refreshed=_whole(refreshed + conditions.imds_ahead),
            last_updated=updated,
            expiration=_whole(updated + life),
        )

    def _refreshed(self, now: datetime) -> datetime:
        return self._epoch + self._period * ((now - self._epoch) // self._period)


def _whole(moment: datetime) -> datetime:
    """Cut to whole seconds: IMDS writes no others."""
    return moment.replace(microsecond=0)


def _share(moment: datetime) -> float:
    """Return a share from 0 to 1 that looks arbitrary and is not."""
    return (moment.minute * 60 + moment.second) * 7919 % 3600 / 3600
