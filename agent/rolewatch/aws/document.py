"""The JSON form of a diagnosis, schema 1: what ``diagnose --json`` prints and ``--output`` writes for the daemon.

docs/diagnose.schema.json describes it. It is the contract: keys may be added, none is renamed or removed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Dict, Optional

from rolewatch.aws import checks, fix
from rolewatch.aws.diagnosis import Diagnosis, Root
from rolewatch.model import rfc3339

SCHEMA = 1


def document(diagnosis: Diagnosis, *, polled: datetime, version: str) -> Dict[str, Any]:
    """Return *diagnosis*, made at *polled*, for JSON; *version* is that of rolewatch."""
    facts = diagnosis.facts
    return {
        "schema": SCHEMA,
        "state": diagnosis.state.value,
        "instance_id": facts.get("instance_id"),
        "region": facts.get("region"),
        "account_id": facts.get("account_id"),
        "role": facts.get("role"),
        "instance_profile": facts.get("instance_profile"),
        "instance_profile_id": facts.get("instance_profile_id"),
        "association_id": diagnosis.association_id,
        "association_state": diagnosis.association_state,
        "checks": [checks.document(result) for result in diagnosis.results],
        "faults": [
            {"fault": finding.fault.value, "evidence": dict(finding.evidence)} for finding in diagnosis.findings
        ],
        "root_cause": _root(diagnosis.root),
        "polled": rfc3339(polled),
        "version": version,
    }


def _root(root: Optional[Root]) -> Optional[Dict[str, Any]]:
    if root is None:
        return None
    explained = root.explained
    return {
        "fault": root.fault.value,
        "title": explained.title,
        "severity": explained.severity.name.lower(),
        "because": root.because,
        "meaning": explained.meaning,
        "cause": explained.cause,
        "fix": [
            {"text": step.text, "command": step.command, "permissions": list(fix.permissions(step))}
            for step in explained.fix
        ],
        "takes_effect": explained.takes_effect,
        "who": explained.who,
        "page": explained.page,
    }
