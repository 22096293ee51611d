"""The IMDS that everything asks: the simulator, beside the bench or inside it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from bench.processes import running
from rolewatch.simulator import Exchange, Simulator

LAUNCHER = Path(__file__).resolve().parents[2] / "build/private/bin/rolewatch"
"""What the packages install."""


@contextmanager
def neighbour() -> Iterator[str]:
    """Run `rolewatch simulate` and yield its endpoint.

    On the same interpreter as the daemon, as other programs of a Debian host are: what both map of it is not the
    daemon's own.
    """
    words = ["simulate", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]
    with running([LAUNCHER, *words], stdout=subprocess.PIPE) as process:
        for line in process.stdout or ():
            found = re.search(r"AWS_EC2_METADATA_SERVICE_ENDPOINT=(http://\S+)", line)
            if found:
                with subprocess.Popen(["/bin/cat"], stdin=process.stdout, stdout=subprocess.DEVNULL):
                    try:
                        yield found.group(1)
                    finally:  # else what fails in the block waits for the end of `cat`, for ever
                        process.terminate()
                return


class Counting:
    """A simulated IMDS that counts what it is asked."""

    def __init__(self) -> None:
        """Begin with nothing asked."""
        self.requests = 0
        self._simulator = Simulator(now=lambda: datetime.now(timezone.utc), on_exchange=self._count)

    def _count(self, _: Exchange) -> None:
        self.requests += 1

    def __enter__(self) -> Counting:
        """Listen."""
        self._simulator.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self._simulator.__exit__(None, None, None)

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return self._simulator.endpoint
