"""docs/performance.md: what was measured, side by side, as tables."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from bench import alternatives, daemon
from bench.detection import COLUMNS, Detection, verdict
from bench.figures import Figure
from rolewatch.simulator.scenarios import Group, Scenario

PAGE = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
SUBJECTS = (daemon.NAME, *alternatives.ALTERNATIVES)
GROUPS = {
    Group.FAULT: "Faults",
    Group.HOSTILE: "An IMDS that answers as none should",
    Group.TRAP: "What is easily judged wrongly",
    Group.HEALTHY: "Nothing is wrong",
}
ROWS: tuple[tuple[str, str], ...] = (
    ("USS", "MiB"),
    ("PSS", "MiB"),
    ("RSS", "MiB"),
    ("CPU of one poll", "ms"),
    ("CPU of one scrape", "ms"),
    ("start to the first answer", "ms"),
    *((f"scrape {what}, {clients} at once", "ms") for clients in (1, 10, 100) for what in ("p50", "p99")),
    *((f"scrapes refused, {clients} at once", "") for clients in (1, 10, 100)),
    ("requests to IMDS a minute", ""),
    ("system calls a minute", ""),
    ("wake-ups a minute", ""),
    ("package, installed", "MiB"),
    ("with what a minimal Debian lacks", "MiB"),
)
"""The rows of the first table, in its order."""

_HEAD = """\
# What rolewatch costs, and what it sees

Beside what people use instead, measured on one machine in one run by `make bench`, which writes this page: medians, and from
where to where the samples go. What was not measured, or has no meaning, is a dash.

- **rolewatch**: as packaged, on Debian's Python, polling every 30 s. Memory is that after {polls} polls and 200 scrapes, beside
  another Python process: what both map is not its own. The figures of a scrape are of all its metrics.
- **curl-and-jq script**: [watch-credentials](../tests/bench/watch-credentials), run every 30 s, for node_exporter's text file
  collector. Between two runs there is nothing of it; RSS is that of its largest process. It needs node_exporter beside it.
- **node_exporter**: Debian's, with all its default collectors and the text file. It asks IMDS nothing by itself.
- **blackbox_exporter**: Debian's, with [a module that asks for a token](../tests/bench/blackbox.yml). A scrape is a probe.
- **botocore loop**: [refresh_credentials.py](../tests/bench/refresh_credentials.py), which uses the role's credentials every 30 s
  as a program does. It fetches new ones when the old ones are near their end.
"""
_COSTS = """\
## The price

What happens by the minute was counted while all ran at once, each with an IMDS of its own and scraped every 15 s; a wake-up is
a thread that had gone to sleep and was woken, system calls are what `strace` counts. The scrapes are made by one process in
a closed loop, on the same machine, so that with 100 at once its own time counts, too.
"""
_BOUNDS = """\
The bounds that `make bench` checks:
"""
_DETECTION = """\
## Who notices, and after how long

Each scenario of `rolewatch simulate` begins on a healthy instance, just after all but rolewatch polled, which is
somewhere in its interval.
**rolewatch** has noticed when it raises a fault, which it does when it has seen it in one to three polls; one that throttles
or is unavailable it polls less often. It had seen no rotation before: where it knows the cadence, it reports a stopped one
after two intervals. The **script** has noticed when it says that there are no credentials, or that they expire within 15 minutes; **blackbox_exporter** when the probe
fails; the **botocore loop** when the program gets an exception, or waits for half a minute. Seven hours are watched, longer
than any credentials live (two where nothing is wrong), with clocks that the bench sets; after the first five minutes all but
rolewatch poll every 20 minutes. To botocore this is kind: where IMDS fails it would go on with expired credentials for some
minutes more.
"""


def write(figures: Sequence[Figure], detections: Sequence[Detection], polls: int) -> None:
    """Write the page."""
    PAGE.write_text(page(figures, detections, polls), encoding="utf-8")


def page(figures: Sequence[Figure], detections: Sequence[Detection], polls: int) -> str:
    """Return the page."""
    versions = ", ".join(f"{name} {version}" for name, version in _versions().items())
    where = (
        f"Written on {datetime.now(timezone.utc):%Y-%m-%d}: {_processor()}, {os.cpu_count()} cores, "
        f"Linux {platform.release().partition('-')[0]}, {platform.machine()}; {versions}.\n"
    )
    bounded = [figure for figure in figures if figure.bound is not None]
    return "\n".join(
        [
            _HEAD.format(polls=polls),
            where,
            _COSTS,
            _costs(figures),
            _BOUNDS,
            "| figure | measured | at most |\n|---|--:|--:|",
            *(f"| {each.name} | {_cell(each)} | {each.bound:g} {each.unit}".rstrip() + " |" for each in bounded),
            "",
            _DETECTION,
            _summary(detections),
            *(_detections(group, detections) for group in GROUPS),
        ]
    )


def _costs(figures: Sequence[Figure]) -> str:
    found = {(each.name, each.subject): each for each in figures}
    lines = [f"| | {' | '.join(SUBJECTS)} |", "|---|" + "--:|" * len(SUBJECTS)]
    for name, unit in ROWS:
        cells = [found[name, subject].text if (name, subject) in found else "–" for subject in SUBJECTS]
        lines.append(f"| {_title(name, unit)} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _title(name: str, unit: str) -> str:
    return f"{name}, {unit}" if unit else name


def _cell(figure: Figure) -> str:
    return f"{figure.text} {figure.unit}".strip()


def _summary(detections: Sequence[Detection]) -> str:
    """Return how many faults each noticed, and how many false alarms it gave."""
    lines = ["| | faults noticed | within five minutes | false alarms |", "|---|--:|--:|--:|"]
    for column in COLUMNS:
        cells = [verdict(each.scenario, each.noticed[column]) for each in detections]
        wrong = [cell for cell in cells if cell != "quiet" and not cell.startswith("**false")]
        noticed = [cell for cell in wrong if cell != "**no**"]
        soon = [cell for cell in noticed if cell.endswith(" s") or cell == "5 min"]
        false = len(cells) - len(wrong) - cells.count("quiet")
        well = len(cells) - len(wrong)
        lines.append(f"| {column} | {len(noticed)} of {len(wrong)} | {len(soon)} | {false} of {well} |")
    return "\n".join([*lines, ""])


def _detections(group: Group, detections: Sequence[Detection]) -> str:
    lines = [f"### {GROUPS[group]}\n", f"| scenario | {' | '.join(COLUMNS)} |", "|---|" + "---|" * len(COLUMNS)]
    for each in detections:
        if each.scenario.group is group:
            cells = [verdict(each.scenario, each.noticed[column]) for column in COLUMNS]
            lines.append(f"| {row_title(each.scenario)} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def row_title(scenario: Scenario) -> str:
    """Return the first cell of a scenario's row."""
    return f"`{scenario.name}` {scenario.title}"


def figures() -> list[str]:
    """Return the first cells of the table of figures, in the page's order."""
    return [_title(name, unit) for name, unit in ROWS]


def _versions() -> dict[str, str]:
    """Return the versions of what was measured."""
    asked = ["python3", "python3-requests", "python3-urllib3", "curl", "jq"]
    asked += ["prometheus-node-exporter", "prometheus-blackbox-exporter"]
    said = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${Package} ${Version}\n", *asked],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found = dict(line.split() for line in said.splitlines())
    import botocore

    return {**found, "botocore": botocore.__version__}


def _processor() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    return found.group(1) if found else platform.machine()
