"""The Grafana dashboards: the canonical form of the JSON, and the colour of each fault.

The files in `packaging/grafana/` are the source. Only the regular expressions that colour the faults are generated.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from rolewatch.faults import DAEMON_FAULTS, FAULTS
from rolewatch.vocabulary import Level

HOME = Path("packaging/grafana")
FAULTS_PANEL = "Active faults by kind"
_SEVERITIES = {"red": Level.CRITICAL, "orange": Level.ERROR, "yellow": Level.WARNING}


def render(root: Path) -> Mapping[Path, str]:
    """Return each dashboard below *root*, sorted and indented, with every fault in the colour of its severity."""
    return {path: _canonical(path.read_text(encoding="utf-8")) for path in sorted((root / HOME).glob("*.json"))}


def _canonical(text: str) -> str:
    board = json.loads(text)
    for panel in board["panels"]:
        if panel["title"] == FAULTS_PANEL:
            for override in panel["fieldConfig"]["overrides"]:
                colour = override["properties"][0]["value"]["fixedColor"]
                override["matcher"]["options"] = _pattern(_SEVERITIES[colour])
    return json.dumps(board, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _pattern(severity: Level) -> str:
    """Return the regular expression, in Grafana's notation, of the faults of *severity*."""
    return "/^(" + "|".join(fault.value for fault in DAEMON_FAULTS if FAULTS[fault].severity is severity) + ")$/"
