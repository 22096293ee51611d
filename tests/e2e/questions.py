"""Every query that people are given: those of docs/metrics.md, and of the boards with their variables filled in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from e2e.story import INSTANCES, WELL
from rolewatch.faults import Fault

ROOT = Path(__file__).parents[2]
WINDOW = "20s"
"""What ``$__rate_interval`` becomes: 20 scrapes."""


@dataclass(frozen=True)
class Question:
    """A query, and where it is written."""

    where: str
    expr: str
    empty: bool = False
    """Whether it has no answer here, and rightly so."""


NOTHING_WRONG = {
    "docs/metrics.md: Which rolewatch answers scrapes but does not poll?": "rolewatch cannot be made to hang",
    "docs/metrics.md: On which instances do containers behind a bridge get no credentials?": "no hop limit is 1",
    "docs/metrics.md: Where does EC2 drop packets to IMDS, DNS and NTP, and how many in the last hour?": (
        "loopback counts no packets"
    ),
}
"""What has no answer, and why."""


def questions() -> Iterator[Question]:
    """Yield all of them."""
    yield from _page()
    yield from _board("rolewatch-fleet", ".+")
    yield from _board("rolewatch-instance", INSTANCES[WELL])


def _page() -> Iterator[Question]:
    """Yield the queries of the page, each after the question before it."""
    asked = ""
    for block in (ROOT / "docs/metrics.md").read_text(encoding="utf-8").split("\n\n"):
        if query := re.fullmatch(r"```promql\n(.*)```\s*", block, re.DOTALL):
            yield _question(f"docs/metrics.md: {asked}", query.group(1).strip())
        elif not block.startswith("```"):
            asked = " ".join(block.split()).partition("?")[0] + "?"


def _board(uid: str, instance: str) -> Iterator[Question]:
    """Yield the queries of a board, with *instance* for its variable; with a faulty one for the active faults."""
    board = json.loads((ROOT / f"packaging/grafana/{uid}.json").read_text(encoding="utf-8"))
    for panel in board["panels"]:
        of = INSTANCES[Fault.ROTATION_OVERDUE.value] if panel["title"] == "Active faults" else instance
        for target in panel.get("targets", ()):
            filled = target["expr"].replace("$__rate_interval", WINDOW).replace("$job", ".+").replace("$instance", of)
            yield _question(f"{uid}: {panel['title']}", filled)


def _question(where: str, expr: str) -> Question:
    return Question(where, expr, where in NOTHING_WRONG)
