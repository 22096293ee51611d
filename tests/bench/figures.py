"""What was measured: samples with their median and spread, and the bound, where there is one."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One measured figure of one subject."""

    subject: str
    name: str
    unit: str
    samples: Sequence[float]
    bound: float | None = None
    steady: bool = False
    """Whether a busy machine leaves it as it is, so that CI can check the bound."""
    play: float = 0.0
    """What other machines and versions may add to it: by so much may it be beyond the bound in CI."""

    @property
    def median(self) -> float:
        """The figure."""
        return statistics.median(self.samples)

    @property
    def broken(self) -> bool:
        """Whether the median is beyond the bound."""
        return self.bound is not None and self.median > self.bound

    @property
    def fails(self) -> bool:
        """Whether CI has to say no."""
        return self.steady and self.bound is not None and self.median > self.bound + self.play

    @property
    def text(self) -> str:
        """The median, and from where to where the samples go."""
        low, high = short(min(self.samples)), short(max(self.samples))
        return short(self.median) + ("" if low == high else f" ({low}–{high})")

    def __str__(self) -> str:
        """One line for a terminal."""
        bound = "" if self.bound is None else f"at most {self.bound:g}: {'OVER' if self.broken else 'ok'}"
        return f"{self.subject:<20} {self.name:<42} {self.text:>24} {self.unit:<5} {bound}"


def short(value: float) -> str:
    """Return *value* with three digits, and no more than two of them after the point."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}".rstrip("0").rstrip(".")
