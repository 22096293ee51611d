"""rolewatch as a process of its own: tests read its log, scrape its metrics and send it signals."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from harness import get, sample_of

AGENT = Path(__file__).resolve().parents[1] / "agent"
_RANDOM = random.SystemRandom()
"""Two workers of xdist would try the same ports with the same seed."""
LIMIT = 20.0
"""Seconds that the slowest machine may take for any one step."""
PAUSE = 0.02
"""Seconds between two scrapes while a test waits for something."""


@dataclass
class DaemonProcess:
    """A running daemon."""

    popen: subprocess.Popen[str]
    address: str = ""
    """HOST:PORT of its HTTP endpoint; known after `watching` if it was not given."""
    entries: list[dict[str, object]] = field(default_factory=list)
    """The JSON lines of its standard error."""
    other: list[str] = field(default_factory=list)
    """The other lines of its standard error."""

    def __post_init__(self) -> None:
        """Begin to read standard error, if it is a pipe."""
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.popen.stderr or ():
            with self._news:
                if line.startswith("{"):
                    self.entries.append(json.loads(line))
                else:
                    self.other.append(line)
                self._news.notify_all()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.popen.pid

    def wait_for(self, event: str, count: int = 1, **fields: object) -> dict[str, object]:
        """Return the *count*-th entry of the kind *event* that has *fields*, as soon as it is logged."""

        def found() -> list[dict[str, object]]:
            return [
                entry
                for entry in self.entries
                if entry.get("event") == event and all(entry.get(key) == value for key, value in fields.items())
            ]

        with self._news:
            assert self._news.wait_for(lambda: len(found()) >= count, LIMIT), (event, fields, self.entries, self.other)
            return found()[count - 1]

    def watching(self) -> DaemonProcess:
        """Return this daemon once it has polled; its address is known then."""
        if not self.address:
            self.address = str(self.wait_for("started")["listen"]).split(", ", maxsplit=1)[0]
        self.wait_for_polls(1)
        return self

    def metric(self, name: str, **labels: str) -> float | None:
        """Return the value of one series, or None."""
        return sample_of(get(f"http://{self.address}/metrics")[1], name, labels)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.popen.send_signal(number)

    def polls(self) -> float:
        """Return how many polls have ended."""
        return self.metric("rolewatch_polls_total") or 0.0

    def poll(self, count: int = 1) -> float:
        """Ask for *count* polls, one after the other, and return the seconds that the slowest took.

        The daemon waits a second between two polls that are asked for.
        """
        slowest = 0.0
        for _ in range(count):
            before, begun = self.polls(), time.monotonic()
            self.signal(signal.SIGUSR1)
            self.wait_for_polls(before + 1)
            slowest = max(slowest, time.monotonic() - begun)
        return slowest

    def wait_for_polls(self, count: float) -> None:
        """Return when *count* polls have ended. At the start nothing listens yet."""
        end = time.monotonic() + LIMIT
        ended = 0.0
        while ended < count:
            with contextlib.suppress(OSError):
                ended = self.polls()
            assert time.monotonic() < end, f"no poll within {LIMIT:g} s: {self.entries} {self.other}"
            time.sleep(PAUSE)

    def exit_status(self) -> int:
        """Return the exit status, once the process has ended and its whole log was read."""
        status = self.popen.wait(LIMIT)
        self._reader.join(LIMIT)
        return status

    def kill(self) -> None:
        """Kill the process if it still runs, and read the rest of its log."""
        self.popen.kill()
        self.popen.wait()
        self._reader.join(LIMIT)
        if self.popen.stderr is not None:
            self.popen.stderr.close()


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a daemon: of ours only PATH; the settings are in the arguments."""
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(AGENT), "PYTHONDEVMODE": "1", **more}


RUN = (sys.executable, "-m", "rolewatch", "run")


@contextlib.contextmanager
def daemon(
    *words: str,
    environ: Mapping[str, str] | None = None,
    command: Sequence[str] = RUN,
    pass_fds: Sequence[int] = (),
    address: str = "",
) -> Iterator[DaemonProcess]:
    """Run `rolewatch run` with *words* until the block ends.

    *command* replaces ``python -m rolewatch run``. With *address*, where the daemon listens, its standard error is
    that of the test, or what *command* redirects it to; without, it is read.
    """
    popen = subprocess.Popen(
        [*command, *words],
        env=environment(**(environ or {})),
        stderr=None if address else subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        pass_fds=pass_fds,
        text=True,
    )
    process = DaemonProcess(popen, address)
    try:
        yield process
    finally:
        process.kill()


def stop_and_continue(popen: subprocess.Popen[str], seconds: float) -> None:
    """Stop *popen* with SIGSTOP for *seconds*, and send SIGCONT. Send no other signal."""
    popen.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, popen.pid, os.WSTOPPED | os.WNOWAIT)
    time.sleep(seconds)
    popen.send_signal(signal.SIGCONT)


def free_port() -> int:
    """Return a free port of 127.0.0.1 that the kernel assigns to nobody else in the meantime.

    Linux assigns ports from 32768 on (net.ipv4.ip_local_port_range).
    """
    while True:
        port = _RANDOM.randrange(20_000, 32_768)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextlib.contextmanager
def full_pipe() -> Iterator[int]:
    """Yield the write end of a full pipe that nobody reads: a write to it blocks."""
    reader, writer = os.pipe()
    try:
        fill(writer)
        yield writer
    finally:
        os.close(reader)
        os.close(writer)


def fill(writer: int) -> None:
    """Write to the pipe *writer* until it is full."""
    os.set_blocking(writer, False)
    for size in (4096, 1):
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, b"x" * size)
    os.set_blocking(writer, True)


class Imds(Protocol):
    """A server that responds as IMDS: the simulator, or a scripted server."""

    @property
    def endpoint(self) -> str:
        """Its URL."""
        ...


def config(directory: Path, imds: Imds, text: str = "") -> Path:
    """Write a settings file for *imds*, with *text* after it, and return its path."""
    path = directory / "rolewatch.toml"
    path.write_text(f'[imds]\nendpoint = "{imds.endpoint}"\n[metrics]\nlisten = ["127.0.0.1:0"]\n{text}')
    path.chmod(0o644)
    return path
