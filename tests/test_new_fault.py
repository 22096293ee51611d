"""A new fault costs five files: the example of docs/developing.md is carried out in a copy of the tree.

The example is read from the page. With all its steps, `make generate` and the tests of the copy pass. Without one,
a test fails that names the missing step.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FAULT = "assume_role_throttled"
ENTRY = "agent/rolewatch/faults/table.py"
CLAUSE = "agent/rolewatch/monitor/classify.py"
SCENARIO = "agent/rolewatch/simulator/scenarios.py"
RUNBOOK = f"docs/runbooks/{FAULT}.md"
CHANGELOG = "CHANGELOG.md"

WALK = ("tests/faults", "tests/test_generated.py")
"""The tests that find a missing step."""
SELECTION = (
    *WALK,
    "tests/test_architecture.py",
    "tests/test_catalog.py",
    "tests/test_classify.py",
    "tests/test_explain.py",
    "tests/test_faults.py",
    "tests/test_grafana.py",
    "tests/test_performance.py",
    "tests/test_runbooks.py",
    "tests/test_messages.py",
    "tests/test_track.py",
    "tests/aws/test_document.py",
    "tests/cli/test_explain.py",
    "tests/cli/test_simulate.py",
    "tests/packages/test_generated_files.py",
    "tests/prometheus/test_rules.py",
    "tests/publish/test_entries.py",
    "tests/publish/test_metrics.py",
    "tests/publish/test_page.py",
    "tests/publish/test_status.py",
    "tests/simulator/test_scenarios.py",
)
"""Every test that depends on the set of faults."""
REPORTS = ("tests/aws/test_diagnose_scenarios.py", "tests/integration/test_scenarios.py")
"""The tests that run each scenario through `diagnose`, the daemon and `check`."""

pytestmark = [
    pytest.mark.skipif(not (shutil.which("git") and (ROOT / ".git").exists()), reason="needs git, and a checkout"),
]


def example() -> Mapping[str, str]:
    """Return the patch of each file in the section "To add a fault" of docs/developing.md."""
    page = (ROOT / "docs/developing.md").read_text(encoding="utf-8")
    section = page.partition("\n## To add a fault\n")[2].partition("\n## ")[0]
    patches = re.findall(r"^```diff\n(.*?)^```$", section, flags=re.MULTILINE | re.DOTALL)
    return {re.findall(r"^\+\+\+ b/(.+)$", patch, flags=re.MULTILINE)[0]: patch for patch in patches}


EXAMPLE = example()


def run(tree: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run *command* in *tree* with the package of that tree; its output is in ``stdout``."""
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tree / "agent"), "AWS_EC2_METADATA_DISABLED": "true"}
    return subprocess.run(
        command, cwd=tree, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )


def run_tests(tree: Path, selection: Iterable[str], *options: str) -> subprocess.CompletedProcess[str]:
    """Run the tests of *selection* in *tree*, in the quick form."""
    fixed = ("-m", "pytest", "--quick", "--quiet", "--no-header", "--tb=short", "-p", "no:cacheprovider")
    return run(tree, sys.executable, *fixed, *options, *selection)


def copy(tree: Path, patches: Iterable[str]) -> None:
    """Copy the files of the checkout to *tree*, and apply *patches*."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).exists():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tree / name)
    for patch in patches:
        applied = subprocess.run(
            ["git", "apply", "-"], cwd=tree, input=patch, text=True, capture_output=True, check=False
        )
        assert applied.returncode == 0, f"the example of docs/developing.md does not apply: {applied.stderr}"


def test_the_example_edits_five_files_as_they_are_now(tmp_path: Path) -> None:
    """Entry, clause, scenario, runbook and changelog, in this order. A rename in the code is made in the page, too."""
    assert list(EXAMPLE) == [ENTRY, CLAUSE, SCENARIO, RUNBOOK, CHANGELOG]
    copy(tmp_path, EXAMPLE.values())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_fault_that_is_added_as_the_page_says_is_everywhere(tmp_path: Path) -> None:
    """The generator and the tests of the copy pass, and every output has the fault."""
    copy(tmp_path, EXAMPLE.values())
    generated = run(tmp_path, sys.executable, "packaging/generate")
    assert generated.returncode == 0, generated.stdout
    tested = run_tests(tmp_path, SELECTION)
    assert tested.returncode == 0, tested.stdout
    reported = run_tests(tmp_path, REPORTS, "-k", FAULT)
    assert reported.returncode == 0, reported.stdout

    expected = (
        ("docs/faults.md", f"## {FAULT}\n"),
        ("docs/status.schema.json", f'"{FAULT}"'),
        ("docs/diagnose.schema.json", f'"{FAULT}"'),
        ("docs/simulator.md", f"`{FAULT}`"),
        (RUNBOOK, "Alert: `RolewatchAssumeRoleThrottled`, critical."),
        ("docs/runbooks/README.md", f"({FAULT}.md)"),
        ("packaging/prometheus/rolewatch.rules.yml", f'fault="{FAULT}"'),
        ("packaging/catalog/rolewatch.catalog", f"Subject: {FAULT}: "),
        ("packaging/grafana/rolewatch-fleet.json", FAULT),
        ("packaging/completions/rolewatch.bash", FAULT),
    )
    missing = [name for name, words in expected if words not in (tmp_path / name).read_text(encoding="utf-8")]
    assert missing == []
    explained = run(tmp_path, sys.executable, "-m", "rolewatch", "explain", FAULT)
    assert explained.stdout.startswith(f"{FAULT}: EC2 is throttled when it assumes the role\n")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("left_out", "named"),
    [
        pytest.param(ENTRY, "ASSUME_ROLE_THROTTLED", id="entry"),
        pytest.param(CLAUSE, 'monitor/classify.py (docs/developing.md, "To add a fault", step 2)', id="clause"),
        pytest.param(SCENARIO, 'expects it alone (docs/developing.md, "To add a fault", step 3)', id="scenario"),
        pytest.param(RUNBOOK, 'is missing: write it (docs/developing.md, "To add a fault", step 4)', id="runbook"),
        pytest.param(CHANGELOG, 'CHANGELOG.md (docs/developing.md, "To add a fault", step 5)', id="changelog"),
    ],
)
def test_a_step_that_is_left_out_is_named(left_out: str, named: str, tmp_path: Path) -> None:
    """By the first test that fails, or by the import where there is no such fault."""
    copy(tmp_path, (patch for name, patch in EXAMPLE.items() if name != left_out))
    run(tmp_path, sys.executable, "packaging/generate")

    tested = run_tests(tmp_path, WALK, "-k", f"{FAULT} or changelog")

    assert tested.returncode != 0
    assert named in tested.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_entry_without_the_documents_that_show_it_is_found(tmp_path: Path) -> None:
    """Such a fault would clear itself whenever its document cannot be read."""
    documents = "+        reads=frozenset({Document.LISTING, Document.CREDENTIALS}),\n"
    assert documents in EXAMPLE[ENTRY]
    incomplete = EXAMPLE[ENTRY].replace(documents, "+        reads=frozenset(),\n")
    copy(tmp_path, [incomplete, *(patch for name, patch in EXAMPLE.items() if name != ENTRY)])
    run(tmp_path, sys.executable, "packaging/generate")

    tested = run_tests(tmp_path, WALK, "-k", f"clears and {FAULT}")

    assert tested.returncode != 0
    assert "belongs to `reads`" in tested.stdout
