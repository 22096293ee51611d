"""Measure what rolewatch costs, as packaged, against the bounds. ``make bench``; exit status 1 where a bound is broken.

Everything is on loopback and bounded in time. The daemon runs on the system's Python through the shipped launcher; the
simulator and the scrapers are processes of their own, so that their cost is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import statistics
import subprocess
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Iterator, List, Optional, Sequence, Tuple

ROOT = Path(__file__).resolve().parents[2]
LAUNCHER = ROOT / "build/private/bin/rolewatch"
SYSTEM_PYTHON = "/usr/bin/python3"
LOOPBACK = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Figure:
    """One measured figure beside its bound."""

    name: str
    unit: str
    samples: Sequence[float]
    bound: Optional[float] = None

    @property
    def median(self) -> float:
        """The figure."""
        return statistics.median(self.samples)

    @property
    def broken(self) -> bool:
        """Whether the median is beyond the bound."""
        return self.bound is not None and self.median > self.bound

    def __str__(self) -> str:
        """One row of the table."""
        spread = f"{min(self.samples):.2f} to {max(self.samples):.2f}" if len(self.samples) > 1 else ""
        bound = "" if self.bound is None else f"{self.bound:g}"
        verdict = "" if self.bound is None else "OVER" if self.broken else "ok"
        return f"{self.name:<46} {self.median:>9.2f} {self.unit:<4} {spread:>20} {bound:>8} {verdict}"


@contextmanager
def simulator() -> Iterator[str]:
    """Run `rolewatch simulate` and yield its endpoint.

    On the same interpreter as the daemon, as other programs of a Debian host are: what both map of it is not the
    daemon's own.
    """
    with subprocess.Popen(
        [str(LAUNCHER), "simulate", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"],
        env={"PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                found = re.search(r"AWS_EC2_METADATA_SERVICE_ENDPOINT=(http://\S+)", line)
                if found:
                    drain = subprocess.Popen(["/bin/cat"], stdin=process.stdout, stdout=subprocess.DEVNULL)
                    yield found.group(1)
                    break
        finally:
            process.terminate()
            process.wait(10)
            drain.terminate()
            drain.wait(10)


@contextmanager
def polling(endpoint: str, *marks: int) -> Iterator[Tuple[IO[str], str]]:
    """Run `child.py`; yield the lines that it prints and the address of its page."""
    command = [SYSTEM_PYTHON, "-ISB", str(ROOT / "tests/bench/child.py"), str(LAUNCHER), endpoint, *map(str, marks)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout, process.stdout.readline().strip()
        finally:
            process.kill()
            process.wait()


def memory_and_cpu(endpoint: str, polls: int) -> List[Figure]:
    """Measure memory after the first hundred polls and after all, scraped on the way; and the CPU time of a poll."""
    with polling(endpoint, 100, 1100) as (lines, _):
        quiet = [json.loads(line) for line in lines]
    with polling(endpoint, 100, polls) as (lines, address):
        first = json.loads(lines.readline())
        for _ in range(50):
            with LOOPBACK.open(f"http://{address}/metrics", timeout=5) as page:
                page.read()
        last = json.loads(lines.readline())
    return [
        Figure(f"USS after {polls} polls", "MiB", [last["uss"]], 24),
        Figure("  growth since the first 100", "MiB", [last["uss"] - first["uss"]], 1),
        Figure("PSS, and it depends on the neighbours", "MiB", [last["pss"]]),
        Figure("RSS", "MiB", [last["rss"]]),
        Figure("threads", "", [last["threads"]]),
        Figure("file descriptors, growth", "", [last["fds"] - first["fds"]], 0),
        Figure("CPU of one poll", "ms", [quiet[1]["cpu"] - quiet[0]["cpu"]], 4),
    ]


def start(endpoint: str, rounds: int) -> Figure:
    """Measure the time from exec to the first verdict in the log."""
    samples = []
    for _ in range(rounds):
        begun = time.monotonic()
        with subprocess.Popen(
            [str(LAUNCHER), "run", "--endpoint", endpoint, "--listen", "127.0.0.1:0"],
            stderr=subprocess.PIPE,
            text=True,
            env={"PATH": "/usr/bin:/bin"},
        ) as process:
            for line in process.stderr or ():
                if '"state_changed"' in line:
                    samples.append((time.monotonic() - begun) * 1000)
                    break
            process.terminate()
    return Figure("start to the first verdict", "ms", samples, 350)


def scrapes(endpoint: str) -> List[Figure]:
    """Measure scrapes by 1, 10 and 100 at once, while the daemon polls as fast as it can."""
    with subprocess.Popen(
        [str(LAUNCHER), "run", "--endpoint", endpoint, "--listen", "127.0.0.1:0"],
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": "/usr/bin:/bin"},
    ) as process:
        address = ""
        for line in process.stderr or ():
            if '"started"' in line:
                address = json.loads(line)["listen"]
            if '"state_changed"' in line:
                break
        figures = []
        for clients, rounds, bound in ((1, 500, None), (10, 100, 25.0), (100, 10, None)):
            times, refused = asyncio.run(scrape_together(address, clients, rounds))
            percentile = sorted(times)[int(len(times) * 0.99) - 1]
            figures.append(Figure(f"scrape p50, {clients} at once", "ms", [statistics.median(times)]))
            figures.append(Figure(f"scrape p99, {clients} at once", "ms", [percentile], bound))
            figures.append(Figure(f"scrapes refused, {clients} at once", "", [refused], 0))
        process.terminate()
    return figures


async def scrape_together(address: str, clients: int, rounds: int) -> Tuple[List[float], int]:
    """Scrape *rounds* times with each of *clients* at once; return the times in ms and how many got no page."""
    host, _, port = address.rpartition(":")
    times: List[float] = []
    refused = 0

    async def client() -> None:
        nonlocal refused
        for _ in range(rounds):
            begun = time.monotonic()
            try:
                reader, writer = await asyncio.open_connection(host, int(port))
                writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
                page = await reader.read(-1)
                writer.close()
            except OSError:
                page = b""
            if b" 200 OK" not in page[:16]:
                refused += 1
            times.append((time.monotonic() - begun) * 1000)

    await asyncio.gather(*(client() for _ in range(clients)))
    return times, refused


def main() -> int:
    """Measure all and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--polls", type=int, default=10_000, help="how many polls the memory is measured after")
    parser.add_argument("--rounds", type=int, default=11, help="how many starts are timed")
    arguments = parser.parse_args()
    with simulator() as endpoint:
        figures = [
            *memory_and_cpu(endpoint, arguments.polls),
            start(endpoint, arguments.rounds),
            *scrapes(endpoint),
        ]
    print(f"{'figure':<46} {'median':>9} {'':<4} {'spread':>20} {'bound':>8}")
    for figure in figures:
        print(figure)
    return 1 if any(figure.broken for figure in figures) else 0


if __name__ == "__main__":
    raise SystemExit(main())
