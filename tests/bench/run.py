"""Measure what rolewatch costs and sees, beside what people use instead. ``make bench``; 1 where a bound is broken.

Everything is on loopback and bounded in time. The daemon runs on the system's Python through the shipped launcher; the
simulators and the scrapers are other processes, so that their cost is not counted. A whole run writes
docs/performance.md; ``--quick`` measures rolewatch alone and checks the bounds that a busy machine leaves alone,
give or take what another version of a library may add.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import Callable

from bench import alternatives, cadence, daemon, detection, page, sizes
from bench.figures import Figure
from bench.imds import neighbour
from bench.scrapes import latencies
from rolewatch.simulator.scenarios import SCENARIOS

POLLS = 10_000
QUICK_POLLS = 1500
NEEDED = ("curl", "jq", "strace", "prometheus-node-exporter", "prometheus-blackbox-exporter")


def of_rolewatch(polls: int, rounds: int) -> list[Figure]:
    """Measure the daemon."""
    with neighbour() as endpoint:
        figures = [*daemon.memory_and_cpu(endpoint, polls, rounds), daemon.start(endpoint, rounds * 3)]
        with daemon.scraped(endpoint) as (process, url):
            figures += latencies(daemon.NAME, url, rounds, bounds=True)
            figures.append(alternatives.cpu_of_a_scrape(daemon.NAME, process, url, rounds))
    return figures


def of_others(directory: Path, rounds: int) -> list[Figure]:
    """Measure the alternatives one by one."""
    figures: list[Figure] = []
    with neighbour() as endpoint:
        figures += alternatives.script_costs(endpoint, directory / "role.prom", rounds * 3)
        with alternatives.node_exporter(directory) as node:
            figures += latencies(node.name, node.url or "", rounds)
            figures.append(alternatives.cpu_of_a_scrape(node.name, node.process, node.url or "", rounds))
            figures += alternatives.memory_figures(node)
        with alternatives.blackbox_exporter(endpoint) as blackbox:
            url = blackbox.url or ""
            figures += latencies(blackbox.name, url, rounds)
            figures.append(
                alternatives.cpu_of_a_scrape(blackbox.name, blackbox.process, url, rounds, "CPU of one poll")
            )
            figures += alternatives.memory_figures(blackbox)
        with alternatives.botocore_loop(endpoint) as loop:
            figures += alternatives.memory_figures(loop)
    return figures


def show(figures: list[Figure]) -> None:
    """Print *figures*."""
    for figure in figures:
        print(figure, flush=True)


def quick() -> int:
    """Check the bounds that do not depend on how busy the machine is."""
    figures = of_rolewatch(QUICK_POLLS, 1)
    show(figures)
    return 1 if any(figure.fails for figure in figures) else 0


def whole() -> int:
    """Measure all, and write the page."""
    missing = [program for program in NEEDED if shutil.which(program) is None]
    if missing:
        print(f"make bench needs {', '.join(missing)}. On Debian, apt-get install them (see .ci/run).")
        return 2
    logging.disable(logging.CRITICAL)  # botocore logs each refresh that failed, which is what is counted
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        figures = of_rolewatch(POLLS, 5)
        show(figures)
        parts: list[Callable[[], list[Figure]]] = [
            lambda: of_others(directory, 3),
            lambda: cadence.by_the_minute(directory, 2, 60.0),
            sizes.installed,
        ]
        for measure in parts:
            more = measure()
            show(more)
            figures += more
        detections = []
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the daemon's log, of faults by the hundred
        for scenario in filter(detection.can_occur, SCENARIOS):
            detections += detection.detect([scenario], directory)
            cells = (detection.verdict(scenario, noticed) for noticed in detections[-1].noticed.values())
            print(f"{scenario.name:<45} {', '.join(cells)}", flush=True)
    page.write(figures, detections, POLLS)
    print(f"{page.PAGE} is written.")
    return 1 if any(figure.broken for figure in figures) else 0


def main() -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="rolewatch alone, for CI: nothing is written")
    return quick() if parser.parse_args().quick else whole()


if __name__ == "__main__":
    raise SystemExit(main())
