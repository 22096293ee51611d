"""What rolewatch costs: memory after many polls, CPU of a poll, the start."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from bench.figures import Figure
from bench.imds import LAUNCHER
from bench.processes import ENVIRONMENT, running
from bench.scrapes import scrape

NAME = "rolewatch"
SYSTEM_PYTHON = "/usr/bin/python3"
CHILD = Path(__file__).with_name("child.py")
SCRAPES = 200
USS, GROWTH, CPU, START = 20.0, 1.0, 4.0, 350.0
"""The bounds: MiB, MiB, ms, ms."""
LIBRARIES = 1.0
"""MiB, by which another version of the interpreter and of its libraries may differ."""


def settings(endpoint: str) -> dict[str, str]:
    """Return the environment in which `rolewatch run` asks *endpoint*, and listens on a free port."""
    return {"ROLEWATCH_IMDS_ENDPOINT": endpoint, "ROLEWATCH_METRICS_LISTEN": "127.0.0.1:0"}


@contextmanager
def polling(endpoint: str, *marks: int) -> Iterator[tuple[IO[str], str]]:
    """Run `child.py`; yield the lines that it prints and the address of its page."""
    command = [SYSTEM_PYTHON, "-ISB", CHILD, LAUNCHER, endpoint, *marks]
    with running(command, stdout=subprocess.PIPE, stderr=None) as process:
        assert process.stdout is not None
        yield process.stdout, process.stdout.readline().strip()


def memory_and_cpu(endpoint: str, polls: int, rounds: int) -> list[Figure]:
    """Measure memory after the first hundred polls and after *polls*, scraped on the way; and the CPU of a poll."""
    cpu = []
    for _ in range(rounds):
        with polling(endpoint, 100, 600) as (lines, _address):
            quiet = [json.loads(line) for line in lines]
        cpu.append((quiet[1]["cpu"] - quiet[0]["cpu"]) / 500 * 1000)
    with polling(endpoint, 100, polls) as (lines, address):
        first = json.loads(lines.readline())
        scrape(f"http://{address}/metrics", 1, SCRAPES)
        last = json.loads(lines.readline())
    grown = last["anonymous"] - first["anonymous"]  # USS grows, too, where the last other process with a library ends
    return [
        Figure(NAME, "USS", "MiB", [last["uss"]], USS, steady=True, play=LIBRARIES),
        Figure(NAME, f"growth of memory, polls 100 to {polls}", "MiB", [grown], GROWTH, steady=True),
        Figure(NAME, "PSS", "MiB", [last["pss"]]),
        Figure(NAME, "RSS", "MiB", [last["rss"]]),
        Figure(NAME, "threads", "", [last["threads"]], 2, steady=True),
        Figure(NAME, "growth in file descriptors", "", [last["fds"] - first["fds"]], 0, steady=True),
        Figure(NAME, "CPU of one poll", "ms", cpu, CPU),
    ]


def start(endpoint: str, rounds: int) -> Figure:
    """Measure the time from exec to the first verdict in the log."""
    samples = []
    for _ in range(rounds):
        begun = time.monotonic()
        with running([LAUNCHER, "run"], settings(endpoint), stderr=subprocess.PIPE) as process:
            for line in process.stderr or ():
                if '"state_changed"' in line:
                    samples.append((time.monotonic() - begun) * 1000)
                    break
    return Figure(NAME, "start to the first answer", "ms", samples, START)


@contextmanager
def scraped(endpoint: str) -> Iterator[tuple[int, str]]:
    """Run the daemon as the unit does; yield its process id and the URL of its metrics, once it has a verdict."""
    with running([LAUNCHER, "run"], settings(endpoint), stderr=subprocess.PIPE) as process:
        address = ""
        for line in process.stderr or ():
            if '"started"' in line:
                address = json.loads(line)["listen"]
            if '"state_changed"' in line:
                break
        assert process.stderr is not None
        with subprocess.Popen(["/bin/cat"], stdin=process.stderr, stdout=subprocess.DEVNULL, env=ENVIRONMENT):
            try:
                yield process.pid, f"http://{address}/metrics"
            finally:
                process.kill()
