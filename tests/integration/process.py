"""A daemon as a process of its own, whose log is read as it comes."""

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

AGENT = Path(__file__).resolve().parents[2] / "agent"
_RANDOM = random.SystemRandom()
"""Two workers would come upon the same ports with the same seed."""
LIMIT = 20.0
"""Seconds that the slowest machine may take for any one step."""


@dataclass
class Process:
    """A running daemon, whose JSON lines are read as they come."""

    popen: subprocess.Popen[str]
    entries: list[dict[str, object]] = field(default_factory=list)
    other: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin to read."""
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.popen.stderr is not None
        for line in self.popen.stderr:
            with self._news:
                if line.startswith("{"):
                    self.entries.append(json.loads(line))
                else:
                    self.other.append(line)
                self._news.notify_all()

    def wait_for(self, event: str, count: int = 1, **fields: object) -> dict[str, object]:
        """Return the *count*-th entry of the kind *event* that has *fields*, as soon as it is there."""

        def found() -> list[dict[str, object]]:
            return [
                entry
                for entry in self.entries
                if entry.get("event") == event and all(entry.get(key) == value for key, value in fields.items())
            ]

        with self._news:
            assert self._news.wait_for(lambda: len(found()) >= count, LIMIT), (event, fields, self.entries, self.other)
            return found()[count - 1]

    def end(self) -> None:
        """End the process, whatever it does, and read the rest."""
        self.popen.kill()
        self.popen.wait()
        self._reader.join(LIMIT)
        if self.popen.stderr is not None:
            self.popen.stderr.close()

    def ended(self) -> int:
        """Return the exit status, once the process has ended and all it said was read."""
        status = self.popen.wait(LIMIT)
        self._reader.join(LIMIT)
        return status


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a daemon: nothing of ours but the path, and IMDS only where the arguments say."""
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(AGENT), "PYTHONDEVMODE": "1", **more}


@contextlib.contextmanager
def daemon(*words: str, environ: Mapping[str, str] | None = None, python: Sequence[str] = ()) -> Iterator[Process]:
    """Run `rolewatch run` with *words* until the block ends."""
    popen = subprocess.Popen(
        [sys.executable, *python, "-m", "rolewatch", "run", *words],
        env=environment(**(environ or {})),
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    process = Process(popen)
    try:
        yield process
    finally:
        process.end()


def stop_and_continue(popen: subprocess.Popen[str], seconds: float) -> None:
    """Stop *popen* with SIGSTOP for *seconds*, and send SIGCONT. No other signal is sent."""
    popen.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, popen.pid, os.WSTOPPED | os.WNOWAIT)
    time.sleep(seconds)
    popen.send_signal(signal.SIGCONT)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody has, and that the kernel gives to nobody in the meantime.

    To whoever asks for any, Linux gives one from 32768 on, unless it was told otherwise (net.ipv4.ip_local_port_range).
    """
    while True:
        port = _RANDOM.randrange(20_000, 32_768)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextlib.contextmanager
def full_pipe() -> Iterator[int]:
    """Yield the write end of a pipe that has no room, and that nobody reads. A write to it waits."""
    reader, writer = os.pipe()
    try:
        fill(writer)
        yield writer
    finally:
        os.close(reader)
        os.close(writer)


def fill(writer: int) -> None:
    """Write to the pipe *writer* until it has no room."""
    os.set_blocking(writer, False)
    for size in (4096, 1):
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, b"x" * size)
    os.set_blocking(writer, True)


class Imds(Protocol):
    """Whatever answers as IMDS: the simulator, or a scripted server."""

    @property
    def endpoint(self) -> str:
        """Its URL."""
        ...


def config(directory: Path, imds: Imds, text: str = "") -> Path:
    """Write a settings file that asks *imds*, and *text*."""
    path = directory / "rolewatch.toml"
    path.write_text(f'[imds]\nendpoint = "{imds.endpoint}"\n[metrics]\nlisten = ["127.0.0.1:0"]\n{text}')
    path.chmod(0o644)
    return path
