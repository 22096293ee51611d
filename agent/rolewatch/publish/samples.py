"""What one page of metrics says: samples by name, from the last report and from how rolewatch itself fares. Pure."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from rolewatch.faults import Fault
from rolewatch.model import AgentStatus, FailureLabel, Level, Snapshot, State

BUCKETS = {"0.1": 0.1, "1.0": 1.0, "+Inf": float("inf")}
"""Upper bounds for a poll's seconds: well, slow, and beyond that time-outs, the first of which comes after 2 s."""
MAX_SINCE = 7
"""No more faults than this have a since: with all 18 the page would exceed 70 series. One look shows at most six."""
MAX_LABEL = 128
"""Characters of a name in a label. IAM allows no longer ones (IAM quotas, 2026); what IMDS says is cut."""

MOST_NAMES = 10
"""Pairs of role and instance profile that label `rolewatch_role_info` since the daemon started.

IMDS chooses the names, and Prometheus keeps a series for each pair. It advises to stay below ten
(docs/practices/instrumentation, 2026); an honest instance has one pair, and one or two more for each swap."""
OTHER = "(other)"
"""Both labels of `rolewatch_role_info` for every further pair. No name in IAM has parentheses."""

_LOG_LEVELS = {"warning": (Level.WARNING,), "error": (Level.ERROR, Level.CRITICAL)}

Names = Tuple[str, str]
"""Role and instance profile, as label values; empty where one is not known."""

Sample = Tuple[Mapping[str, str], float]
"""Labels and value."""

Samples = Dict[str, List[Sample]]
"""By sample name. What is not known has no entry, or an empty one."""


@dataclass(frozen=True)
class Told:
    """What the reports so far left behind. Replaced as a whole: the page is made in another thread."""

    snapshot: Snapshot
    """Of the last report."""
    within: Tuple[int, ...]
    """Polls within each of `BUCKETS`."""
    seconds: float
    """Seconds that all polls took."""
    names: Tuple[Names, ...] = ()
    """The pairs that may be labels of `rolewatch_role_info`: the first `MOST_NAMES` that IMDS told."""


def after(told: Optional[Told], snapshot: Snapshot) -> Told:
    """Return *told* as it is after one more poll, whose outcome is *snapshot*."""
    took = snapshot.poll_duration
    within, seconds = (told.within, told.seconds) if told else (_NONE_WITHIN, 0.0)
    pair, names = _names(snapshot), told.names if told else ()
    return Told(
        snapshot,
        within=tuple(count + (took <= bound) for count, bound in zip(within, BUCKETS.values())),
        seconds=seconds + took,
        names=(*names, pair) if pair and pair not in names and len(names) < MOST_NAMES else names,
    )


def samples(told: Optional[Told], status: AgentStatus, *, role_info: bool) -> Samples:
    """Return the samples of a page. Before the first report everything that has to be there is there already."""
    snapshot = told.snapshot if told else None
    values = {**_of_status(status), **_of_verdict(snapshot), **_of_polls(told)}
    if told:
        values.update(_of_credentials(told.snapshot))
        if role_info:
            values.update(_of_role(_names(told.snapshot), told.names))
    return values


def samples_of_look(snapshot: Snapshot, *, version: str, role_info: bool) -> Samples:
    """Return what a single look can tell. No counters, which each look would begin anew, and nothing since when."""
    pair = _names(snapshot)
    values = {
        **build_info(version),
        **_of_verdict(snapshot),
        **_of_credentials(snapshot),
        **(_of_role(pair, (pair,) if pair else ()) if role_info else {}),
        **_of_last_poll(snapshot),
    }
    return {name: told for name, told in values.items() if name not in _NOT_OF_A_LOOK}


def build_info(version: str) -> Samples:
    """Return what runs here."""
    return {"rolewatch_build_info": [({"version": version, "python_version": platform.python_version()}, 1.0)]}


_NOT_OF_A_LOOK = ("rolewatch_fault_active_since_timestamp_seconds", "rolewatch_poll_interval_seconds")
_NONE_WITHIN = (0,) * len(BUCKETS)


def _one(value: float) -> List[Sample]:
    return [({}, float(value))]


