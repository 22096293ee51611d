"""Processes with a log and an end: each is stopped by its pid, whatever happens, and its log is there to be shown."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
import urllib.error
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, TypeVar

from daemon_process import free_port
from harness import get

PATIENCE = 60.0
"""Seconds that anything may take that is a second's work on a machine with nothing else to do, one answer, too."""
BREATH = 0.05
"""Seconds between two checks of a condition."""

T = TypeVar("T")


def until(probe: Callable[[], T | None], what: str, *, patience: float = PATIENCE) -> T:
    """Return the first true result of *probe*; raise TimeoutError with *what* after *patience* seconds."""
    end = time.monotonic() + patience
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > end:
            message = f"after {patience:.0f} s still waiting for {what}"
            raise TimeoutError(message)
        time.sleep(BREATH)


@dataclass
class Process:
    """A process that writes to a log."""

    name: str
    command: list[str]
    log: Path
    _process: subprocess.Popen[str] | None = field(default=None, repr=False)

    def start(self, *, says: bool = False) -> str:
        """Start it; return its first line of output where it *says* something, else nothing."""
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if says else log,
                stderr=log,
                text=True,
            )
        if not says or self._process.stdout is None:
            return ""
        line = self._process.stdout.readline().strip()
        if not line:
            message = f"{self.name} did not start: {self.tail()}"
            raise RuntimeError(message)
        return line

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def reload(self) -> None:
        """Send it SIGHUP."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        """End it, the hard way where it does not end by itself."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None

    def tail(self, lines: int = 40) -> str:
        """Return the end of its log."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


@contextlib.contextmanager
def served(name: str, command: Callable[[int], list[str]], log: Path) -> Iterator[str]:
    """Run a server on a free port of loopback, and yield its URL when it is ready; a port that was lost is no end."""
    for _ in range(3):
        port = free_port()
        process = Process(name, command(port), log)
        url = f"http://127.0.0.1:{port}"
        try:
            process.start()
            if until(lambda process=process, url=url: _ready(process, url), f"{name} to be ready") == "ready":  # type: ignore[misc]
                yield url
                return
        finally:
            process.stop()
        if "address already in use" not in process.tail():
            break
    message = f"{name} does not run:\n{process.tail()}"
    raise RuntimeError(message)


def _ready(process: Process, url: str) -> str:
    if not process.running:
        return "gone"
    try:
        return "ready" if get(f"{url}/-/ready")[0] == 200 else ""
    except (urllib.error.URLError, OSError):
        return ""
