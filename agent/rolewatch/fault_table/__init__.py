"""The entries of the table of faults, by where the chain breaks: prose only, nothing is decided here."""

from __future__ import annotations

from typing import Mapping

from rolewatch.fault_table import confirmed, credentials, imds, profile
from rolewatch.fault_table.nouns import Entry, Fault

_ENTRIES = {entry.fault: entry for entry in (*imds.ENTRIES, *profile.ENTRIES, *credentials.ENTRIES, *confirmed.ENTRIES)}

FAULTS: Mapping[Fault, Entry] = {fault: _ENTRIES[fault] for fault in Fault}
"""The one table: an entry for every fault, in the order of `Fault`."""
