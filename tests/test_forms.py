"""`make test` and the rest of it are together the whole suite."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def collected(*options: str) -> set[str]:
    """Return the ids of the tests that pytest runs with *options*, of files with every kind of test."""
    files = ["tests/integration/test_scenarios.py", "tests/test_cadence.py", "tests/chaos/test_limits.py"]
    command = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", "-p", "no:cacheprovider", *options, *files]
    shown = subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=True)
    return {line for line in shown.stdout.splitlines() if "::" in line}


@pytest.mark.slow
def test_no_test_is_in_neither_the_quick_form_nor_the_rest() -> None:
    """And the rest repeats only what has a smaller form in the quick one."""
    whole, quick, rest = collected(), collected("--quick"), collected("--rest")

    assert quick | rest == whole
    assert quick < whole
    assert {name.partition("::")[0] for name in quick & rest} <= {"tests/test_cadence.py", "tests/chaos/test_limits.py"}
