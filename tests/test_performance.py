"""docs/performance.md has every figure that the bench measures, and the script that it compares with is a fair one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bench.figures import Figure
from harness import utc_now
from rolewatch.simulator import Simulator

ROOT = Path(__file__).parents[1]


def test_the_page_has_every_figure_of_the_bench() -> None:
    """A new figure needs a new page: ``make bench``. A new scenario is in it after the next run."""
    asked = [sys.executable, "-c", "from bench import page; print(*page.figures(), sep='\\n')"]
    roots = ":".join(str(ROOT / each) for each in ("agent", "tests"))
    path = {"PYTHONPATH": roots, "AWS_EC2_METADATA_DISABLED": "true"}
    rows = subprocess.run(asked, env=path, check=True, capture_output=True, text=True).stdout.splitlines()
    page = (ROOT / "docs/performance.md").read_text(encoding="utf-8").splitlines()
    cells = [line.strip("| ").split(" | ")[0] for line in page if line.count(" | ") >= 4]

    assert [cell for cell in cells if cell in rows] == rows, "write docs/performance.md anew: make bench"


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="curl or jq is not installed")
@pytest.mark.parametrize(
    ("scenario", "up"), [("healthy", "1"), ("assume_role_unauthorized", "0"), ("redirect", "0"), ("gzip_nonsense", "0")]
)
def test_the_script_says_whether_there_are_credentials(scenario: str, up: str, tmp_path: Path) -> None:
    """Whatever IMDS answers, it writes a page that node_exporter takes."""
    target = tmp_path / "role.prom"
    with Simulator(now=utc_now, scenario_name=scenario) as simulator:
        environ = {"PATH": os.environ["PATH"], "AWS_EC2_METADATA_SERVICE_ENDPOINT": simulator.endpoint}
        subprocess.run([ROOT / "tests/bench/watch-credentials", target], env=environ, check=True, capture_output=True)
    samples = {
        sample.name: sample.value
        for family in text_string_to_metric_families(target.read_text(encoding="utf-8"))
        for sample in family.samples
    }

    assert samples["instance_role_up"] == float(up)
    assert ("instance_role_expiration_timestamp_seconds" in samples) == (up == "1")


@pytest.mark.parametrize(
    ("measured", "kind", "fails"),
    [(20.0, "steady", False), (20.9, "steady", False), (21.1, "steady", True), (99.0, "busy", False)],
)
def test_ci_checks_a_bound_with_a_margin_for_the_machine(measured: float, kind: str, fails: bool) -> None:  # noqa: FBT001 - a parameter
    """And only where a busy machine changes nothing. A figure beyond its bound is reported all the same."""
    figure = Figure("rolewatch", "USS", "MiB", [measured], 20.0, steady=kind == "steady", play=1.0)

    assert figure.fails is fails
    assert figure.broken is (measured > 20.0)
