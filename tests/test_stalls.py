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
NONE = "import stalls; stalls.STALL = 5.0"
"""What is no stall: this machine may stand still just then, but not for so long."""


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


HOG = "import time; end = time.monotonic() + 0.35\nwhile time.monotonic() < end: pass"
"""Longer than a stall has to be, and no longer: other tests run meanwhile."""


def test_a_stall_of_one_processor_is_seen() -> None:
    """The host takes one away, here a process that no other may interrupt; the tests run on another meanwhile."""
    processors = sorted(os.sched_getaffinity(0))[:2]
    first = ["chrt", "-f", "50"]
    if len(processors) < 2 or subprocess.run([*first, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs two processors, and the right to keep others from one (CAP_SYS_NICE)")
    seen = []
    for each in processors:
        with Stalls() as stalls:
            subprocess.run(["taskset", "-c", str(each), *first, sys.executable, "-c", HOG], check=True)
        seen.append(stalls.longest)

    assert min(seen) > STALL
