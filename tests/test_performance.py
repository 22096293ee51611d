"""The page of the figures has every row that the bench measures, and no other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.skipif(
    not (ROOT / "docs/performance.md").exists(), reason="`make bench` has not written docs/performance.md yet"
)
def test_the_page_has_the_rows_of_the_bench() -> None:
    """Whoever adds a figure or a scenario writes the page anew: ``make bench``."""
    asked = [sys.executable, "-c", "from bench import page; print(*page.rows(), sep='\\n')"]
    roots = ":".join(str(ROOT / each) for each in ("agent", "tests", "tests/integration"))
    path = {"PYTHONPATH": roots, "AWS_EC2_METADATA_DISABLED": "true"}
    rows = subprocess.run(asked, env=path, check=True, capture_output=True, text=True).stdout.splitlines()
    page = (ROOT / "docs/performance.md").read_text(encoding="utf-8").splitlines()
    cells = [line.strip("| ").split(" | ")[0] for line in page if line.count(" | ") >= 4]

    assert [cell for cell in cells if cell in rows] == rows, "write docs/performance.md anew: make bench"
