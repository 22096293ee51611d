"""What each costs by the minute, as it runs in the field: all at once, each with its own IMDS, scraped at 15 s."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

from bench import alternatives, daemon
from bench.figures import Figure
from bench.imds import Counting
from bench.processes import calls, counted, wake_ups
from bench.scrapes import scrape

INTERVAL = 30.0
"""Seconds between two runs of the script, and two probes; rolewatch's own interval is the same."""
SCRAPE_INTERVAL = 15.0


def by_the_minute(directory: Path, rounds: int, seconds: float) -> list[Figure]:
    """Watch all for *seconds*, *rounds* times over, and once more under strace; figures are for a minute."""
    figures: list[Figure] = []
    with ExitStack() as stack:
        imds = {name: stack.enter_context(Counting()) for name in (daemon.NAME, *alternatives.ALTERNATIVES)}
        rolewatch, url = stack.enter_context(daemon.scraped(imds[daemon.NAME].endpoint))
        others = [
            stack.enter_context(alternatives.node_exporter(directory)),
            stack.enter_context(alternatives.blackbox_exporter(imds[alternatives.BLACKBOX].endpoint)),
            stack.enter_context(alternatives.botocore_loop(imds[alternatives.BOTOCORE].endpoint)),
        ]
        processes = {daemon.NAME: rolewatch, **{each.name: each.process for each in others}}
        urls = [url, *(each.url for each in others if each.url)]
        factor = 60 / seconds
        requests: dict[str, list[float]] = {name: [] for name in processes}
        woken: dict[str, list[float]] = {name: [] for name in processes}
        for _ in range(rounds):
            before = {name: (imds[name].requests, wake_ups(process)) for name, process in processes.items()}
            _pass(seconds, urls)
            for name, process in processes.items():
                requests[name].append((imds[name].requests - before[name][0]) * factor)
                woken[name].append((wake_ups(process) - before[name][1]) * factor)
        with ExitStack() as straced:
            for name, process in processes.items():
                straced.enter_context(counted(process, directory / f"{name}.strace"))
            _pass(seconds, urls)
        for name in processes:
            summary = (directory / f"{name}.strace").read_text(encoding="utf-8")
            figures += [
                Figure(name, "requests to IMDS a minute", "", requests[name]),
                Figure(name, "wake-ups a minute", "", woken[name]),
                Figure(name, "system calls a minute", "", [calls(summary) * factor]),
            ]
        return figures + _script(imds[alternatives.SCRIPT], directory, rounds)


def _pass(seconds: float, urls: list[str]) -> None:
    """Let *seconds* pass, and scrape *urls* on the way."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for url in urls:
            scrape(url)
        time.sleep(max(0.0, min(SCRAPE_INTERVAL, end - time.monotonic())))


def _script(imds: Counting, directory: Path, rounds: int) -> list[Figure]:
    """Return what the script costs in a minute: it does the same at each run."""
    runs = 60 / INTERVAL
    requests, woken = [], []
    for _ in range(rounds):
        before = imds.requests
        run = alternatives.run_script(imds.endpoint, directory / "role.prom")
        requests.append((imds.requests - before) * runs)
        woken.append(run.wake_ups * runs)
    summary = directory / "script.strace"
    alternatives.run_script(imds.endpoint, directory / "role.prom", "/usr/bin/strace", "-f", "-c", "-o", summary)
    return [
        Figure(alternatives.SCRIPT, "requests to IMDS a minute", "", requests),
        Figure(alternatives.SCRIPT, "wake-ups a minute", "", woken),
        Figure(
            alternatives.SCRIPT,
            "system calls a minute",
            "",
            [calls(summary.read_text(encoding="utf-8")) * runs],
        ),
    ]
