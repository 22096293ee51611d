"""The rule file and Alertmanager's example, as they are shipped, and which alert each trouble fires."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from e2e.story import CRASHING, EXPIRED, FLICKERING, REFUSED, STOPPED
from rolewatch.alerts import alert_name
from rolewatch.faults import DAEMON_FAULTS, Fault

HOME = Path(__file__).parents[2] / "packaging" / "prometheus"
RULES: dict[str, Any] = yaml.safe_load((HOME / "rolewatch.rules.yml").read_text(encoding="utf-8"))
CONFIG: dict[str, Any] = yaml.safe_load((HOME / "alertmanager.yml").read_text(encoding="utf-8"))

EXPECTED: dict[str, set[str]] = {
    **{fault.value: {alert_name(fault)} for fault in DAEMON_FAULTS},
    EXPIRED: {alert_name(Fault.CREDENTIALS_EXPIRED)},
    STOPPED: {"RolewatchDown"},
    FLICKERING: {"RolewatchPollErrors"},
    REFUSED: {"RolewatchConfigReloadFailed"},
    CRASHING: {"RolewatchCrashLooping"},
}
"""The alerts that each lot must fire, and it fires no others."""

HELD_BACK: dict[str, set[str]] = {
    Fault.CREDENTIALS_EXPIRED.value: {"RolewatchCredentialsExpiring"},
    EXPIRED: {"RolewatchCredentialsExpiring"},
}
"""The alerts of each lot that fire, and are inhibited because another of its alerts says more."""
