"""A daemon as a process of its own that polls when it is told to, and can be looked into."""

from __future__ import annotations

import contextlib
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, Set

from harness import get, sample_of, utc_now
from process import Process, config, daemon

from chaos.memory import writable
from e2e.processes import until
from rolewatch.simulator import Simulator

ROLE = "a-role-that-is-no-secret"
"""It must be found: what finds no key finds what is there."""


@dataclass
class Watched:
    """A daemon that polls when it is told to, and whose memory is read."""

    process: Process
    simulator: Simulator
    address: str
    polls: int = 0

    def poll(self) -> None:
        """Let it poll once more, and wait until it has."""
        if self.polls:
            self.process.popen.send_signal(signal.SIGUSR1)
        self.polls += 1
        until(lambda: self._polled() >= self.polls, f"poll {self.polls}")

    def memory(self) -> bytes:
        """Return what is in its memory now."""
        return writable(self.process.popen.pid)

    def _polled(self) -> float:
        _, page = get(f"http://{self.address}/metrics")
        return sample_of(page, "rolewatch_polls_total", {}) or 0

    @property
    def sessions(self) -> Set[str]:
        """The session tokens that IMDS gave out."""
        header = "x-aws-ec2-metadata-token"
        return {request.headers[header] for request in self.simulator.requests if header in request.headers}

    @property
    def keys(self) -> Set[str]:
        """The key ids, secret keys and tokens that IMDS served."""
        return set(self.simulator.secrets) - self.sessions


@contextlib.contextmanager
def watched(directory: Path, text: str = "", **environ: str) -> Iterator[Watched]:
    """Run a daemon, with *text* in its settings, on an IMDS in good health.

    Not in development mode, which wipes what is freed.
    """
    with Simulator(now=utc_now, role=ROLE) as simulator:
        settings = str(config(directory, simulator, text))
        with daemon("--config", settings, environ={**environ, "PYTHONDEVMODE": ""}) as process:
            yield Watched(process, simulator, str(process.wait_for("started")["listen"]))
