"""The one table of faults. Metric labels, journal, doctor, runbooks, alerts and pages are derived from it.

A fault's name is the contract: the same word everywhere, AWS's own terms first.
The prose of the entries is in `fault_table`.
"""

from __future__ import annotations

from rolewatch.fault_table import FAULTS
from rolewatch.fault_table.nouns import (
    DENYING,
    IMDS_FAULTS,
    PLACEHOLDERS,
    Entry,
    Fault,
    Remedy,
    Severity,
    Step,
    Who,
)

__all__ = [
    "CONFIRMED_FAULTS",
    "DENYING",
    "FAULTS",
    "IMDS_FAULTS",
    "PLACEHOLDERS",
    "Entry",
    "Fault",
    "Remedy",
    "Severity",
    "Step",
    "Who",
]

CONFIRMED_FAULTS = tuple(fault for fault in Fault if FAULTS[fault].confirmation_only)
"""The faults that only a confirmation through the AWS API can tell, never IMDS alone."""
