"""What is generated from the tables: `make generate` writes it, a test compares it with the disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import rolewatch
from pages import alerts, catalog, dashboards, faults, metrics, runbooks, schemas, settings, situations
from rolewatch.alerts import Options, rule_file
from rolewatch.cli import simulate


def generate(root: Path) -> Mapping[Path, str]:
    """Return the generated files below *root*, the project's directory, with what they should hold.

    Of a page that is generated in part, the written part is read from the disk.
    """
    readme, simulator = root / "README.md", root / "docs/simulator.md"
    settings_page, metrics_page = root / settings.DOCUMENTATION, root / "docs/metrics.md"
    alerts_page = root / "docs/alerts.md"
    return {
        root / "docs/faults.md": faults.page(),
        root / "docs/situations.md": situations.page(),
        root / "packaging/catalog/rolewatch.catalog": catalog.render(),
        root / "packaging/prometheus/rolewatch.rules.yml": rule_file(
            Options(runbooks=rolewatch.project_url("Runbooks"))
        ),
        root / settings.SHIPPED_FILE: settings.render_file(),
        settings_page: settings.renew(settings_page.read_text(encoding="utf-8")),
        metrics_page: _filled(metrics_page, "metrics", metrics.markdown()),
        alerts_page: _filled(alerts_page, "alerts", alerts.markdown()),
        readme: _filled(readme, "faults", faults.names()),
        simulator: _filled(simulator, "scenarios", simulate.listing("markdown")),
        **dashboards.render(root),
        **schemas.render(root),
        **_runbooks(root / "docs/runbooks"),
    }


def _runbooks(home: Path) -> Mapping[Path, str]:
    """Return the runbooks, whose tables' parts are filled in; the rest of each page is written by hand."""
    pages = {home / "README.md": _filled(home / "README.md", "index", runbooks.index())}
    for name in runbooks.subjects():
        page = home / f"{name}.md"
        if not page.exists():
            raise ValueError(f'{page} is missing: write it (docs/developing.md, "To add a fault", step 4)')
        text = page.read_text(encoding="utf-8")
        for what, lines in runbooks.blocks(name).items():
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
