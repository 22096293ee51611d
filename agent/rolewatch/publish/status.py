"""The status document: `/status.json`, and what the commands print with ``--json``. docs/status.md describes it.

Version 1 of its schema is the contract: keys may be added, none is renamed or removed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from rolewatch.faults.explain import explain, fault_document
from rolewatch.publish import ActiveFault, Snapshot, facts_of
from rolewatch.text import rfc3339
from rolewatch.vocabulary import State

SCHEMA = 1


def status_document(snapshot: Snapshot, *, version: str, uid: int | None = None) -> dict[str, object]:
    """Return *snapshot* for JSON; *version* is that of rolewatch. Times are RFC 3339 in UTC, durations seconds.

    *uid* is that of the process that polled: firewall rules may be for single users.
    """
    facts = facts_of(snapshot, uid=uid)
    identity = snapshot.identity
    return {
        "schema": SCHEMA,
        "state": snapshot.state.value,
        "state_since": rfc3339(snapshot.state_since),
        "usable": snapshot.credentials.usable,
        "faults": [_fault(each, facts) for each in snapshot.faults],
        "role": snapshot.binding.role,
        "instance_profile": snapshot.binding.instance_profile,
        "instance_profile_id": snapshot.binding.instance_profile_id,
        "expected_role": list(snapshot.expected.role),
        "expected_instance_profile": list(snapshot.expected.instance_profile),
        "expected_none": snapshot.expected.none,
        "expiration": _time(snapshot.credentials.expiration),
        "last_updated": _time(snapshot.credentials.last_updated),
        "rotation_interval_seconds": snapshot.credentials.rotation_interval,
        "clock_offset_seconds": snapshot.clock_offset,
        "instance_id": identity.instance_id if identity else None,
        "region": identity.region if identity else None,
        "account_id": identity.account_id if identity else None,
        "hop_limit": snapshot.hop_limit,
        "imds_address": snapshot.imds_address or None,
        "polled": rfc3339(snapshot.moment.utc),
        "confirmed": _time(snapshot.confirmed),
        "version": version,
    }


def unpolled_document(*, version: str) -> dict[str, object]:
    """Return the document before the end of the first poll."""
    return {
        "schema": SCHEMA,
        "state": State.STARTING.value,
        "error": "No poll has ended yet. The first one takes some seconds at most.",
        "version": version,
    }


def _fault(active: ActiveFault, facts: Mapping[str, str]) -> dict[str, object]:
    return {
        **fault_document(explain(active.fault, active.evidence, facts)),
        "since": rfc3339(active.since),
        "evidence": dict(active.evidence),
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)
