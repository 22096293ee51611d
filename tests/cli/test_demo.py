"""The walk of `rolewatch demo`, in time that the test makes."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone

import pytest

from daemon_process import LIMIT, environment, free_port, full_pipe, stop_and_continue
from e2e.processes import until
from harness import get
from publish.snapshots import OK
from rolewatch.cli.demo import Tour
from rolewatch.monitor.loop import Wake
from rolewatch.publish import Report
from rolewatch.simulator import Simulator
from rolewatch.simulator.scenarios import SCENARIOS


@pytest.mark.parametrize(("duration", "shown"), [(0.1, 1), (2.0, 1), (20.0, 2), (None, 3)])
def test_however_short_the_time_a_fault_is_shown(
    duration: float | None, shown: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a busy machine, the time may be over after the first poll; a walk that has an end is walked to its end.

    What was shown and not detected is named, and nothing else.
    """
    passed = 0.0

    def wait(seconds: float) -> Wake:
        nonlocal passed
        passed += seconds
        return Wake.TIMER

    with Simulator(now=lambda: datetime.now(timezone.utc)) as simulator:
        tour = Tour(simulator, SCENARIOS[1:4], duration, pause_for=wait, now=lambda: passed)
        passed = 1.5
        tour.publish(Report(OK))
        while tour.pause(1.0) is not Wake.STOP:
            assert passed < 100
            tour.publish(Report(OK))

    assert capsys.readouterr().out.count("── recovered") == shown
    assert tour.summary() == 1
    assert (
        capsys.readouterr().err
        == f"rolewatch: Not detected: {', '.join(each.name for each in SCENARIOS[1 : shown + 1])}\n"
    )


@contextmanager
def running(stderr: int = subprocess.DEVNULL) -> Iterator[subprocess.Popen[str]]:
    """Run the command on free ports, with *stderr* as Popen takes it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "rolewatch", "demo", "--listen", "127.0.0.1:0"],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def next_line(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """Return the next match of *pattern* in what *process* prints."""
    assert process.stdout is not None
    for line in process.stdout:
        found = re.search(pattern, line)
        if found:
            return found
    message = f"it ended with {process.wait()} before it printed {pattern}"
    raise AssertionError(message)


@pytest.mark.slow
def test_the_walk_goes_on_after_stops() -> None:
    """Each SIGSTOP lasts longer than the second for which the demo waits at a time; SIGTERM ends it with status 0."""
    with running() as process:
        next_line(process, "── 1 of")
        for _ in range(3):
            stop_and_continue(process, 1.2)
        next_line(process, "── recovered")
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        said = process.stdout.read()

        assert process.wait(LIMIT) == 0
    assert "Detected" in said
    assert "Not detected" not in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "stderr"),
    [
        (signal.SIGTERM, subprocess.DEVNULL),
        (signal.SIGINT, subprocess.DEVNULL),
        (signal.SIGHUP, subprocess.DEVNULL),
        (signal.SIGTERM, subprocess.STDOUT),
    ],
)
def test_without_a_reader_it_goes_on_until_a_signal_ends_it(number: signal.Signals, stderr: int) -> None:
    """The log is on standard error and the figures are at the port: `| head` ends the reader, not the demo."""
    with running(stderr) as process:
        port = int(next_line(process, r"curl http://127\.0\.0\.1:(\d+)/metrics").group(1))
        assert process.stdout is not None
        process.stdout.close()
        until(lambda: has_fault(port), "an active fault: by then a title was printed", patience=LIMIT)
        process.send_signal(number)

        assert process.wait(LIMIT) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_reader_that_stops_reading_does_not_keep_it_alive(number: signal.Signals) -> None:
    """Titles and summary without room are dropped."""
    port = free_port()
    command = [sys.executable, "-m", "rolewatch", "demo", "--listen", f"127.0.0.1:{port}"]
    with (
        full_pipe() as full,
        subprocess.Popen(
            command, env=environment(), stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.DEVNULL
        ) as process,
    ):
        try:
            until(lambda: has_fault(port), "an active fault: by then a title was due", patience=LIMIT)
            process.send_signal(number)

            assert process.wait(LIMIT) == 0
        finally:
            process.kill()


def has_fault(port: int) -> bool:
    """Return whether the demo at *port* reports a fault."""
    try:
        page = get(f"http://127.0.0.1:{port}/metrics")[1]
    except OSError:  # it does not listen yet
        return False
    return re.search(r"^rolewatch_fault_active\{.*\} 1\.0$", page, flags=re.MULTILINE) is not None
