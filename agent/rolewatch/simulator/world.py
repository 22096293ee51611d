"""The simulated instance: conditions, clock and rotation make its documents. No I/O, no clock of its own."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Callable, Iterable, Optional

from rolewatch.simulator import instance
from rolewatch.simulator.conditions import HEALTHY, Conditions
from rolewatch.simulator.documents import Chain
from rolewatch.simulator.rotation import Rotation
from rolewatch.simulator.tree import VERSIONS, Item, Tree

Now = Callable[[], datetime]
"""The local clock: aware, UTC."""


class World:
    """What IMDS would say, now."""

    def __init__(  # noqa: PLR0913 - keyword-only; all are independent
        self,
        conditions: Conditions = HEALTHY,
        *,
        now: Now,
        seed: str = "rolewatch",
        speed: float = 1.0,
        role: str = "",
        instance_profile: str = "",
        user_data: bytes = b"",
    ) -> None:
        """Begin under *conditions*. *role* and *instance_profile* take the place of the healthy instance's names.

        *user_data* is served as it is; where it is empty, the instance was launched without.
        """
        self._now = now
        self._seed = seed
        self._role = role or HEALTHY.role
        self._instance_profile = instance_profile or role or HEALTHY.instance_profile
        self._user_data = user_data
        self.conditions = self._renamed(conditions)
        self._born = self._entered = now()
        self._rotation = Rotation(self.conditions, now=self._entered, speed=speed)
        self._chain: Optional[Chain] = None

    def enter(self, conditions: Conditions) -> None:
        """Go on under *conditions*, from now."""
        self._entered = self._now()
        self.conditions = self._renamed(conditions)
        self._rotation.enter(self.conditions, self._entered)

    def rotate(self) -> None:
        """Renew the credentials now."""
        self._rotation.rotate(self._now())

    @property
    def local_time(self) -> datetime:
        """The clock that was handed in."""
        return self._now()

    @property
    def imds_time(self) -> datetime:
        """IMDS's clock: what `Date` says."""
        return self._now() + self.conditions.imds_ahead

    def find(self, version: str, path: str) -> Optional[Item]:
        """Return the document or listing at *path* below *version*; None where there is none."""
        if version not in VERSIONS:
            return None
        return self._tree().find(path, "9999" if version == "latest" else version)

    def secrets(self) -> Iterable[str]:
        """Return every secret that stood in the documents when `find` was asked last."""
        return () if self._chain is None else self._chain.secrets

    def _tree(self) -> Tree:
        started = self._started()
        self._chain = Chain(self.conditions, self._rotation.term(self._now()), seed=self._seed)
        tree = Tree(started)
        instance.plant(tree, self.conditions, started=started)
        if self._user_data:
            tree.add("user-data", Item(self._user_data, started))
        self._chain.plant(tree)
        return tree

    def _started(self) -> datetime:
        """Return when the instance was started, by IMDS's clock; only scenarios that speak of it change it."""
        since = self._born if self.conditions.up_for == HEALTHY.up_for else self._entered
        return (since - self.conditions.up_for + self.conditions.imds_ahead).replace(microsecond=0)

    def _renamed(self, conditions: Conditions) -> Conditions:
        """Return *conditions* with our names where they have the healthy instance's."""
        role = self._role if conditions.role == HEALTHY.role else conditions.role
        same = conditions.instance_profile == HEALTHY.instance_profile
        profile = self._instance_profile if same else conditions.instance_profile
        return replace(conditions, role=role, instance_profile=profile)
