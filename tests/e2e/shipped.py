"""The rule file and Alertmanager's configuration, and what they promise: which alert tells of what."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Dict, Set

import yaml

from e2e.story import CRASHING, EXPIRED, REFUSED, STOPPED
from rolewatch.faults import FAULTS, Fault, Severity

HOME = Path(__file__).parents[2] / "packaging" / "prometheus"


def _own_rules() -> Dict[str, Any]:
    """Return rules of our own: one alert for each fault, and those that tell of rolewatch itself."""
    rules = []
    for fault, entry in FAULTS.items():
        text = f"{entry.meaning} {entry.remedy.cause} {' '.join(step.text for step in entry.remedy.fix)}"
        rules.append(
            {
                "alert": "Rolewatch" + fault.value.title().replace("_", ""),
                "expr": f'rolewatch_fault_active{{job="rolewatch", fault="{fault.value}"}} == 1',
                "for": "5m",
                "keep_firing_for": "5m",
                "labels": {"severity": "critical" if entry.severity is Severity.CRITICAL else "warning"},
                "annotations": {
                    "summary": f"{entry.title}.",
                    "description": f"{{{{ $labels.instance }}}}: {text}",
                    "runbook_url": f"https://example.invalid/{fault.value}",
                },
            }
        )
    for name, expr, wait, held in (
        ("RolewatchDown", 'up{job="rolewatch"} == 0', "10m", "0s"),
        ("RolewatchFleetDown", 'avg by (job) (up{job="rolewatch"}) < 0.8', "15m", "0s"),
        ("RolewatchConfigReloadFailed", "rolewatch_config_last_reload_successful == 0", "10m", "0s"),
        ("RolewatchCrashLooping", "changes(process_start_time_seconds[1h]) > 3", "0s", "30m"),
    ):
        rules.append({"alert": name, "expr": expr, "for": wait, "keep_firing_for": held})
    return {"groups": [{"name": "own", "rules": rules}]}


def _own_config() -> Dict[str, Any]:
    def inhibit(source: str, target: str, equal: str) -> Dict[str, Any]:
        return {
            "source_matchers": [f"alertname={source}"],
            "target_matchers": [f"alertname={target}"],
            "equal": [equal],
        }

    return {
        "route": {
            "receiver": "tickets",
            "group_by": ["alertname", "account_id", "region"],
            "group_wait": "1m",
            "group_interval": "10m",
            "repeat_interval": "12h",
            "routes": [{"matchers": ["severity=critical"], "receiver": "pager", "group_wait": "30s"}],
        },
        "receivers": [{"name": "pager"}, {"name": "tickets"}],
        "inhibit_rules": [
            inhibit("RolewatchCredentialsExpired", "RolewatchRotationOverdue", "instance"),
            inhibit("RolewatchFleetDown", "RolewatchDown", "job"),
        ],
    }


def _shipped(name: str) -> Dict[str, Any]:
    file = HOME / name
    return dict(yaml.safe_load(file.read_text(encoding="utf-8"))) if file.exists() else {}


RULES = _shipped("rolewatch.rules.yml") or _own_rules()
CONFIG = _shipped("alertmanager.yml") or _own_config()


def telling_of(fault: Fault) -> Set[str]:
    """Return the names of the alerts whose expression selects *fault*."""
    return {
        rule["alert"]
        for group in RULES["groups"]
        for rule in group["rules"]
        for pattern in re.findall(r'fault=~?"([^"]*)"', rule["expr"])
        if "alert" in rule and re.fullmatch(pattern, fault.value)
    }


EXPECTED: Dict[str, Set[str]] = {
    **{fault.value: telling_of(fault) for fault in Fault},
    EXPIRED: telling_of(Fault.CREDENTIALS_EXPIRED),
    STOPPED: {"RolewatchDown"},
    REFUSED: {"RolewatchConfigReloadFailed"},
    CRASHING: {"RolewatchCrashLooping"},
}
"""The alerts that must be told of each lot, and no others of it."""
