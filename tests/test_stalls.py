"""A failure counts, unless the machine stood still; and a stall is no way to pass."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stalls import STALL, Stalls

TESTS = Path(__file__).parent
PLAYED = """
import sys, time, pathlib
from stalls import pytest_runtest_protocol

def played():
    path = pathlib.Path("played")
    times = len(path.read_text()) if path.exists() else 0
    path.write_text("x" * (times + 1))
    return times

def stand_still():
    before = sys.getswitchinterval()
    sys.setswitchinterval(60)  # no other thread gets the interpreter, as if there were no processor
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        pass
    sys.setswitchinterval(before)
"""
ONCE_IN_A_STALL = "stand_still()\n    assert played()"
ALWAYS_IN_A_STALL = "played()\n    stand_still()\n    raise AssertionError"
ONCE_WITHOUT = "assert played()"
NONE = "import stalls; stalls.STALL = float('inf')"
"""Nothing is a stall: this machine may stand still just then."""


@pytest.mark.parametrize(
    ("body", "outcome", "times"),
    [
        pytest.param(ONCE_IN_A_STALL, "1 passed", 2, id="in a stall"),
        pytest.param(ALWAYS_IN_A_STALL, "1 failed", 3, id="in each stall"),
        pytest.param(ONCE_WITHOUT, "1 failed", 1, id="without one"),
    ],
)
def test_what_fails_while_the_machine_stands_still_is_played_again(
    tmp_path: Path, body: str, outcome: str, times: int
) -> None:
    """Twice at the most, and only then."""
    (tmp_path / "conftest.py").write_text(PLAYED + (NONE if body == ONCE_WITHOUT else ""))
    (tmp_path / "test_it.py").write_text(f"from conftest import played, stand_still\n\ndef test_it():\n    {body}\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "test_it.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_ADDOPTS": "", "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert outcome in done.stdout, done.stdout
    assert len((tmp_path / "played").read_text()) == times


@pytest.mark.skipif(os.geteuid() != 0 or len(os.sched_getaffinity(0)) < 2, reason="needs root, and two processors")
@pytest.mark.parametrize("processor", sorted(os.sched_getaffinity(0))[:2])
def test_a_stall_of_one_processor_is_seen(processor: int) -> None:
    """The host takes one away, here a process that no other may interrupt; the tests run on another meanwhile."""
    hog = "import time; end = time.monotonic() + 0.6\nwhile time.monotonic() < end: pass"
    with Stalls() as stalls:
        subprocess.run(["taskset", "-c", str(processor), "chrt", "-f", "50", sys.executable, "-c", hog], check=True)

    assert stalls.longest > STALL
