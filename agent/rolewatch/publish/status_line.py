"""The line that ``systemctl status`` shows: the state first, then what a person wants to know in it."""

from __future__ import annotations

from rolewatch import tell
from rolewatch.faults import FAULTS
from rolewatch.model import ActiveFault, Snapshot, State
from rolewatch.publish.entries import text

_WITHOUT_FAULT = {
    State.STARTING: "nothing is known yet",
    State.OK: "no role",
    State.DEGRADED: "something is wrong",
    State.FAILED: "no usable credentials",
    State.UNKNOWN: "IMDS does not tell",
}


def status_line(snapshot: Snapshot) -> str:
    """Return *snapshot* in one line: ``ok: role app-prod, credentials until 17:31 UTC``. Times are of day, in UTC."""
    if snapshot.faults:
        said = "; ".join(_fault(active, snapshot) for active in snapshot.faults)
    elif snapshot.role and snapshot.state in (State.OK, State.DEGRADED):
        said = f"role {snapshot.role}"
    else:
        said = _WITHOUT_FAULT[snapshot.state]
    return text(f"{snapshot.state.value}: {said}{_expiration(snapshot)}")


def _fault(active: ActiveFault, snapshot: Snapshot) -> str:
    days = (snapshot.moment.utc.date() - active.since.astimezone(snapshot.moment.utc.tzinfo).date()).days
    date = f"{active.since:%Y-%m-%d} " if days else ""
    return f"{active.fault.value} since {date}{tell.clock(active.since)}: {FAULTS[active.fault].title}"


def _expiration(snapshot: Snapshot) -> str:
    if snapshot.expiration is None or snapshot.state not in (State.OK, State.DEGRADED):
        return ""
    return f", credentials until {tell.clock(snapshot.expiration)}"
