"""The daemon as packaged, polling without a pause, that says what it costs. Started by `run.py`, never by hand.

``python3 -ISB child.py LAUNCHER ENDPOINT POLLS...``: after each of the POLLS counts it prints one line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

launcher, endpoint, *marks = sys.argv[1:]
house = ModuleType("launcher")
SourceFileLoader("launcher", launcher).exec_module(house)
house.set_paths(Path(launcher), "run")
sys.modules["rich"] = None  # type: ignore[assignment]  # as `run` does

from rolewatch.cli.daemon import Daemon  # noqa: E402 - after the paths
from rolewatch.monitor.loop import Wake  # noqa: E402 - likewise
from rolewatch.settings import ImdsSettings, LogSettings, MetricsSettings, Settings  # noqa: E402 - likewise

settings = Settings(
    imds=ImdsSettings(endpoint=endpoint),
    metrics=MetricsSettings(listen=("127.0.0.1:0",)),
    log=LogSettings(format="json", level="warning"),
)
left = [int(mark) for mark in marks]
polls = 0


def memory() -> dict[str, float]:
    """Return the memory of this process in MiB, as `processes` does, which would bring modules of its own."""
    sizes = {}
    for line in Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines():
        name, _, rest = line.partition(":")
        if rest.endswith(" kB"):
            sizes[name] = int(rest.split()[0]) / 1024
    uss = sizes["Private_Clean"] + sizes["Private_Dirty"]
    return {"uss": uss, "pss": sizes["Pss"], "rss": sizes["Rss"], "anonymous": sizes["Anonymous"]}


def pause(seconds: float) -> Wake:
    """Poll on at once; say what it costs at the marks, and stop after the last."""
    del seconds
    global polls  # noqa: PLW0603 - the one counter of a script
    polls += 1
    if polls == left[0]:
        figures = {
            "polls": polls,
            "cpu": time.process_time(),
            "fds": len(list(Path("/proc/self/fd").iterdir())),
            "threads": len(list(Path("/proc/self/task").iterdir())),
            **memory(),
        }
        print(json.dumps(figures), flush=True)
        left.pop(0)
    return Wake.POLL if left else Wake.STOP


Daemon(settings, lambda: (settings, ()), {}, min_gap=0).run(
    pause, ready=lambda endpoint: print(endpoint.addresses[0], flush=True)
)
