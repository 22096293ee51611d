"""Disks that are read-only or full, each in a mount namespace of the daemon's own. Needs root."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from daemon_process import LIMIT, DaemonProcess, config, daemon
from e2e.processes import until
from promises import Area, Measured, promise
from rolewatch.simulator import Simulator

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount"),
]

SIZE = 64 * 1024
"""Bytes of the disk: room for what the daemon writes, when nothing else is there."""


@dataclass
class Disk:
    """A small disk that only the daemon sees, at *path*, which is read through the daemon's own root."""

    path: Path
    daemon: DaemonProcess

    @property
    def seen(self) -> Path:
        """The disk, from outside."""
        return Path(f"/proc/{self.daemon.pid}/root{self.path}")

    def fill(self) -> None:
        """Use every byte."""
        with contextlib.suppress(OSError), (self.seen / "ballast").open("wb", buffering=0) as file:
            while True:
                file.write(b"\0" * 512)

    def free(self) -> None:
        """Free the blocks again: remove the file that fills the disk."""
        (self.seen / "ballast").unlink()

    def await_text(self, name: str, text: str) -> None:
        """Return when *text* is in the file *name*. The metrics show a poll before the files do."""
        file = self.seen / name
        until(lambda: file.exists() and text in file.read_text(), f"{text!r} in {name}", patience=LIMIT)

    def mount(self, options: str) -> None:
        """Mount it again, with other *options*."""
        command = [
            "nsenter",
            f"--target={self.daemon.pid}",
            "--mount",
            "mount",
            "-o",
            f"remount,{options}",
            str(self.path),
        ]
        subprocess.run(command, check=True)


@pytest.fixture(name="disk")
def a_disk(simulator: Simulator, tmp_path: Path) -> Iterator[Disk]:
    """Yield a disk with the state and the text file of a daemon that watches."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    settings = config(tmp_path, simulator, f'[textfile]\npath = "{mounted / "rolewatch.prom"}"\n')
    script = 'mount -t tmpfs -o size="$1" none "$2" && exec "$0" -m rolewatch run --config "$3"'
    command = ["unshare", "--mount", "sh", "-c", script, sys.executable, str(SIZE), str(mounted), str(settings)]
    with daemon(command=command, environ={"STATE_DIRECTORY": str(mounted)}) as process:
        yield Disk(mounted, process.watching())


def failures(daemon: DaemonProcess, publisher: str) -> float:
    """Return how often *publisher* failed."""
    return daemon.metric("rolewatch_publisher_failures_total", publisher=publisher) or 0.0


@promise(
    Area.SURROUNDINGS,
    "The disk of the state file and of the text file is full, and there is room again",
    "Polling continues; the old files stay whole; both are written at the next poll that has room",
)
def test_a_full_disk_leaves_the_old_files_whole(disk: Disk, simulator: Simulator, measured: Measured) -> None:
    """ENOSPC comes at the write, and then the new file is not put in the old one's place."""
    daemon = disk.daemon
    disk.await_text("state.json", "boot_id")
    before = {name: (disk.seen / name).read_text() for name in ("state.json", "rolewatch.prom")}
    simulator.switch("assume_role_unauthorized")
    disk.fill()
    slowest = daemon.poll(3)

    assert daemon.wait_for("publisher_failed", publisher="state_file")["problem"] == "No space left on device"
    until(lambda: failures(daemon, "textfile") == 3, "each of the three to be counted", patience=LIMIT)
    until(lambda: failures(daemon, "state_file") >= 1, "it to be counted", patience=LIMIT)
    assert {name: (disk.seen / name).read_text() for name in before} == before
    assert daemon.metric("rolewatch_state", state="failed") == 1

    disk.free()
    measured("slowest poll", max(slowest, daemon.poll()), "s")
    disk.await_text("rolewatch.prom", 'rolewatch_state{state="failed"} 1.0')
    disk.await_text("state.json", "assume_role_unauthorized")


@promise(
    Area.SURROUNDINGS,
    "The disk of the state file and of the text file becomes read-only, and writable again",
    "Polling continues; each failure is counted, the first is logged; both are written at the next poll that may",
)
def test_a_read_only_disk_is_reported_and_polling_goes_on(disk: Disk, simulator: Simulator) -> None:
    """What ext4 does at an error of the disk (errors=remount-ro)."""
    daemon = disk.daemon
    simulator.switch("assume_role_unauthorized")
    disk.mount("ro")
    daemon.poll(2)

    until(lambda: failures(daemon, "textfile") == 2, "both to be counted", patience=LIMIT)
    assert daemon.wait_for("publisher_failed", publisher="state_file")["problem"] == "Read-only file system"
    assert daemon.metric("rolewatch_state", state="failed") == 1

    disk.mount("rw")
    daemon.poll()
    disk.await_text("rolewatch.prom", 'rolewatch_state{state="failed"} 1.0')
    disk.await_text("state.json", "assume_role_unauthorized")
