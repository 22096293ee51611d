"""An IMDS with every fault: for the tests, the demo, and operators who want to see their own alerts fire."""

from __future__ import annotations

from rolewatch.simulator.simulator import Exchange, Simulator

__all__ = ["Exchange", "Simulator"]
