"""The journal's MESSAGE_IDs: one for each kind of event that is no fault's own. The contract: never change one.

Made with ``systemd-id128 new``. A fault that is raised or persists has the id of its entry in the table of faults, so
that ``journalctl -x`` explains the fault and not the word.
"""

from __future__ import annotations

from typing import Mapping, Optional

from rolewatch.faults import FAULTS
from rolewatch.model import Event, EventKind

MESSAGE_IDS: Mapping[EventKind, str] = {
    EventKind.STARTED: "5bedd15998254115a90e754f5e3d9335",
    EventKind.STOPPING: "f656cb270b8c473cb844a9929985f415",
    EventKind.STATE_CHANGED: "4ee99fac9b1545a5ad7d4ad230383df0",
    EventKind.FAULT_CLEARED: "e7af341a18d74e17801d0e62c2359f54",
    EventKind.ROLE_CHANGED: "4e1635545cba4f3e95a1d51f8979f589",
    EventKind.CREDENTIALS_ROTATED: "54a2ade6c601463fbcbb2ca000e00696",
    EventKind.POLL_FAILED: "b6d35be1cd3c4ae6ac70ff044f6c4390",
    EventKind.CONFIG_RELOADED: "972c4d202ab94fc889c65fd12e0a2e9f",
    EventKind.CONFIG_REJECTED: "dc1bfa0b050a40e4a63889fe45dcf5ab",
    EventKind.STATE_FILE_IGNORED: "a6ac91f4470e499498e0e29cd6bf604c",
    EventKind.PUBLISHER_FAILED: "d57195c0d9d6481db53b1f9edb27889b",
}


def message_id(event: Event) -> Optional[str]:
    """Return the MESSAGE_ID of *event*; None for a raised or persisting fault that does not say which it is."""
    own = MESSAGE_IDS.get(event.kind)
    if own is None and event.fault is not None:
        return FAULTS[event.fault].message_id
    return own
