"""A signal that comes before the daemon is there to take it: an operator's kill at the wrong moment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from daemon_process import AGENT, environment
from promises import Area, promise

LAUNCHER = Path(__file__).parents[2] / "packaging/launcher/rolewatch"
SYSTEM_PYTHON = Path("/usr/bin/python3")
SIGNALLED = """
import os, signal
for number in (signal.SIGHUP, signal.SIGUSR1):
    os.kill(os.getpid(), number)
print(sorted(signal.sigpending()))
raise SystemExit(7)
"""
"""A module during whose import both signals come."""


@promise(
    Area.SURROUNDINGS,
    "A reload, or a poll, is asked for (SIGHUP, SIGUSR1) while rolewatch starts",
    "It is taken when the daemon is up; only in the first milliseconds, while Python itself starts, a signal ends it",
)
@pytest.mark.parametrize("started_by", ["launcher", "module"])
def test_a_signal_during_the_start_waits(started_by: str, tmp_path: Path) -> None:
    """Nearly all of the start is imports: one of them brings the signals here."""
    if started_by == "launcher":
        if not SYSTEM_PYTHON.exists():
            pytest.skip("no python3 of the system")
        for name in ("bin", "rolewatch/cli", "vendor"):
            (tmp_path / name).mkdir(parents=True)
        shutil.copy(LAUNCHER, tmp_path / "bin")
        (tmp_path / "rolewatch/__init__.py").touch()
        (tmp_path / "rolewatch/cli/__init__.py").write_text(SIGNALLED)
        command, path = [str(SYSTEM_PYTHON), "-ISB", str(tmp_path / "bin/rolewatch"), "run"], ""
    else:
        (tmp_path / "requests.py").write_text(SIGNALLED)
        command, path = [sys.executable, "-m", "rolewatch", "run"], f"{tmp_path}{os.pathsep}{AGENT}"
    done = subprocess.run(
        command, env=environment(PYTHONPATH=path), capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stderr) == (7, "")
    assert "SIGHUP" in done.stdout
    assert "SIGUSR1" in done.stdout
