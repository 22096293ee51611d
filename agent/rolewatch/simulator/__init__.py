"""An IMDS with every fault: for tests, the demo, and operators who test their alerts."""

from __future__ import annotations
