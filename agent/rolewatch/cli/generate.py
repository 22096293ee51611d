"""What is generated from the tables: `make generate` writes it, a test compares it with the disk."""

from __future__ import annotations

from pathlib import Path
from typing import Iterable, Mapping

import rolewatch
from rolewatch import catalog
from rolewatch.alerts import Options
from rolewatch.alerts import table as alert_table
from rolewatch.alerts.rule_file import rule_file
from rolewatch.cli import fault_page, runbook_page, simulate
from rolewatch.config import reference
from rolewatch.publish import metric_table


def generate(root: Path) -> Mapping[Path, str]:
    """Return the generated files below *root*, the project's directory, with what they should hold.

    Of a page that is generated in part, the written part is read from the disk.
    """
    readme, states, simulator = root / "README.md", root / "docs/states.md", root / "docs/simulator.md"
    settings, metrics = root / reference.DOCUMENTATION, root / "docs/metrics.md"
    alerts = root / "docs/alerts.md"
    return {
        root / "docs/faults.md": fault_page.page(),
        root / "packaging/catalog/rolewatch.catalog": catalog.render(),
        root / "packaging/prometheus/rolewatch.rules.yml": rule_file(
            Options(runbooks=rolewatch.project_url("Runbooks"))
        ),
        root / reference.SHIPPED_FILE: reference.render_file(),
        settings: reference.renew(settings.read_text(encoding="utf-8")),
        states: _filled(states, "faults", fault_page.table("faults.md")),
        metrics: _filled(metrics, "metrics", metric_table.markdown()),
        alerts: _filled(alerts, "alerts", alert_table.markdown()),
        readme: _filled(readme, "faults", fault_page.table("docs/faults.md")),
        simulator: _filled(simulator, "scenarios", simulate.listing("markdown")),
        **_runbooks(root / "docs/runbooks"),
    }


def _runbooks(home: Path) -> Mapping[Path, str]:
    """Return the runbooks, whose tables' parts are filled in; the rest of each page is written by hand."""
    pages = {home / "README.md": _filled(home / "README.md", "index", runbook_page.index())}
    for name in runbook_page.subjects():
        page = home / f"{name}.md"
        text = page.read_text(encoding="utf-8")
        for what, lines in runbook_page.blocks(name).items():
            text = fill(text, what, lines, name=page.name)
        pages[page] = text
    return pages


def _filled(page: Path, what: str, lines: Iterable[str]) -> str:
    return fill(page.read_text(encoding="utf-8"), what, lines, name=page.name)


def fill(page: str, what: str, lines: Iterable[str], *, name: str) -> str:
    """Return *page* with *lines* between its two marks of *what*. Raise `ValueError` where a mark is missing."""
    mark, end_mark = f"<!-- begin: {what}, generated -->", f"<!-- end: {what}, generated -->"
    before, begin, rest = page.partition(mark)
    _, end, after = rest.partition(end_mark)
    if not (begin and end):
        message = f"{name} must hold {mark} and, after it, {end_mark}: what is generated goes between them."
        raise ValueError(message)
    return "\n".join([before + begin, *lines, end + after])
