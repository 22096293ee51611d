"""The one table of faults. Metric labels, journal, `diagnose`, runbooks, alerts and pages are derived from it.

A fault's name is the contract: the same word everywhere, AWS's own terms first.
"""

from __future__ import annotations

from typing import Mapping

from rolewatch.faults import confirmed, credentials, imds, profile
from rolewatch.faults.entry import Entry
from rolewatch.vocabulary import Fault

_ENTRIES = {entry.fault: entry for entry in (*imds.ENTRIES, *profile.ENTRIES, *credentials.ENTRIES, *confirmed.ENTRIES)}

FAULTS: Mapping[Fault, Entry] = {fault: _ENTRIES[fault] for fault in Fault}
"""The one table: an entry for every fault, in the order of `Fault`."""

CONFIRMED_FAULTS = tuple(fault for fault in Fault if FAULTS[fault].confirmation_only)
"""The faults that only a confirmation through the AWS API can tell, never IMDS alone."""
