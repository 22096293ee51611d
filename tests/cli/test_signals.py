"""The wait of the daemon, in a process of its own: what ends it, and what is left behind."""

from __future__ import annotations

import subprocess
import sys

from daemon_process import environment

SCRIPT = """
import os, signal
from rolewatch.cli import signals

def send(*numbers):
    for number in numbers:
        os.kill(os.getpid(), number)

signals.block()
send(signal.SIGUSR1)
print(signals.pause(60).value, signal.getitimer(signal.ITIMER_REAL), signal.sigpending())
print(signals.pause(0).value, signals.pause(-1).value, signals.pause(1e-9).value, signals.pause(0.01).value)
send(signal.SIGHUP)
print(signals.pause(0).value)
send(signal.SIGHUP, signal.SIGTERM)
print(signals.pause(60).value)
send(signal.SIGHUP, signal.SIGALRM)
print(signals.pause(60).value, signal.sigpending())
send(signal.SIGALRM, signal.SIGTERM)
print(signals.pause(60).value, signal.getitimer(signal.ITIMER_REAL), signal.sigpending())
"""


def test_a_wait_ends_with_its_signal_or_its_time_and_leaves_no_timer() -> None:
    """However short it is; a stop goes first, also before the end of the time."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment(), capture_output=True, text=True, check=False, timeout=30
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "poll (0.0, 0.0) set()",
        "timer timer timer timer",
        "reload",
        "stop",
        "reload set()",
        "stop (0.0, 0.0) set()",
    ]
