"""A daemon as a process of its own that polls when it is told to, and can be looked into."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness import utc_now
from process import Process, config, daemon

from chaos.living import Living, living
from chaos.memory import writable
from rolewatch.simulator import Simulator

ROLE = "a-role-that-is-no-secret"
"""It must be found: what finds no key finds what is there."""
ONLY_WHEN_TOLD = "[poll]\ninterval = 240\nconfirm_interval = 240\nmax_interval = 240\n"
"""The next poll by itself comes two minutes after the last at the soonest: none is under way when memory is read."""


@dataclass
class Watched:
    """A daemon that polls when it is told to, and whose memory is read."""

    living: Living
    simulator: Simulator

    @property
    def process(self) -> Process:
        """Its process, and what it says."""
        return self.living.process

    @property
    def address(self) -> str:
        """Where it listens."""
        return self.living.address

    def poll(self) -> None:
        """Let it poll once more, and wait until it has. In between it asks nothing."""
        self.living.poll()

    def memory(self) -> bytes:
        """Return what is in its memory now."""
        return writable(self.living.pid)

    @property
    def sessions(self) -> set[str]:
        """The session tokens that IMDS gave out."""
        header = "x-aws-ec2-metadata-token"
        return {request.headers[header] for request in self.simulator.requests if header in request.headers}

    @property
    def keys(self) -> set[str]:
        """The key ids, secret keys and tokens that IMDS served."""
        return set(self.simulator.secrets) - self.sessions


@contextlib.contextmanager
def watched(directory: Path, text: str = "", **environ: str) -> Iterator[Watched]:
    """Run a daemon, with *text* in its settings, on an IMDS in good health; it has polled once.

    Not in development mode, which wipes what is freed.
    """
    with Simulator(now=utc_now, role=ROLE) as simulator:
        settings = str(config(directory, simulator, ONLY_WHEN_TOLD + text))
        with daemon("--config", settings, environ={**environ, "PYTHONDEVMODE": ""}) as process:
            yield Watched(living(process), simulator)
