"""Something else lies where the daemon has its files: put there by a local user, or by mistake."""

from __future__ import annotations

import shutil
import signal
import stat
from pathlib import Path

import pytest

from daemon_process import LIMIT, DaemonProcess, config, daemon
from e2e.processes import until
from promises import Area, Measured, promise
from rolewatch.simulator import Simulator
from special_files import HUGE, SPECIAL_FILES, link_target_unchanged

pytestmark = pytest.mark.slow

WRITTEN = ("state/state.json", "textfiles/rolewatch.prom")
NAMES = (
    *WRITTEN,
    "evidence.json",
    "request",
    # Their temporaries: of this version, and of what others may believe.
    "state/.state.json.0123456789abcdef.new",
    "state/.state.json.new",
    "state/state.new",
    "textfiles/.rolewatch.prom.0123456789abcdef.new",
    "textfiles/.rolewatch.prom.new",
)
SETTINGS = """
[state]
directory = "{0}/state"
[textfile]
path = "{0}/textfiles/rolewatch.prom"
[confirm]
file = "{0}/evidence.json"
request = "{0}/request"
spread = 0
"""


def strew(directory: Path, kind: str) -> list[Path]:
    """Put something of *kind* at each of `NAMES`, and return the paths."""
    paths = [directory / name for name in NAMES]
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        SPECIAL_FILES[kind](path)
    return paths


def failures(watching: DaemonProcess) -> float:
    """Return how often one of the two files could not be written."""
    names = ("state_file", "textfile")
    return sum(watching.metric("rolewatch_publisher_failures_total", publisher=name) or 0.0 for name in names)


def end(process: DaemonProcess) -> int:
    """Stop the daemon as systemd does."""
    process.popen.send_signal(signal.SIGTERM)
    return process.exit_status()


@promise(
    Area.SURROUNDINGS,
    "A FIFO, a symbolic link, a directory, a device, a socket or a file of 1 GiB lies where the daemon has its state, "
    "text file, evidence, request, their temporaries, or its settings at a reload",
    "The watching goes on, a stop is taken, no link is followed but that of the settings; what is no directory and no "
    "device is replaced by the file, and each failure is counted",
)
@pytest.mark.parametrize("kind", SPECIAL_FILES)
def test_whatever_lies_in_the_place_of_a_file_it_watches(
    kind: str, simulator: Simulator, tmp_path: Path, measured: Measured
) -> None:
    """From the start, and again while it runs."""
    for name in ("state", "textfiles"):
        (tmp_path / name).mkdir()
    settings = config(tmp_path, simulator, SETTINGS.format(tmp_path))
    paths = strew(tmp_path, kind)
    simulator.switch("assume_role_unauthorized")  # so that the state file changes and a confirmation is asked for
    with daemon("--config", str(settings)) as process:
        watching = process.watching()
        slowest = watching.poll(2)
        check(kind, paths, watching)
        paths = strew(tmp_path, kind)
        simulator.switch("healthy")
        slowest = max(slowest, watching.poll(2))
        check(kind, paths, watching)

        settings.unlink()
        SPECIAL_FILES[kind](settings)
        watching.signal(signal.SIGHUP)
        process.wait_for("config_rejected")
        measured("slowest poll", max(slowest, watching.poll()), "s", bound=5.0)
        assert end(process) == 0, process.other

    assert link_target_unchanged(settings)


def check(kind: str, paths: list[Path], watching: DaemonProcess) -> None:
    """Assert that the files were written or that it was counted, and that no link was followed."""
    if kind in {"directory", "device"}:
        until(lambda: failures(watching) >= 2, "both failures to be counted", patience=LIMIT)
    else:
        for path in paths[: len(WRITTEN)]:
            until(lambda path=path: is_written(path), f"{path} to be written", patience=LIMIT)  # type: ignore[misc]
    assert all(link_target_unchanged(path) for path in paths)


def is_written(path: Path) -> bool:
    """Return whether a file of the daemon's is at *path*."""
    status = path.lstat()
    return stat.S_ISREG(status.st_mode) and 0 < status.st_size < HUGE
