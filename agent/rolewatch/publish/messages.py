"""The sentences of the journal: one line for a person. Stable wording, not to be parsed. Pure.

A sentence contains names and times, never a secret, and stays on one line whatever IMDS sent.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone

from rolewatch.faults import FAULTS, Fault
from rolewatch.faults.explain import explain
from rolewatch.text import shortened, timestamp
from rolewatch.vocabulary import Evidence, Reason, State

_LONGEST_VALUE = 80
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def raised(fault: Fault, evidence: Evidence, facts: Mapping[str, str]) -> str:
    """Return the sentence for a raised *fault*: what, on what evidence, and what to do."""
    return f"{_what(fault, evidence)}. {_then(fault, evidence, facts)}"


def persists(fault: Fault, evidence: Evidence, facts: Mapping[str, str], lasted: float) -> str:
    """Return the sentence for a *fault* that is active for *lasted* seconds."""
    return f"{_what(fault, evidence)}, for {duration(lasted)} now. {_then(fault, evidence, facts)}"


def cleared(fault: Fault, since: datetime, lasted: float) -> str:
    """Return the sentence for a cleared *fault*, which was active since *since*, for *lasted* seconds."""
    return f"{fault.value} is over; it lasted {duration(lasted)}, since {_date(since)}."


def state_changed(old: State, new: State, faults: Sequence[Fault]) -> str:
    """Return the sentence for a changed state, with the active *faults*."""
    because = f" ({', '.join(fault.value for fault in faults)})" if faults else ""
    return f"The state changed from {old.value} to {new.value}{because}: {STATES[new]}."


STATES: Mapping[State, str] = {
    State.STARTING: "before the first verdict, or shortly after boot",
    State.OK: "nothing is wrong",
    State.DEGRADED: "usable credentials, but something is wrong or will break",
    State.FAILED: "no usable credentials",
    State.UNKNOWN: "IMDS gave no usable answer",
}
"""What each state means, to follow its name: for the journal, the page, the commands, systemd and the catalog."""


def hop_limit(measured: int) -> str:
    """Return what the *measured* hop limit means, in a few words. It is measured up to what is needed."""
    return "1: too low for containers behind a bridge" if measured == 1 else f"at least {measured}"


def over_ipv6(imds_address: str) -> str | None:
    """Return what it means that IMDS is polled at *imds_address*; None for IPv4, which is usual.

    SDKs use IPv4 by default (AWS SDKs and Tools reference, "IMDS credential provider", 2026).
    """
    if ":" not in imds_address:
        return None
    return f"{imds_address}, over IPv6: SDKs need AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE=IPv6"


def rotated(role: str, expiration: datetime | None, rotation_interval: float | None) -> str:
    """Return the sentence for a rotation; *rotation_interval* is the learned interval in seconds."""
    until = f", good until {clock(expiration)}" if expiration else ""
    usual = f"; that happens about every {duration(rotation_interval)} here" if rotation_interval else ""
    return f"IMDS serves new credentials of role {_value(role)}{until}{usual}."


def role_changed(old_role: str | None, new_role: str | None, old_profile: str | None, new_profile: str | None) -> str:
    """Return the sentence for a changed role or instance profile."""
    changes = []
    if old_role != new_role:
        changes.append(f"role {_value(old_role)} to {_value(new_role)}")
    if old_profile != new_profile:
        changes.append(f"instance profile {_value(old_profile)} to {_value(new_profile)}")
    return (
        f"The instance changed from {' and from '.join(changes)}. Running applications keep the old credentials until "
        "they refresh them or are restarted."
    )


def poll_failed(failure: Evidence, consecutive: int) -> str:
    """Return the sentence for a failed poll, the *consecutive*-th so far."""
    times = "" if consecutive == 1 else f", {consecutive} times now"
    sentence = f"IMDS gave no usable answer ({_evidence(failure)}){times}."
    if failure["reason"] == Reason.THROTTLED.value:
        return f"{sentence} Other programs here are throttled, too. Who asks so often: ss -Htnp dst 169.254.169.254"
    return f"{sentence} A fault is raised if it lasts."


def is_power_of_ten(count: int) -> bool:
    """Return whether *count* is 1, 10, 100 and so on: which of many equal failures are events."""
    return str(count).strip("0") == "1"


def duration(seconds: float) -> str:
    """Return *seconds* in at most two units: ``2 h 5 min``. Negative ones count as 0."""
    left = max(0, round(seconds))
    if left < _MINUTE:
        return f"{left} s"
    if left < _HOUR:
        return _two(left // _MINUTE, "min", left % _MINUTE if left < 10 * _MINUTE else 0, "s")
    if left < _DAY:
        return _two(left // _HOUR, "h", left % _HOUR // _MINUTE, "min")
    return _two(left // _DAY, "d", left % _DAY // _HOUR, "h")


def clock(moment: datetime) -> str:
    """Return *moment* as a time of day: ``17:31 UTC``. For times within hours: a set of credentials lives for six."""
    return f"{moment.astimezone(timezone.utc):%H:%M} UTC"


def _date(moment: datetime) -> str:
    """Return *moment* as a date and a time, for times that may be days ago."""
    return f"{moment.astimezone(timezone.utc):%Y-%m-%d} {clock(moment)}"


def _two(major: int, unit: str, minor: int, sub_unit: str) -> str:
    return f"{major} {unit} {minor} {sub_unit}" if minor else f"{major} {unit}"


def _what(fault: Fault, evidence: Evidence) -> str:
    details = _evidence(evidence)
    expiration = timestamp(str(evidence.get("expiration", "")))
    if expiration and fault is Fault.CREDENTIALS_EXPIRED:
        details = ", ".join(filter(None, (details, f"since {_date(expiration)}")))
    return f"{fault.value}: {FAULTS[fault].title}" + (f" ({details})" if details else "")


def _then(fault: Fault, evidence: Evidence, facts: Mapping[str, str]) -> str:
    hint = explain(fault, evidence, facts).hint
    expiration = timestamp(str(facts.get("expiration", "")))
    outlived = (
        f" The credentials served last work until {clock(expiration)}."
        if expiration and FAULTS[fault].keeps_credentials and not FAULTS[fault].spares_the_poll(evidence)
        else ""
    )
    return f"{hint}{outlived} See: rolewatch explain {fault.value}"


_PHRASES = (
    ("phase", "{}"),
    ("reason", "{}"),
    ("http_status", "status {}"),
    ("responder", "responder {}"),
    ("server", "Server: {}"),
    ("answering_instance_id", "answers as {}"),
    ("route_interface", "sent through {}"),
    ("route_gateway", "by way of {}"),
    ("route_table", "routing table {}"),
    ("code", "Code {}"),
    ("role", "role {}"),
    ("expected_role", "expected {}"),
    ("roles", "{} roles"),
    ("instance_profile", "instance profile {}"),
    ("expected_instance_profile", "expected {}"),
    ("instance_profile_id", "{}"),
    ("missing_fields", "without {}"),
    ("hop_limit", "hop limit {}"),
    ("needed_hop_limit", "needed {}"),
)
_DURATIONS = (
    ("age_seconds", "{} old"),
    ("allowed_age_seconds", "allowed {}"),
    ("rotation_interval_seconds", "usually every {}"),
    ("remaining_seconds", "expires in {}"),
)


def _evidence(evidence: Evidence) -> str:
    """Return *evidence* in a few words, in a fixed order, without what the title says already."""
    words = [
        phrase.format(_value(evidence[key]))
        for key, phrase in _PHRASES
        if evidence.get(key) and not (key == "code" and str(evidence[key]).lower() == "success")
    ]
    number = evidence.get("errno")
    if isinstance(number, int):
        words.append(errno.errorcode.get(number, f"errno {number}"))
    words += [
        phrase.format(duration(float(evidence[key]))) for key, phrase in _DURATIONS if evidence.get(key) is not None
    ]
    offset = evidence.get("clock_offset_seconds")
    if offset is not None:
        words.append(f"{duration(abs(float(offset)))} {'ahead' if float(offset) > 0 else 'behind'}")
    return ", ".join(words)


def _value(value: object) -> str:
    """Return *value* so that it stays on one line and in bounds."""
    if value is None:
        return "none"
    return shortened(str(value), _LONGEST_VALUE)
