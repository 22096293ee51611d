"""The JSON schemas: written by hand, but for the words of the closed sets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rolewatch.faults import Fault
from rolewatch.vocabulary import SEVERITIES, Phase, State

SCHEMAS = (Path("docs/diagnose.schema.json"), Path("docs/status.schema.json"))
_WORDS = {
    "fault": [fault.value for fault in Fault],
    "state": [state.value for state in State],
    "severity": [severity.name.lower() for severity in SEVERITIES],
    "phase": [phase.value for phase in Phase],
}
"""The values of each property that has an ``enum`` in a schema, in every place."""


def render(root: Path) -> Mapping[Path, str]:
    """Return each schema below *root* with all words of the closed sets, indented."""
    return {root / path: _filled((root / path).read_text(encoding="utf-8")) for path in SCHEMAS}


def _filled(text: str) -> str:
    schema = json.loads(text)
    _fill(schema)
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _fill(value: Any) -> None:  # noqa: ANN401 - JSON
    """Replace the ``enum`` of every property in *value* that `_WORDS` names."""
    if isinstance(value, list):
        for inner in value:
            _fill(inner)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name in _WORDS and isinstance(inner, dict) and "enum" in inner:
                inner["enum"] = _WORDS[name]
            _fill(inner)
