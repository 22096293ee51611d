"""The simulator as a process whose clock is shared: ``imds.py CLOCK``. It prints its endpoint and its control port."""

from __future__ import annotations

import signal
import sys
from datetime import datetime, timezone
from pathlib import Path

from rolewatch.simulator import Simulator

sys.path.append(str(Path(__file__).parents[1]))
from soak.shared_clock import SharedClock

if __name__ == "__main__":
    STOP = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
    clock = SharedClock(Path(sys.argv[1])) if sys.argv[1] != "-" else None
    now = clock.utc if clock else lambda: datetime.now(timezone.utc)
    with Simulator(now=now, control_port=0) as simulator:
        print(simulator.endpoint, simulator.control, flush=True)
        signal.sigwait(STOP)
