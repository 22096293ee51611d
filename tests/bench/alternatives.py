"""What people use instead: how each is run, against a simulated IMDS, and what it costs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from bench.figures import Figure
from bench.processes import ENVIRONMENT, cpu, memory, running
from bench.scrapes import scrape
from daemon_process import free_port

SCRIPT = "curl-and-jq script"
NODE = "node_exporter"
BLACKBOX = "blackbox_exporter"
BOTOCORE = "botocore loop"
ALTERNATIVES = (SCRIPT, NODE, BLACKBOX, BOTOCORE)

HERE = Path(__file__).parent
SCRAPES = 200
LIMIT = 20.0
"""Seconds that anything may take to start."""


@dataclass(frozen=True)
class Running:
    """A process of an alternative, and where it is scraped."""

    name: str
    process: int
    url: str | None = None
    started: float = 0.0
    """Seconds until the first answer."""


@contextmanager
def _exporter(name: str, url: str, *command: object) -> Iterator[Running]:
    begun = time.monotonic()
    with running(command) as process:
        while scrape(url)[1]:
            assert time.monotonic() - begun < LIMIT, f"{command[0]} does not answer"
        yield Running(name, process.pid, url, time.monotonic() - begun)


@contextmanager
def node_exporter(directory: Path) -> Iterator[Running]:
    """Run Debian's, with the text file collector reading *directory* beside all that it does anyway."""
    address = f"127.0.0.1:{free_port()}"
    command = [
        "/usr/bin/prometheus-node-exporter",
        f"--web.listen-address={address}",
        f"--collector.textfile.directory={directory}",
    ]
    with _exporter(NODE, f"http://{address}/metrics", *command) as started:
        yield started


@contextmanager
def blackbox_exporter(endpoint: str) -> Iterator[Running]:
    """Run Debian's; its URL probes IMDS."""
    address = f"127.0.0.1:{free_port()}"
    command = [
        "/usr/bin/prometheus-blackbox-exporter",
        f"--config.file={HERE / 'blackbox.yml'}",
        f"--web.listen-address={address}",
    ]
    url = f"http://{address}/probe?module=imds&target={quote(endpoint + '/latest/api/token', safe='')}"
    with _exporter(BLACKBOX, url, *command) as started:
        yield started


@contextmanager
def botocore_loop(endpoint: str) -> Iterator[Running]:
    """Run the loop, on the bench's own Python."""
    begun = time.monotonic()
    command = [sys.executable, "-I", HERE / "refresh_credentials.py", endpoint]
    with running(command, {"AWS_EC2_METADATA_DISABLED": "true"}, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield Running(BOTOCORE, process.pid, None, time.monotonic() - begun)


@dataclass(frozen=True)
class Run:
    """What one run of the script took."""

    seconds: float
    cpu: float
    """Seconds, of all its processes."""
    rss: float
    """MiB, of the largest of them."""
    wake_ups: int


_WAITING = """\
import json, os, sys, time
begun = time.monotonic()
_, _, used = os.wait4(os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ), 0)
print(json.dumps([time.monotonic() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, used.ru_nvcsw]))
"""
"""A small process waits for the script: Linux counts what was there before the `exec` among a child's memory."""


def run_script(endpoint: str, target: Path, *prefix: object) -> Run:
    """Run the script once, behind the command *prefix*; return what it took."""
    command = ["/usr/bin/python3", "-ISB", "-c", _WAITING, *prefix, HERE / "watch-credentials", target]
    said = subprocess.run(
        [str(word) for word in command],
        env={**ENVIRONMENT, "AWS_EC2_METADATA_SERVICE_ENDPOINT": endpoint},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    return Run(*json.loads(said))


def script_costs(endpoint: str, target: Path, rounds: int) -> list[Figure]:
    """Measure what a run of the script takes. Between two runs there is nothing of it."""
    runs = [run_script(endpoint, target) for _ in range(rounds)]
    return [
        Figure(SCRIPT, "RSS", "MiB", [each.rss for each in runs]),
        Figure(SCRIPT, "CPU of one poll", "ms", [each.cpu * 1000 for each in runs]),
        Figure(SCRIPT, "start to the first answer", "ms", [each.seconds * 1000 for each in runs]),
    ]


def memory_figures(subject: Running) -> list[Figure]:
    """Measure the memory of *subject* as it is now, and how long its start took."""
    sizes = memory(subject.process)
    return [
        *(Figure(subject.name, kind.upper(), "MiB", [sizes[kind]]) for kind in ("uss", "pss", "rss")),
        Figure(subject.name, "start to the first answer", "ms", [subject.started * 1000]),
    ]


def cpu_of_a_scrape(name: str, process: int, url: str, rounds: int, what: str = "CPU of one scrape") -> Figure:
    """Measure the CPU that a scrape of *url* costs *process*."""
    samples = []
    for _ in range(rounds):
        before = cpu(process)
        scrape(url, 1, SCRAPES)
        samples.append((cpu(process) - before) / SCRAPES * 1000)
    return Figure(name, what, "ms", samples)