def _known(**values: Optional[float]) -> Samples:
    """Return the series whose value is known."""
    return {f"rolewatch_{name}": _one(value) for name, value in values.items() if value is not None}


def _of_verdict(snapshot: Optional[Snapshot]) -> Samples:
    state = snapshot.state if snapshot else State.STARTING
    active = {each.fault: each.since.timestamp() for each in snapshot.faults} if snapshot else {}
    since: List[Sample] = [({"fault": fault.value}, active[fault]) for fault in Fault if fault in active]
    return {
        "rolewatch_state": [({"state": member.value}, float(member is state)) for member in State],
        "rolewatch_fault_active": [({"fault": fault.value}, float(fault in active)) for fault in Fault],
        "rolewatch_fault_active_since_timestamp_seconds": since[:MAX_SINCE],
    }


def _of_credentials(snapshot: Snapshot) -> Samples:
    return _known(
        credentials_usable=snapshot.usable,
        credentials_expiration_timestamp_seconds=snapshot.expiration.timestamp() if snapshot.expiration else None,
        credentials_last_updated_timestamp_seconds=snapshot.last_updated.timestamp() if snapshot.last_updated else None,
        rotation_interval_seconds=snapshot.rotation_interval,
        clock_offset_seconds=snapshot.clock_offset,
    )


def _names(snapshot: Snapshot) -> Optional[Names]:
    """Return the names in *snapshot* as label values, or None if IMDS told none."""
    if snapshot.role is None and snapshot.instance_profile is None:
        return None
    return _label(snapshot.role), _label(snapshot.instance_profile)


def _of_role(pair: Optional[Names], known: Sequence[Names]) -> Samples:
    """Return the info series of *pair*, whose labels are `OTHER` if it is not *known*."""
    if pair is None:
        return {}
    role, profile = pair if pair in known else (OTHER, OTHER)
    return {"rolewatch_role_info": [({"role": role, "instance_profile": profile}, 1.0)]}


def _label(name: Optional[str]) -> str:
    """Return *name* as a label's value: cut, and without half a surrogate pair, which JSON can say and UTF-8 cannot."""
    return (name or "")[:MAX_LABEL].encode("utf-8", "replace").decode("utf-8")


def _of_polls(told: Optional[Told]) -> Samples:
    snapshot = told.snapshot if told else None
    failures = snapshot.failures if snapshot else {}
    within = told.within if told else _NONE_WITHIN
    values: Samples = {
        "rolewatch_credentials_rotations_total": _one(snapshot.rotations if snapshot else 0),
        "rolewatch_polls_total": _one(snapshot.polls if snapshot else 0),
        "rolewatch_poll_failures_total": [
            ({"reason": label.value}, float(failures.get(label, 0))) for label in FailureLabel
        ],
        "rolewatch_poll_duration_seconds_bucket": [
            ({"le": bound}, float(count)) for bound, count in zip(BUCKETS, within)
        ],
        "rolewatch_poll_duration_seconds_count": _one(within[-1]),
        "rolewatch_poll_duration_seconds_sum": _one(told.seconds if told else 0.0),
    }
    if snapshot:
        values.update(_of_last_poll(snapshot))
    return values


def _of_last_poll(snapshot: Snapshot) -> Samples:
    return _known(
        poll_interval_seconds=snapshot.poll_interval,
        poll_last_timestamp_seconds=snapshot.moment.utc.timestamp(),
        poll_last_success_timestamp_seconds=snapshot.last_success.timestamp() if snapshot.last_success else None,
    )


def _of_status(status: AgentStatus) -> Samples:
    told = status.log_messages
    return {
        **_known(
            config_last_reload_successful=status.config_ok,
            config_last_reload_success_timestamp_seconds=status.config_loaded.timestamp(),
            log_messages_dropped_total=status.log_dropped,
        ),
        "rolewatch_log_messages_total": [
            ({"level": label}, float(sum(told.get(level, 0) for level in levels)))
            for label, levels in _LOG_LEVELS.items()
        ],
        "rolewatch_publisher_failures_total": [
            ({"publisher": name}, float(count)) for name, count in status.publisher_failures.items()
        ],
    }
