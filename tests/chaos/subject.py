"""A daemon in a process of its own that polls on demand, and prints the cost of each poll. Started by `hostile`.

``python subject.py DIRECTORY ENDPOINT TIMEOUT DEADLINE``: for each line on standard input one poll, or a restart of the
daemon where the line says ``restart``, and one line of JSON on standard output.
"""

from __future__ import annotations

import gc
import json
import re
import sys
import threading
import time
from pathlib import Path

from audited import AuditedDaemon
from rolewatch.imds.client import Client
from rolewatch.monitor.loop import clock
from rolewatch.monitor.memory import Memory
from rolewatch.settings import ExpectSettings, ImdsSettings, Settings


def memory(what: str) -> float:
    """Return ``VmRSS`` or ``VmHWM`` of this process in MiB."""
    found = re.search(rf"{what}:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found.group(1)) / 1024 if found else 0.0


def begin_anew() -> None:
    """Reset ``VmHWM``: proc(5)."""
    Path("/proc/self/clear_refs").write_text("5")


def held(before: Memory, after: Memory) -> dict[str, object]:
    """Return the faults that the poll between the two found, with their evidence, before debouncing."""
    seen = {fault: watched.seen for fault, watched in before.faults.items()}
    return {
        fault.value: dict(watched.evidence)
        for fault, watched in after.faults.items()
        if watched.seen > seen.get(fault, 0)
    }


def poll(daemon: AuditedDaemon) -> dict[str, object]:
    """Poll once; return the outcome and the cost."""
    before = daemon.watch.memory
    daemon.outputs.parts.clear()
    begin_anew()
    resident, begun = memory("VmRSS"), time.monotonic()
    report = daemon.poll()
    taken, peak = time.monotonic() - begun, memory("VmHWM")
    return {
        "seconds": taken,
        "mebibytes": max(0.0, peak - resident),
        "resident": memory("VmRSS"),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "threads": threading.active_count(),
        "held": held(before, daemon.watch.memory),
        "state": report.snapshot.state.value,
        "usable": report.snapshot.credentials.usable,
        "role": report.snapshot.binding.role,
        "events": [event.kind.value for event in report.events],
        "outputs": "\n".join(daemon.outputs.parts),
    }


def main(directory: str, endpoint: str, timeout: str, deadline: str) -> None:
    """Serve until standard input ends."""
    bounds = ImdsSettings(timeout=float(timeout), deadline=float(deadline))
    settings = Settings(imds=bounds, expect=ExpectSettings(role_tag="role"))
    daemon = AuditedDaemon(settings, Path(directory), Client(endpoint, bounds, monotonic=time.monotonic), clock)
    for line in sys.stdin:
        if line.strip() == "restart":
            daemon.restart()
            gc.collect()  # the connections of the one before
            print("{}", flush=True)  # noqa: T201 - this is how it answers
        else:
            print(json.dumps(poll(daemon)), flush=True)  # noqa: T201 - likewise


if __name__ == "__main__":
    main(*sys.argv[1:])
