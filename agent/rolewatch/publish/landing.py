"""The page at ``/``: what this is, how it stands, and where to look. One self-contained page, without a script."""

from __future__ import annotations

from html import escape
from typing import Optional

from rolewatch.explain import explain, facts_of
from rolewatch.model import Snapshot, State

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>rolewatch: {state}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 44rem; padding: 0 1rem }}
</style>
</head>
<body>
<h1>rolewatch {version}</h1>
<p>Watches the credentials that this EC2 instance gets from its role, and names what is wrong.</p>
<p>State: <strong>{state}</strong></p>
{faults}<ul>
<li><a href="/metrics">Metrics</a>, for Prometheus</li>
<li><a href="/status.json">Status</a>, with cause and fix of each fault, as JSON</li>
<li><a href="/-/healthy">Healthy</a>: rolewatch polls</li>
<li><a href="/-/ready">Ready</a>: the first poll has ended</li>
</ul>
</body>
</html>
"""


def landing_page(snapshot: Optional[Snapshot], *, version: str) -> bytes:
    """Return the page for *snapshot*, which is None before the first poll."""
    state = snapshot.state if snapshot else State.STARTING
    page = _PAGE.format(state=escape(state.value), version=escape(version), faults=_faults(snapshot))
    return page.encode("utf-8", "replace")


def _faults(snapshot: Optional[Snapshot]) -> str:
    if snapshot is None or not snapshot.faults:
        return ""
    facts = facts_of(snapshot)
    items = []
    for active in snapshot.faults:
        explained = explain(active.fault, active.evidence, facts)
        items.append(
            f"<li><code>{escape(active.fault.value)}</code>: {escape(explained.title)}. {escape(explained.hint)}</li>\n"
        )
    return f"<ul>\n{''.join(items)}</ul>\n"
