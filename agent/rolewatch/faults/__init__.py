"""Faults, and every set of faults, derived from the entries of `table`.

Metric labels, journal, `diagnose`, runbooks, alerts and pages are derived from here too.
"""

from __future__ import annotations

from collections.abc import Mapping

from rolewatch.faults.table import ENTRIES, Entry, Fault
from rolewatch.vocabulary import Document

__all__ = [
    "CONFIRMED_FAULTS",
    "DAEMON_FAULTS",
    "DENYING_FAULTS",
    "FAULTS",
    "IMDS_FAULTS",
    "ROOT_CAUSES",
    "Fault",
    "faults_read_from",
]

_ENTRIES = {entry.fault: entry for entry in ENTRIES}

FAULTS: Mapping[Fault, Entry] = {fault: _ENTRIES[fault] for fault in Fault}
"""The one table: an entry for every fault, in the order of `Fault`."""

DAEMON_FAULTS: tuple[Fault, ...] = tuple(fault for fault, entry in FAULTS.items() if not entry.only_diagnosed)
"""The faults that the daemon raises and publishes."""

IMDS_FAULTS: tuple[Fault, ...] = tuple(fault for fault, entry in FAULTS.items() if entry.is_imds_failure)
"""The faults of IMDS itself, in the order in which a poll meets them."""

CONFIRMED_FAULTS: tuple[Fault, ...] = tuple(fault for fault, entry in FAULTS.items() if entry.decided_by)
"""The faults that only a confirmation through the AWS API shows, never IMDS alone."""

DENYING_FAULTS: frozenset[Fault] = frozenset(fault for fault, entry in FAULTS.items() if entry.denies_credentials)
"""The faults that explain why there are no usable credentials."""

ROOT_CAUSES: tuple[Fault, ...] = tuple(sorted(Fault, key=lambda fault: FAULTS[fault].root_rank))
"""All faults; of several that are active, the first causes the others."""


def faults_read_from(*documents: Document) -> frozenset[Fault]:
    """Return the faults that any of *documents* shows; without an argument those that any document shows."""
    wanted = frozenset(documents or Document)
    return frozenset(fault for fault, entry in FAULTS.items() if entry.reads & wanted)
